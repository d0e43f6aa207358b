package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/operator"
)

func newResultsResendCommand(g *global, c console) *cobra.Command {
	var q control.ResendQuery
	cmd := &cobra.Command{
		Use:   "resend MERCHANT [--from SERIAL] [--count N]",
		Short: "Publish a merchant's results of the last 30 days again",
		Long: `Publish results of a merchant again: the same bytes under the same serials, for a shop whose reader says that some are missing. They left the
channel because the merchant was over its share of it, or because the channel lost them. At most a page goes at a time, as many as fit the
merchant's share; the answer names the serial to go on from once the shop has read them. Asking again does no harm. Results that are over 30
days old are not published again. Exit code 5 where there are none, 8 where the channel does not take them now: then they follow by themselves.`,
		Example: "  vault results resend shop-1 --from 12 --count 29 --reason \"ticket 4711: results 12 to 40 are missing\"\n" +
			"  vault results resend shop-1 --json",
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			q.Merchant = args[0]
			if cmd.Flags().Changed("from") && q.From == 0 || cmd.Flags().Changed("count") && q.Count < 1 {
				return fmt.Errorf("%w: --from and --count are 1 or more", command.ErrUsage)
			}
			return follow(g, c, "publishing", func(client *control.Client, progress operator.Progress) (control.Resent, error) {
				return client.ResendResults(cmd.Context(), q, progress)
			}, func(w io.Writer, sent control.Resent) { printResent(w, q, sent) })
		},
	}
	flags := cmd.Flags()
	flags.Uint64Var(&q.From, "from", 0,
		"serial of the first result (the oldest of the last 30 days where it is left out)")
	flags.IntVar(&q.Count, "count", 0, "how many at most (as many as fit where it is left out)")
	g.actingFlags(cmd)
	return cmd
}

func printResent(w io.Writer, q control.ResendQuery, sent control.Resent) {
	fmt.Fprintf(w, "%s: results %d to %d of %d are published again\n", sent.Merchant, sent.From, sent.Through,
		sent.Last)
	if q.From > 0 && q.From < sent.From {
		fmt.Fprintf(w, "results %d to %d are over 30 days old and are not\n", q.From, sent.From-1)
	}
	if sent.Next > 0 {
		fmt.Fprintf(w, "once the shop has read them, go on with --from %d\n", sent.Next)
	}
}
