// Program vault is the offline host: the daemon that holds the keys and moves the money, and the operators' command line.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, now: time.Now})
	stop()
	os.Exit(code)
}
