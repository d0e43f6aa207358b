package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nightdrop/relay/internal/scan"
	"nightdrop/shared/command"
)

type scanOptions struct {
	numbers string // file
	pids    []int
	asJSON  bool
}

func newScanCommand() *cobra.Command {
	var opts scanOptions
	cmd := &cobra.Command{
		Use:   "scan PATH... [--pid PID]",
		Short: "Look for account numbers in clear, in files and in a process's memory",
		Long: `Look for card numbers in clear: plain, grouped by spaces or dashes, packed BCD, UTF-16, and any of these in base64. Only masked numbers
are printed. With --numbers, exactly the given numbers are looked for, which also finds packed BCD between random bytes.

Exit code 7 means that numbers were found.`,
		Example: "  relay scan /var/lib/nightdrop /var/log/nightdrop\n  relay scan --numbers numbers.txt --pid 4711 /var/lib/nightdrop",
		RunE: func(cmd *cobra.Command, args []string) error {
			return runScan(cmd.Context(), opts, args, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.numbers, "numbers", "", "file of the numbers to look for, one a line (default: every plausible one)")
	flags.IntSliceVar(&opts.pids, "pid", nil, "process whose memory to scan (Linux; as its user or root)")
	flags.BoolVar(&opts.asJSON, "json", false, "print one JSON object a finding")
	return cmd
}

func runScan(ctx context.Context, opts scanOptions, paths []string, out, errOut io.Writer) error {
	if len(paths) == 0 && len(opts.pids) == 0 {
		return fmt.Errorf("%w: give paths, or --pid", command.ErrUsage)
	}
	scanner, err := opts.scanner()
	if err != nil {
		return err
	}
	defer scanner.Clear()
	bar := command.NewByteBar(errOut, "scanning")
	defer bar.Close()
	var total int64
	for _, path := range paths {
		size, err := scan.Size(path)
		if err != nil {
			return err
		}
		total += size
	}
	found := 0
	var broken error // of writing the findings
	emit := func(f scan.Finding) {
		found++
		broken = bar.Aside(func() error {
			if opts.asJSON {
				return json.NewEncoder(out).Encode(f)
			}
			_, err := fmt.Fprintf(out, "%s: offset %d: %s, %s\n", f.Path, f.Offset, f.Masked, f.Encoding)
			return err
		})
	}
	progress := func(n int) { bar.Add(int64(n), total) }
	for _, path := range paths {
		if err := scanner.Tree(ctx, path, emit, progress); err != nil {
			return err
		}
	}
	for _, pid := range opts.pids {
		if err := scanner.Process(ctx, pid, emit, progress); err != nil {
			return err
		}
	}
	if broken == nil && found > 0 {
		broken = fmt.Errorf("%d found: %w", found, errInClear)
	}
	return broken
}

func (o scanOptions) scanner() (*scan.Scanner, error) {
	if o.numbers == "" {
		return scan.New(), nil
	}
	f, err := os.Open(o.numbers)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	numbers, err := scan.ReadNumbers(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.numbers, err)
	}
	defer func() {
		for _, number := range numbers {
			clear(number)
		}
	}()
	return scan.NewExact(numbers)
}
