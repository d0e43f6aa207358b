package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

// lockWait is how long lock waits for the vault to come back, beyond the time that it may take to
// stop.
const lockWait = 30 * time.Second

func newLockCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lock",
		Short: "Have the vault forget its keys: its process starts anew, locked",
		Long: `Have the vault forget its keys. It finishes what is outstanding (at most stop_grace), then its process executes itself again, for no
memory can be trusted to forget. The command returns when the vault answers that it is locked.`,
		Example: "  vault lock --dir /var/lib/nightdrop --reason \"end of shift\"",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := g.settings()
			if err != nil {
				return err
			}
			if err := runLock(cmd.Context(), control.NewClient(s.Socket, g.reason), s.StopGrace.Std()+lockWait); err != nil {
				return err
			}
			return g.print(c.out, map[string]bool{"locked": true}, func(w io.Writer) { fmt.Fprintln(w, "locked") })
		},
	}
	g.actingFlags(cmd)
	return cmd
}

func runLock(ctx context.Context, client *control.Client, patience time.Duration) error {
	if err := client.Lock(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		if status, err := client.Status(ctx); err == nil && status.Locked {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the vault accepted to lock and has not come back; look at its log: %w", ctx.Err())
		case <-time.After(50 * time.Millisecond):
		}
	}
}
