// Command training keeps a whole Nightdrop in one directory, for whoever wants to try it: relay,
// vault, acquirer, bank and two merchants. It runs in the foreground until Ctrl-C, and the next
// start goes on where it stopped. It says what a storefront and an operator need, and which
// commands to try. See `make site`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"nightdrop/ops/site"
)

const usage = `Keep a whole Nightdrop for training in one directory: relay, vault (unlocked), acquirer, bank and two merchants, in the
foreground until Ctrl-C. The next start in the same directory goes on where it stopped.

Usage:
  site --dir DIR [--bin DIR] [--json]

Example:
  bin/site --dir site
  bin/site --dir /tmp/trial --json

Flags:
`

const exitHelp = `
Exit codes: 0 stopped by Ctrl-C or SIGTERM; 1 failed, or one of the programs ended; 2 usage; 6 conflict: the directory is not
a site's or is in use, or a port of the site is taken.
`

// patience is how long a stop is left in peace.
const patience = 2 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A later Ctrl-C does not wait any more; one at once may be the same, from make or for the
	// whole process group.
	context.AfterFunc(ctx, func() { time.AfterFunc(patience, stop) })
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run runs the command line and returns its exit code.
func run(ctx context.Context, args []string, out, errOut io.Writer) int {
	flags := flag.NewFlagSet("site", flag.ContinueOnError)
	flags.SetOutput(errOut)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
		fmt.Fprint(flags.Output(), exitHelp)
	}
	dir := flags.String("dir", "", "the site's `directory`: new, empty, or of a site that was made here (required)")
	bin := flags.String("bin", beside(), "`directory` of the binaries relay, vault, storefront and simulator")
	asJSON := flags.Bool("json", false, "print what there is to know as one line of JSON on standard output, and all else on standard error")
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err == nil && flags.NArg() > 0:
		err = errors.New("it takes flags only (see --help)")
		fmt.Fprintf(errOut, "site: %v\n", err)
	case err == nil && *dir == "":
		err = errors.New("--dir DIR is needed: where the site is kept (see --help)")
		fmt.Fprintf(errOut, "site: %v\n", err)
	}
	if err != nil {
		return 2
	}
	t := training{out: out, said: out, asJSON: *asJSON}
	if *asJSON {
		t.said = errOut
	}
	if err := t.run(ctx, *dir, *bin); err != nil {
		fmt.Fprintf(errOut, "site: %v\n", err)
		if errors.Is(err, site.ErrConflict) {
			return 6
		}
		return 1
	}
	return 0
}

// beside is the directory of the program itself.
func beside() string {
	program, err := os.Executable()
	if err != nil {
		return "bin"
	}
	return filepath.Dir(program)
}
