package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

func newPaymentShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show MERCHANT/ID",
		Short:   "Show a payment; of its account never more than the masked number",
		Example: "  vault payment show shop-1/0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07",
		Args:    command.Arguments(cobra.RangeArgs(1, 2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := paymentName(args)
			if err == nil && name.Merchant == "" {
				err = fmt.Errorf("%w: %w", command.ErrUsage, control.ErrPaymentName)
			}
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			p, err := client.Payment(cmd.Context(), name.Merchant, name.ID)
			if err != nil {
				return err
			}
			return g.print(c.out, p, func(w io.Writer) { printPayment(w, p) })
		},
	}
	g.readingFlags(cmd)
	return cmd
}

// paymentName reads the payment that a command's arguments name.
func paymentName(args []string) (control.PaymentName, error) {
	name, err := control.ParsePaymentName(args...)
	if err != nil {
		err = fmt.Errorf("%w: %w", command.ErrUsage, err)
	}
	return name, err
}

func printPayment(w io.Writer, p control.Payment) {
	command.Row(w, "payment", p.ID)
	command.Row(w, "merchant", p.Merchant)
	command.Row(w, "digest", p.Digest)
	command.Row(w, "operation", orDash(string(p.Operation)))
	if p.Of != "" {
		command.Row(w, "of payment", p.Of)
	}
	command.Row(w, "status", p.Status)
	if len(p.Resolutions) > 0 {
		command.Row(w, "to be resolved as", fmt.Sprint(p.Resolutions))
	}
	if len(p.Corrections) > 0 {
		command.Row(w, "to be corrected to", fmt.Sprint(p.Corrections))
	}
	if p.AtHost {
		command.Row(w, "at the acquirer", "stands, by a person's word, though its merchant was told otherwise")
	}
	command.Row(w, "code", orDash(string(p.Code)))
	command.Row(w, "amount", amount(p))
	if p.Captured > 0 {
		command.Row(w, "captured", envelope.FormatAmount(p.Captured, p.Currency))
	}
	if p.Refunded > 0 {
		command.Row(w, "refunded", envelope.FormatAmount(p.Refunded, p.Currency))
	}
	command.Row(w, "reference", orDash(p.Reference))
	command.Row(w, "account", strings.TrimSpace(orDash(p.Masked)+" "+p.Brand))
	if p.Token != "" {
		command.Row(w, "token", p.Token)
	}
	command.Row(w, "approval", orDash(p.Approval))
	command.Row(w, "batch", orDash(p.BatchID()))
	printEntry(w, p)
	command.Row(w, "received", moment(p.Received))
	command.Row(w, "changed", moment(p.Changed))
	printTrace(w, "sent as", p.Trace)
	printTrace(w, "reversed as", p.Reversal)
	if p.Tries > 0 {
		command.Row(w, "tries", p.Tries)
	}
	if !p.RepeatedSince.IsZero() {
		command.Row(w, "repeated", fmt.Sprintf("since %s, sent %d times", moment(p.RepeatedSince), p.Repeats))
	}
	if p.Answer != "" {
		command.Row(w, "last answer", p.Answer)
	}
	command.Row(w, "results", fmt.Sprint(p.Results))
	printDecisions(w, p.Decisions)
	printOperations(w, p.Operations)
}

// printDecisions shows who said what became of a payment, when and why.
func printDecisions(w io.Writer, decisions []book.Decision) {
	if len(decisions) == 0 {
		return
	}
	fmt.Fprintln(w)
	command.Row(w, "DECIDED", "BY", "AS", "REASON", "EVIDENCE")
	for _, d := range decisions {
		as := string(d.As)
		if d.Corrects {
			as += " (correction)"
		}
		command.Row(w, moment(d.Time), d.Actor, as, d.Reason, orDash(d.Evidence))
	}
}

// printEntry shows what is told of a bank entry alone.
func printEntry(w io.Writer, p control.Payment) {
	if p.Standard != "" {
		command.Row(w, "entry", strings.TrimSpace(p.Standard+" "+p.Entry))
	}
	if p.File != "" {
		command.Row(w, "file", p.File)
	}
	if p.Notice != "" {
		command.Row(w, "notice of change", p.Notice)
	}
	if len(p.Notices) > 0 {
		command.Row(w, "notices told", strings.Join(p.Notices, " "))
	}
	if p.Withheld != "" {
		command.Row(w, "not sent", fmt.Sprintf("the sale that it refunds came back (%s): its account would be paid what it never paid", p.Withheld))
	}
	if p.Acked {
		command.Row(w, "acknowledged", "yes")
	}
}

// printOperations lists what was done about a payment: captures, refunds, voids.
func printOperations(w io.Writer, operations []control.Payment) {
	if len(operations) == 0 {
		return
	}
	fmt.Fprintln(w)
	command.Row(w, "OPERATION", "PAYMENT", "STATUS", "CODE", "AMOUNT", "BATCH", "RECEIVED")
	for _, o := range operations {
		command.Row(w, o.Operation, o.ID, o.Status, orDash(string(o.Code)), amount(o), orDash(o.BatchID()), moment(o.Received))
	}
}

func printTrace(w io.Writer, name string, t *book.Trace) {
	if t != nil {
		command.Row(w, name, fmt.Sprintf("terminal %s, trace %06d, reference %s, %s", t.Terminal, t.STAN, t.RRN, moment(t.Sent)))
	}
}
