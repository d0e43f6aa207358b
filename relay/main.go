// Program relay is the internet-facing host: it checks sealed envelopes, puts them onto the one-way
// channel, and can open none of them.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if code == startAnew {
		code = restart(os.Stderr)
	}
	os.Exit(code)
}

// restart puts a fresh process in the place of this one. It returns only when that fails.
func restart(errOut io.Writer) int {
	path, err := os.Executable()
	if err == nil {
		err = syscall.Exec(path, os.Args, os.Environ()) //nolint:gosec // this very program
	}
	fmt.Fprintf(errOut, "relay: start anew: %v\n", err)
	return 8
}
