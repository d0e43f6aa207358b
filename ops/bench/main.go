// Command bench measures Nightdrop's figures. It prints each as
//
//	bench: NAME value=V unit=U ratio=R target=T
//
// and exits 1 when one misses its target. Figures of speed are judged by their ratio to something
// measured in turns with them in the same run, because rates alone say more about the machine than
// about the code. See `make bench`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the binaries relay, vault, storefront and simulator")
	only := flag.String("only", "", "measure one figure: "+strings.Join(names(), ", "))
	brief := flag.Bool("brief", false, "measure as little as possible: shows that each figure can be measured, not what it is")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := (&bench{bin: *bin, brief: *brief, out: os.Stdout, progress: os.Stderr}).run(ctx, *only)
	if err == nil {
		return
	}
	fmt.Fprintf(os.Stderr, "bench: %v\n", err)
	stop()
	if errors.Is(err, errNoFigure) {
		os.Exit(2)
	}
	os.Exit(1)
}
