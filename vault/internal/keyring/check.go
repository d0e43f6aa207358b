package keyring

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Check returns why [Open] would fail on dir, as far as that shows without locking it: the
// schedule, the custody file, and the modes of the files with keys. It changes nothing, and another
// process may have the vault open.
func Check(dir string, o Options) error {
	plan := schedule{ahead: o.Ahead, codeLife: o.CodeLife}
	all := []error{plan.check()}
	if _, err := readCustody(filepath.Join(dir, custodyFile)); err != nil {
		all = append(all, err)
	}
	for _, file := range []struct{ name, what string }{{sealingFile, "the sealing keys"}, {storedFileName, "the stored accounts' keys"}} {
		if err := checkPrivate(filepath.Join(dir, file.name)); err != nil {
			all = append(all, fmt.Errorf("open %s: %w", file.what, err))
		}
	}
	return errors.Join(all...)
}

// checkPrivate checks the mode of a file, which may be missing after a restore.
func checkPrivate(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	return checkMode(f)
}
