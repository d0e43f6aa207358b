package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"nightdrop/relay/internal/daemon"
	"nightdrop/shared/command"
	"nightdrop/shared/folded"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	config      string
	addressFile string
}

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
		Args:    command.NoArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runServe(cmd.Context(), o, cmd.ErrOrStderr()) },
	}
	cmd.Flags().StringVar(&o.config, "config", "", "the configuration file")
	cmd.Flags().StringVar(&o.addressFile, "address-file", "", "write the addresses listened on to this file, as JSON, once all listen")
	command.Files(cmd, "config", "toml")
	return cmd
}

func runServe(ctx context.Context, o serveOptions, errOut io.Writer) error {
	if o.config == "" {
		return fmt.Errorf("%w: give the configuration file with --config", command.ErrUsage)
	}
	s, err := daemon.Load(o.config)
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	return daemon.Run(ctx, s, daemon.Options{AddressFile: o.addressFile, Version: command.Release, Reload: hangup,
		Logger: slog.New(folded.Handler(slog.NewJSONHandler(errOut, &slog.HandlerOptions{Level: s.LogLevel})))})
}
