package command

import (
	"fmt"
	"io"
	"os"
	"syscall"
)

// Open opens a file that an argument names. A directory is [ErrUsage]: reading it would fail in the
// middle of a call. A named pipe to which nobody writes, as may lie on a courier's stick, is empty
// and not waited for.
func Open(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.IsDir() {
		_ = file.Close()
		if err == nil {
			err = fmt.Errorf("%w: %s is a directory: name a file in it", ErrUsage, path)
		}
		return nil, err
	}
	return file, nil
}

// Read reads such a file. One of over limit bytes is [ErrUsage].
func Read(path string, limit int64) ([]byte, error) {
	file, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		return nil, fmt.Errorf("%w: %s is longer than %d bytes", ErrUsage, path, limit)
	}
	return data, err
}
