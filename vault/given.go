package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"nightdrop/shared/untrusted"
)

// maxGiven bounds a file that the command line names and that is read whole: the longest settlement file, of 999,999 entries of 94 bytes, twice.
const maxGiven = 256 << 20

// openGiven opens a file that the operator named as an argument. A directory is errUsage: reading it would fail in the middle of a call. A named
// pipe to which nobody writes, as may lie on a courier's stick, is empty and not waited for.
func openGiven(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.IsDir() {
		_ = file.Close()
		if err == nil {
			err = fmt.Errorf("%w: %s is a directory: name a file in it", errUsage, path)
		}
		return nil, err
	}
	return file, nil
}

// readGiven reads such a file. One of over 256 MiB is errUsage.
func readGiven(path string) ([]byte, error) {
	file, err := openGiven(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := untrusted.ReadAll(file, path, maxGiven)
	if errors.Is(err, untrusted.ErrUnfit) {
		err = fmt.Errorf("%w: %w", errUsage, err)
	}
	return data, err
}

// places counts where two sides differ, in words.
func places(n int) string {
	if n == 1 {
		return "1 place"
	}
	return fmt.Sprintf("%d places", n)
}
