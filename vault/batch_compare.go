package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
)

type batchCompareOptions struct{ listing string }

func newBatchCompareCommand(g *global, c console) *cobra.Command {
	var opts batchCompareOptions
	cmd := &cobra.Command{
		Use:   "compare BATCH --listing FILE",
		Short: "Compare a card batch with the acquirer's listing, payment by payment",
		Long: `Compare a closed card batch with the acquirer's listing of it, payment by payment: what is missing here, what is missing there, and where
the amounts differ (exit code 7). The listing is a CSV whose first line is "rrn,stan,terminal,kind,amount,currency". Nothing is changed.`,
		Example: "  vault batch compare card-000017 --listing acquirer.csv",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if opts.listing == "" {
				return fmt.Errorf("%w: --listing is needed: the acquirer's listing of the batch", command.ErrUsage)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			_, done := bar(c.errOut, "comparing")
			compared, err := runBatchCompare(cmd.Context(), client, args[0], opts)
			done()
			if err != nil {
				return err
			}
			if err := g.print(c.out, compared, func(w io.Writer) { printComparison(w, compared) }); err != nil {
				return err
			}
			if n := len(compared.Differences); n > 0 {
				return &control.Error{Code: control.CodeIntegrity, Detail: fmt.Sprintf("%s and the acquirer's listing differ in %s: have that explained, and put right there, or correct a person's word (payment resolve --correct), or take it in (batch adjust)", compared.Batch.ID, differences(n))}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&opts.listing, "listing", "", "the acquirer's listing, CSV")
	g.readingFlags(cmd)
	return cmd
}

func runBatchCompare(ctx context.Context, client *control.Client, batch string, opts batchCompareOptions) (control.Comparison, error) {
	file, err := command.Open(opts.listing)
	if err != nil {
		return control.Comparison{}, err
	}
	defer file.Close()
	b, err := findBatch(ctx, client, batch)
	if err != nil {
		return control.Comparison{}, err
	}
	return client.Compare(ctx, b.Number, file)
}

func printComparison(w io.Writer, compared control.Comparison) {
	fmt.Fprintf(w, "%s: %d payments here, %d in the listing; they differ in %s\n", compared.Batch.ID, compared.Ours, compared.Theirs, differences(len(compared.Differences)))
	if len(compared.Differences) == 0 {
		return
	}
	command.Row(w, "DIFFERENCE", "LINE", "RRN", "STAN", "TERMINAL", "OURS", "THEIRS", "PAYMENT")
	for _, d := range compared.Differences {
		named := d.Theirs
		if named == nil {
			named = d.Ours
		}
		line := "-"
		if d.Line > 0 {
			line = fmt.Sprint(d.Line)
		}
		command.Row(w, d.Problem, line, named.RRN, fmt.Sprintf("%06d", named.STAN), named.Terminal, listedAmount(d.Ours), listedAmount(d.Theirs), orDash(d.Payment))
	}
}

// listedAmount is what one side has of a payment: "sale 12.50 EUR".
func listedAmount(l *control.Listed) string {
	if l == nil {
		return "-"
	}
	return l.Kind + " " + envelope.FormatAmount(l.Amount, l.Currency)
}
