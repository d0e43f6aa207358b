package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

func newAuditOpeningCommand(g *global, c console) *cobra.Command {
	var q control.OpeningQuery
	cmd := &cobra.Command{
		Use:   "opening FILE --auditor NAME",
		Short: "Write the state from which an auditor's replay begins",
		Long: `Write what the log comes to before an auditor's first entry into a new file on the vault's host, signed by the vault: the opening balances
from which "vault audit replay" goes on. It holds no account data, but merchants, payments and totals in clear: give it to the auditor alone.
It is the vault's word, not proved by anything but its signature; every entry after it is. That it was given out stands in the log.`,
		Example: "  vault audit opening /media/auditor/anna.state --auditor anna",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if q.Auditor == "" {
				return fmt.Errorf("%w: --auditor names whose replay begins (vault audit auditor list)", command.ErrUsage)
			}
			var err error
			if q.File, err = filepath.Abs(args[0]); err != nil {
				return err
			}
			return follow(g, c, "folding", func(client *control.Client, progress operator.Progress) (control.Opening, error) {
				return client.WriteOpening(cmd.Context(), q, progress)
			}, func(w io.Writer, opening control.Opening) {
				fmt.Fprintf(w, "state before entry %d in %s, signed; %s's replay begins there\n", opening.Size, opening.File, opening.Auditor)
			})
		},
	}
	cmd.Flags().StringVar(&q.Auditor, "auditor", "", "whose time begins there")
	g.actingFlags(cmd)
	return cmd
}
