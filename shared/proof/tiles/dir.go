package tiles

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"nightdrop/shared/proof"
)

// Dir is a copy of the log in a directory. Links that lead out of it are not followed, and only regular files are read.
type Dir string

// ReadFile implements proof.TileSource.
func (d Dir) ReadFile(_ context.Context, path string, limit int) ([]byte, error) {
	root, err := os.OpenRoot(string(d))
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	// A pipe that somebody put there would block a reader for ever.
	f, err := root.OpenFile(filepath.FromSlash(path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s is no regular file", proof.ErrDamaged, path)
	}
	return readAll(f, path, limit)
}

// readAll reads at most limit bytes, and one to see that there are no more.
func readAll(r io.Reader, path string, limit int) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("%w: %s has over %d bytes", proof.ErrDamaged, path, limit)
	}
	return data, nil
}
