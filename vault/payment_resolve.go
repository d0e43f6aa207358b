package main

import (
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
)

// resolutions are what a person may say became of a payment.
var resolutions = []envelope.Status{envelope.StatusReversed, envelope.StatusApproved, envelope.StatusVoided, envelope.StatusCaptured, envelope.StatusDeclined,
	envelope.StatusReturned}

func newPaymentResolveCommand(g *global, c console) *cobra.Command {
	var r control.Resolution
	var evidence string
	cmd := &cobra.Command{
		Use:   "resolve MERCHANT/ID --as STATUS --reason TEXT [--correct [--reverse]] [--evidence FILE]",
		Short: "Say what became of a payment that the acquirer never answered for",
		Long: `Say what became of a payment whose reversal or capture is repeated without an answer (status unknown, voiding,
capturing or correcting), or was for hours in vain (manual): a person asks the acquirer and decides. "vault payment show" tells what it may be resolved as: a sale, authorisation
or refund reversed or approved, a voided payment voided or approved, a capture captured or declined. Nothing about the payment is sent any
more before the word is taken: a message that is under way is waited for, and where its answer comes in that moment, the answer counts
and the command fails (exit code 6). The merchant is told, and the reason stands in the log for ever. "vault payment resend" sends again.

With --correct it is said against what a person said before, and is what is true at the acquirer. Before the payment's batch is closed the
payment moves: what does not stand falls, and its merchant is told so; what stands though its merchant was told otherwise is taken back by a
reversal, and nobody is told that it stands. After the close totals stay as they are, and the batch gets an adjustment line that names the
payment. --reverse has the vault take it back at the acquirer all the same, at once or later, where its host still reverses it; the line
goes when that is done. --evidence names a file that proves it, a letter or a listing: its SHA-256 goes into the log, and the file is yours to keep.

--as returned records that the bank returned an entry, where it said so otherwise than in a file that "vault returns import" takes: --code is its
reason, --evidence a file that proves it (a letter, a page of the bank's), of which the SHA-256 goes into the log. Where a file brings the same return
later, it is a repeat; another reason is listed there. R61 to R77 are between banks and return no entry.`,
		Example: "  vault payment resolve shop-1/0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07 --as reversed --reason \"acquirer, call 4711: never charged\"\n" +
			"  vault payment resolve shop-1/0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07 --correct --as approved --reason \"its listing has it\" --evidence listing.csv\n" +
			"  vault payment resolve shop-1/0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07 --as returned --code ach-R03 --reason \"bank's portal\" --evidence page.pdf",
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := paymentName(args[0])
			if err != nil {
				return err
			}
			if r.Merchant, r.ID = name.Merchant, name.ID; !slices.Contains(resolutions, r.As) {
				return fmt.Errorf("%w: --as is one of %v", command.ErrUsage, resolutions)
			}
			if returned := r.As == envelope.StatusReturned; returned != (r.Code != "") || returned && evidence == "" {
				return fmt.Errorf("%w: --as returned needs --code ach-RNN and --evidence FILE, and nothing else takes a code", command.ErrUsage)
			}
			if r.Reverse && !r.Correct || r.Correct && r.As == envelope.StatusReturned {
				return fmt.Errorf("%w: --reverse goes with --correct, and --correct is of card payments", command.ErrUsage)
			}
			if g.reason == "" {
				return fmt.Errorf("%w: --reason is needed: who said so, and where it can be looked up", command.ErrUsage)
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			if r.Evidence, err = digestOf(evidence); err != nil {
				return err
			}
			p, err := client.Resolve(cmd.Context(), r)
			if err != nil {
				return err
			}
			return g.print(c.out, p, func(w io.Writer) { fmt.Fprintf(w, "%s is %s\n", p.Name, p.Status) })
		},
	}
	cmd.Flags().StringVar((*string)(&r.As), "as", "", "what became of it: reversed, approved, voided, captured or declined; returned of a bank entry")
	cmd.Flags().StringVar((*string)(&r.Code), "code", "", "with --as returned: the bank's reason, such as ach-R03")
	cmd.Flags().BoolVar(&r.Correct, "correct", false, "say it against what a person said of the payment before")
	cmd.Flags().BoolVar(&r.Reverse, "reverse", false, "with --correct: take back at the acquirer what stands there, though its batch is closed")
	evidenceFlag(cmd, &evidence)
	g.actingFlags(cmd)
	return cmd
}
