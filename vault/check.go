package main

import (
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

func newCheckCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the whole ledger, while the vault goes on",
		Long: `Check the whole ledger, as it is when the check begins, while the vault goes on: the structure of its file; that every record opens in its
place; the sum of each bucket; the log's tree, hashed again; the state, folded again from the log; every index; each merchant's chain of
results. It takes about 1 KB of memory a payment, and what is committed meanwhile makes the file grow. It changes nothing, and may be
interrupted. An unlock has compared already what money hangs on; this proves the rest, and that the records are what the log makes them.

Exit code 7 where something does not hold, with what and in which file: then the vault stops at once, for nothing that it reads there can be
believed. Keep the file as it is. Where the log itself is sound, vault unlock --rebuild makes the records from it anew.`,
		Example: "  vault check --dir /var/lib/nightdrop\n  vault check --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return follow(g, c, "checking", func(client *control.Client, progress operator.Progress) (control.Checked, error) {
				return client.Check(cmd.Context(), progress)
			}, func(w io.Writer, checked control.Checked) {
				fmt.Fprintf(w, "sound: %d entries of the log, %d payments, in %s\n", checked.Entries, checked.Payments,
					time.Duration(checked.Seconds*float64(time.Second)).Round(time.Millisecond))
			})
		},
	}
	g.readingFlags(cmd)
	return cmd
}
