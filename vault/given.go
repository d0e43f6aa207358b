package main

import (
	"fmt"
	"os"
)

// openGiven opens a file that the operator named as an argument. A directory is errUsage: reading it would fail in the middle of a call.
func openGiven(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if info, err := file.Stat(); err != nil || info.IsDir() {
		_ = file.Close()
		if err == nil {
			err = fmt.Errorf("%w: %s is a directory; name the files in it", errUsage, path)
		}
		return nil, err
	}
	return file, nil
}

// places counts where two sides differ, in words.
func places(n int) string {
	if n == 1 {
		return "1 place"
	}
	return fmt.Sprintf("%d places", n)
}
