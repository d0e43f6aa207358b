package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/command"
	"nightdrop/shared/text"
)

// listingOptions are the flags of listing.
type listingOptions struct {
	book     string // file
	acceptor string // field 42
	batch    uint32 // field 60
	json     bool
}

func newListingCommand() *cobra.Command {
	var opts listingOptions
	cmd := &cobra.Command{
		Use:   "listing --book FILE --acceptor NAME --batch N",
		Short: "List what stands of a batch, as an acquirer does for a merchant to compare",
		Long: `Listing prints every sale, capture and refund of an acceptor's batch that was approved and not reversed, in the order taken, as CSV:
rrn,stan,terminal,kind,amount,currency. Amounts are minor units, currencies ISO 4217 numbers.`,
		Example: "  simulator listing --book simulator.book --acceptor BOOKSHOP --batch 7 > listing.csv",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.book == "" || opts.acceptor == "" || opts.batch < 1 || opts.batch > 999_999 {
				return fmt.Errorf("%w: --book FILE, --acceptor NAME and --batch N (1 to 999999) are needed", command.ErrUsage)
			}
			return runListing(opts, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.book, "book", "", "file of the host's book")
	flags.StringVar(&opts.acceptor, "acceptor", "", "card acceptor that the batch is of (field 42)")
	flags.Uint32Var(&opts.batch, "batch", 0, "number of the batch (field 60)")
	flags.BoolVar(&opts.json, "json", false, "print a JSON list of the transactions instead")
	return cmd
}

func runListing(opts listingOptions, out io.Writer) error {
	st, err := host.ReadBook(opts.book)
	if err != nil {
		return err
	}
	list := st.Listing(opts.acceptor, fmt.Sprintf("%06d", opts.batch))
	if opts.json {
		return command.JSON(out, list)
	}
	w := text.NewCSV(out)
	if err := w.Header("rrn", "stan", "terminal", "kind", "amount", "currency"); err != nil {
		return err
	}
	for _, t := range list {
		var line text.Row
		for _, cell := range []string{t.RRN, t.STAN, t.Terminal, string(t.Kind)} {
			line.Text(cell)
		}
		line.Number(t.Amount)
		line.Text(t.Currency)
		if err := w.Write(line); err != nil {
			return err
		}
	}
	return w.Flush()
}
