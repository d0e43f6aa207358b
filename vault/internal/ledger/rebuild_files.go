package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nightdrop/shared/durable"
)

// spaceShare and spaceMore are the room that Rebuild needs beyond the size of the old file: pages
// are filled differently, and the vault goes on writing.
const (
	spaceShare = 4
	spaceMore  = 64 << 20
)

// checkSpace checks for the room of a second ledger, less what an unfinished one has of it.
func (r *rebuild) checkSpace(unfinished string) error {
	info, err := os.Stat(r.path)
	if err != nil {
		return err
	}
	need := uint64(info.Size()) + uint64(info.Size())/spaceShare + spaceMore
	if info, err := os.Stat(unfinished); err == nil {
		need -= min(need, uint64(info.Size()))
	}
	dir := filepath.Dir(r.path)
	free, err := r.o.free(dir)
	if err != nil {
		return fmt.Errorf("ask how much room %s has: %w", dir, err)
	}
	if free < need {
		return fmt.Errorf("%w: %s has %d MB left and it takes %d MB. Make room there, or give it a larger volume, and unlock again",
			ErrNoSpace, dir, free>>20, need>>20)
	}
	return nil
}

func freeBytes(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}

func rebuiltPath(path string) string { return path + ".rebuilt" }

// writeRebuilt notes beside the ledger that it was rebuilt, until that stands in the log.
func writeRebuilt(path string, done Rebuilt) error {
	text, err := json.Marshal(done)
	if err != nil {
		return err
	}
	return durable.Replace(rebuiltPath(path), text)
}

// copyFile makes a second file of the same content, whole and durable or not at all.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := durable.Begin(to, 0o600)
	if err != nil {
		return err
	}
	if _, err := io.Copy(out, in); err != nil {
		return errors.Join(err, out.Discard())
	}
	return out.Create()
}

// UntoldRebuild returns what the last Rebuild of the ledger at path did, until [RebuildTold]; found
// is false where all is logged.
func UntoldRebuild(path string) (done Rebuilt, found bool, err error) {
	text, err := os.ReadFile(rebuiltPath(path))
	if errors.Is(err, fs.ErrNotExist) {
		return done, false, nil
	}
	if err != nil {
		return done, false, err
	}
	if json.Unmarshal(text, &done) != nil {
		return Rebuilt{}, true, nil // that there was one is what counts
	}
	return done, true, nil
}

// RebuildTold ends what [UntoldRebuild] returns, once it stands in the log. After a crash before
// it, it is logged twice.
func RebuildTold(path string) error {
	if err := os.Remove(rebuiltPath(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return durable.SyncDir(filepath.Dir(path))
}
