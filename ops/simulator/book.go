package main

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/command"
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
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(w, "ACCEPTOR\tBATCH\tCURRENCY\tDEBITS\tAMOUNT\tREVERSED\tAMOUNT\tSTANDING\tAMOUNT\tREFUNDS\tAMOUNT")
	for _, t := range st.Totals {
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t%d\n", t.Acceptor, t.Batch, t.Currency, t.Debits.Number, t.Debits.Amount,
			t.Reversed.Number, t.Reversed.Amount, t.Standing.Number, t.Standing.Amount, t.CreditsStanding.Number, t.CreditsStanding.Amount)
	}
	_, _ = fmt.Fprintf(w, "\n%d sales, %d holds, %d captures, %d refunds: %d charged, %d credited, %d reversed, %d declined; %d came again, %d twice over\n",
		st.Sales, st.Holds, st.Captures, st.Refunds, st.Charged, st.Credited, st.Reversed, st.Declined, st.Repeats, len(st.Doubled))
	return w.Flush()
}
