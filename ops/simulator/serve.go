package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/ops/simulator/host"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	listen      string        // host:port
	book        string        // file
	answerDelay time.Duration // before every answer
	lateAfter   time.Duration // before the answer to the amount 900101
	addressFile string        // where to write the address listened on; empty: nowhere
}

func newServeCommand() *cobra.Command {
	var opts serveOptions
	cmd := &cobra.Command{
		Use:     "serve --book FILE",
		Short:   "Answer an acquirer's requests and book them",
		Example: "  simulator serve --listen 127.0.0.1:8583 --book simulator.book",
		Args:    noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.book == "" {
				return usageError{fmt.Errorf("--book FILE is needed: what the host takes is kept there")}
			}
			return runServe(cmd.Context(), opts, cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:8583", "address to listen on; port 0 takes any")
	flags.StringVar(&opts.book, "book", "", "file of the host's own book, made if it is not there")
	flags.DurationVar(&opts.answerDelay, "answer-delay", 0, "wait so long before every answer")
	flags.DurationVar(&opts.lateAfter, "late-after", host.DefaultLateAfter, "wait so long before the answer to the amount 900101")
	flags.StringVar(&opts.addressFile, "address-file", "", "write the address listened on to this file")
	return cmd
}

func runServe(ctx context.Context, opts serveOptions, errOut io.Writer) error {
	logger := slog.New(slog.NewTextHandler(errOut, nil))
	h, err := host.Start(host.Config{
		Listen: opts.listen, Book: opts.book, AnswerDelay: opts.answerDelay, LateAfter: opts.lateAfter,
		Now: time.Now, Logger: logger,
	})
	if err != nil {
		return err
	}
	logger.Info("listening", "address", h.Addr(), "book", opts.book)
	if opts.addressFile != "" {
		if err := writeWhole(opts.addressFile, h.Addr()+"\n"); err != nil {
			_ = h.Close()
			return err
		}
	}
	return h.Run(ctx)
}

// writeWhole writes a file that readers see whole or not at all.
func writeWhole(path, content string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".address-*")
	if err != nil {
		return fmt.Errorf("write address file: %w", err)
	}
	_, err = f.WriteString(content)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("write address file: %w", err)
	}
	return nil
}
