// Program vault is the offline host: the daemon that holds the keys and moves the money, and the
// operators' command line.
package main

import (
	"context"
	"os"
	"time"

	"nightdrop/shared/command"
)

func main() {
	command.Main(func(ctx context.Context) int {
		return run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, now: time.Now})
	})
}
