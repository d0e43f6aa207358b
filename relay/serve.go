package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/durable"
	"nightdrop/shared/folded"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	config      string
	addressFile string
}

// errWedged is returned when the embedded channel stores nothing any more: the process must start anew. Nothing acked is lost.
var errWedged = errors.New("the channel's store failed")

// wedgedGrace is how long a stop waits for answers when the channel gives none.
const wedgedGrace = 2 * time.Second

func newServeCommand() *cobra.Command {
	var o serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Serve storefronts until SIGTERM",
		Long: `Serve storefronts until SIGTERM or SIGINT. A stop answers everything that was accepted. SIGHUP reads the TLS certificates again,
of the listener and of the embedded channel; where the new files are not a certificate and its key, the old one stays. It starts
also when the channel or the vault's directory is not there yet, and answers 503 meanwhile: see /readyz on the admin listener.
When the embedded channel's store fails (a disk that was full), the process starts itself anew as soon as there is room.`,
		Example: "  relay serve --config /etc/nightdrop/relay.toml",
		Args:    arguments(cobra.NoArgs),
		RunE:    func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), o, cmd.ErrOrStderr()) },
	}
	cmd.Flags().StringVar(&o.config, "config", "", "the configuration file")
	cmd.Flags().StringVar(&o.addressFile, "address-file", "", "write the addresses listened on to this file, as JSON, once all listen")
	return cmd
}

func runServe(ctx context.Context, o serveOptions, errOut io.Writer) (err error) {
	if o.config == "" {
		return fmt.Errorf("%w: give the configuration file with --config", errUsage)
	}
	s, err := loadSettings(o.config)
	if err != nil {
		return err
	}
	logger := slog.New(folded.Handler(slog.NewJSONHandler(errOut, &slog.HandlerOptions{Level: s.LogLevel})))
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	h := &house{settings: s, logger: logger, now: time.Now}
	defer func() {
		// From here on ctx has ended; what was accepted is still answered, except by a channel that will not answer any more.
		patience := s.StopGrace.Std()
		if errors.Is(err, errWedged) {
			patience = wedgedGrace
		}
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		err = errors.Join(err, h.stop(grace))
	}()
	if err := h.start(ctx); err != nil {
		return err
	}
	return h.serve(ctx, o, hangup)
}

// serve runs a started house until it is to stop, or cannot go on.
func (h *house) serve(ctx context.Context, o serveOptions, hangup <-chan os.Signal) error {
	if o.addressFile != "" {
		if err := writeAddresses(o.addressFile, h.addresses()); err != nil {
			return err
		}
	}
	for {
		select {
		case <-ctx.Done():
			h.logger.Info("stopping")
			return nil
		case <-h.wedged():
			h.logger.Error("the channel's store failed and stays so; starting anew", "hint", "look for a full or failing disk")
			return errWedged
		case err := <-h.failed:
			return err
		case <-hangup:
			h.reload()
		}
	}
}

// writeAddresses replaces the file whole, so that a reader sees all of it or nothing.
func writeAddresses(path string, addresses map[string]string) error {
	data, err := json.Marshal(addresses)
	if err != nil {
		return err
	}
	if err := durable.Replace(path, append(data, '\n')); err != nil {
		return fmt.Errorf("write the address file: %w", err)
	}
	return nil
}
