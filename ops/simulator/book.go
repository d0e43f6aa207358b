package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/command"
	"nightdrop/shared/text"
)

// bookOptions are the flags of book.
type bookOptions struct {
	book string // file
	json bool
}

func newBookCommand() *cobra.Command {
	var opts bookOptions
	cmd := &cobra.Command{
		Use:     "book --book FILE",
		Short:   "Show what the host has booked; a simulator may be running",
		Example: "  simulator book --book simulator.book --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.book == "" {
				return fmt.Errorf("%w: --book FILE is needed: the book to show", command.ErrUsage)
			}
			return runBook(opts, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&opts.book, "book", "", "file of the host's book")
	cmd.Flags().BoolVar(&opts.json, "json", false, "print totals and every transaction as one JSON object")
	return cmd
}

func runBook(opts bookOptions, out io.Writer) error {
	st, err := host.ReadBook(opts.book)
	if err != nil {
		return err
	}
	if opts.json {
		return command.JSON(out, st)
	}
	return printBook(st, out)
}

func printBook(st host.Statement, out io.Writer) error {
	return command.Table(out, func(w io.Writer) { printTotals(w, st) })
}

func printTotals(w io.Writer, st host.Statement) {
	command.Row(w, "ACCEPTOR", "BATCH", "CURRENCY", "DEBITS", "AMOUNT", "REVERSED", "AMOUNT", "STANDING", "AMOUNT", "REFUNDS", "AMOUNT")
	for _, t := range st.Totals {
		amount := text.Thousands // minor units
		command.Row(w, t.Acceptor, t.Batch, t.Currency, t.Debits.Number, amount(t.Debits.Amount), t.Reversed.Number, amount(t.Reversed.Amount),
			t.Standing.Number, amount(t.Standing.Amount), t.CreditsStanding.Number, amount(t.CreditsStanding.Amount))
	}
	_, _ = fmt.Fprintf(w, "\n%d sales, %d holds, %d captures, %d refunds: %d charged, %d credited, %d reversed, %d declined; %d came again, %d twice over\n",
		st.Sales, st.Holds, st.Captures, st.Refunds, st.Charged, st.Credited, st.Reversed, st.Declined, st.Repeats, len(st.Doubled))
}
