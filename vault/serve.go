package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"nightdrop/shared/command"
	"nightdrop/shared/folded"
	"nightdrop/vault/internal/daemon"
	"nightdrop/vault/internal/settings"
)

type serveOptions struct{ verbose bool }

func newServeCommand(g *global, c console) *cobra.Command {
	var opts serveOptions
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the vault's daemon, locked until custodians unlock it",
		Long: `Run the vault's daemon. It starts locked, listens on nothing but its unix socket, and dials out to the channel and the acquirer
once it is unlocked. It does not start with what "vault check-config" refuses. SIGTERM stops it after what is outstanding has its answer
(at most stop_grace). When it cannot know what its disk holds it exits at once with code 1, for a supervisor to start it again, and with 7 where it finds its ledger damaged. With
less room on its disks than limits.disk_reserve it takes nothing new until there is room again (vault status).`,
		Example: "  vault serve --dir /var/lib/nightdrop",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := g.settings()
			if err != nil {
				return err
			}
			level := slog.LevelInfo
			if opts.verbose {
				level = slog.LevelDebug
			}
			logger := slog.New(folded.Handler(slog.NewTextHandler(c.errOut, &slog.HandlerOptions{Level: level})))
			return runServe(cmd.Context(), s, c, logger)
		},
	}
	cmd.Flags().BoolVar(&opts.verbose, "verbose", false, "log more")
	return cmd
}

func runServe(ctx context.Context, s settings.Settings, c console, logger *slog.Logger) error {
	if err := s.Check(c.now()); err != nil {
		return err
	}
	if err := harden(); err != nil {
		return err
	}
	// a limit of files' sizes fails a write, as a full disk does; it kills nothing half way
	signal.Ignore(unix.SIGXFSZ)
	err := daemon.Serve(ctx, daemonConfig(s, c.now, logger))
	if errors.Is(err, daemon.ErrRelock) {
		logger.Info("starting anew, locked")
		return relock()
	}
	return err
}

// daemonConfig is what a daemon runs with that is this program.
func daemonConfig(s settings.Settings, now func() time.Time, logger *slog.Logger) daemon.Config {
	return daemon.Config{Settings: s, Version: command.Release, Inspect: inspect, Now: now, Logger: logger}
}

// harden keeps the process's memory from debuggers of the same user and from core files.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid dumps of the process's memory: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}

// hardened has a command, and those below it that say nothing else, keep its memory to itself
// before it reads or makes a secret: a share, or an auditor's key.
func hardened(cmd *cobra.Command) *cobra.Command {
	cmd.PersistentPreRunE = func(*cobra.Command, []string) error { return harden() }
	return cmd
}

// relock executes the program again with the same arguments: a fresh process is the only memory
// that holds no keys. It returns only where that fails; the process then ends, which forgets as
// well.
func relock() error {
	path, err := os.Executable()
	if err != nil {
		return fmt.Errorf("start anew: %w", err)
	}
	// #nosec G204 G702 -- our own path and arguments
	return fmt.Errorf("start anew: %w", syscall.Exec(path, os.Args, os.Environ()))
}
