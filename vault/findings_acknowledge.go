package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newFindingsAcknowledgeCommand(g *global, c console) *cobra.Command {
	var a control.Acknowledging
	cmd := &cobra.Command{
		Use:   "acknowledge NUMBER|FROM-THROUGH --reason TEXT [--kind KIND] [--withdraw]",
		Short: "Say that findings were looked into, and what they were",
		Long: `Say that findings were looked into, and what they were. The reason, and whose it is, stand in the log for ever, and what was found stays there
too. Of a range those are acknowledged that were not yet, with --kind only this kind. --withdraw takes the word back.`,
		Example: "  vault findings acknowledge 17 --reason \"relay-one's disk was replaced on Tuesday, ticket 4711\"\n" +
			"  vault findings acknowledge 18-40 --kind unknown-merchant --reason \"shop-9 was never enrolled; told to stop\"",
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			first, last, ranged := strings.Cut(args[0], "-")
			var err error
			if a.From, err = findingNumber(first); err != nil {
				return err
			}
			if a.Through = a.From; ranged {
				if a.Through, err = findingNumber(last); err != nil {
					return err
				}
			}
			if a.Through < a.From {
				return fmt.Errorf("%w: a range of findings is FROM-THROUGH, the lower number first", command.ErrUsage)
			}
			if err := checkFinding(a.Kind); err != nil {
				return err
			}
			if g.reason == "" {
				return fmt.Errorf("%w: --reason is needed: what it was, and what was done", command.ErrUsage)
			}
			return ask(g, c, func(client *control.Client) ([]control.Finding, error) {
				return client.Acknowledge(cmd.Context(), a)
			}, func(w io.Writer, done []control.Finding) {
				state := "acknowledged"
				if a.Withdraw {
					state = "open again"
				}
				for _, f := range done {
					command.Row(w, fmt.Sprintf("finding %d (%s) is %s", f.Number, f.Kind, state))
				}
				if len(done) == 0 {
					command.Row(w, "none of them waits for that word")
				}
			})
		},
	}
	cmd.Flags().StringVar((*string)(&a.Kind), "kind", "", "of a range, only findings of this kind")
	cmd.Flags().BoolVar(&a.Withdraw, "withdraw", false, "take an acknowledgement back")
	g.actingFlags(cmd)
	return cmd
}
