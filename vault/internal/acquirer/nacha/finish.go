package nacha

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Finish tells whether dir/name is there with the content of a digest, the hex SHA-256 of the file. What a crash of WriteFile left under
// its hidden name with that content gets its name first, so that the accounts in it need not be opened again. Another content under the name
// is ErrExists, and nothing is changed.
func Finish(dir, name, hexDigest string) (bool, error) {
	path, temporary := filepath.Join(dir, name), filepath.Join(dir, partial+name)
	switch is, err := holds(path, hexDigest); {
	case err == nil && is:
		return true, syncDirectory(dir)
	case err == nil:
		return false, fmt.Errorf("%w: %s", ErrExists, path)
	case !errors.Is(err, os.ErrNotExist):
		return false, err
	}
	is, err := holds(temporary, hexDigest)
	if errors.Is(err, os.ErrNotExist) || err == nil && !is {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	file, err := os.Open(temporary)
	if err != nil {
		return false, fmt.Errorf("nacha: finishing a file: %w", err)
	}
	if err := errors.Join(file.Sync(), file.Close(), os.Link(temporary, path), os.Remove(temporary)); err != nil {
		return false, fmt.Errorf("nacha: finishing a file: %w", err)
	}
	return true, syncDirectory(dir)
}

// holds tells whether a file's content has a digest.
func holds(path, hexDigest string) (bool, error) {
	sum, err := digest(path)
	return err == nil && hex.EncodeToString(sum) == hexDigest, err
}
