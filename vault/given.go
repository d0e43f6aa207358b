package main

import (
	"fmt"

	"nightdrop/shared/command"
)

// maxGiven bounds a file that the command line names and that is read whole: the longest settlement
// file, of 999,999 entries of 94 bytes, twice.
const maxGiven = 256 << 20

// readGiven reads a file that an argument names, of at most [maxGiven] bytes.
func readGiven(path string) ([]byte, error) { return command.Read(path, maxGiven) }

// differences counts where two sides differ, in words.
func differences(n int) string {
	if n == 1 {
		return "1 place"
	}
	return fmt.Sprintf("%d places", n)
}
