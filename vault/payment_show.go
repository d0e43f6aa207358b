package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

func newPaymentShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show MERCHANT ID",
		Short:   "Show a payment; of its account never more than the masked number",
		Example: "  vault payment show shop-1 0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07",
		Args:    arguments(cobra.ExactArgs(2)),
		RunE: func(cmd *cobra.Command, args []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			p, err := client.Payment(cmd.Context(), args[0], args[1])
			if err != nil {
				return err
			}
			return g.print(c.out, p, func(w io.Writer) { printPayment(w, p) })
		},
	}
	g.readingFlags(cmd)
	return cmd
}

func printPayment(w io.Writer, p control.Payment) {
	row(w, "payment", p.ID)
	row(w, "merchant", p.Merchant)
	row(w, "digest", p.Digest)
	row(w, "operation", orDash(string(p.Operation)))
	if p.Of != "" {
		row(w, "of payment", p.Of)
	}
	row(w, "status", p.Stage)
	if len(p.Resolutions) > 0 {
		row(w, "to be resolved as", fmt.Sprint(p.Resolutions))
	}
	if len(p.Corrections) > 0 {
		row(w, "to be corrected to", fmt.Sprint(p.Corrections))
	}
	if p.AtHost {
		row(w, "at the acquirer", "stands, by a person's word, though its merchant was told otherwise")
	}
	row(w, "code", orDash(string(p.Code)))
	row(w, "amount", amount(p))
	if p.Captured > 0 {
		row(w, "captured", envelope.FormatAmount(p.Captured, p.Currency))
	}
	if p.Refunded > 0 {
		row(w, "refunded", envelope.FormatAmount(p.Refunded, p.Currency))
	}
	row(w, "reference", orDash(p.Reference))
	row(w, "account", strings.TrimSpace(orDash(p.Masked)+" "+p.Brand))
	if p.Token != "" {
		row(w, "token", p.Token)
	}
	row(w, "approval", orDash(p.Approval))
	row(w, "batch", orDash(p.BatchID()))
	printEntry(w, p)
	row(w, "received", moment(p.Received))
	row(w, "changed", moment(p.Changed))
	printTrace(w, "sent as", p.Trace)
	printTrace(w, "reversed as", p.Reversal)
	if p.Tries > 0 {
		row(w, "tries", p.Tries)
	}
	if !p.RepeatedSince.IsZero() {
		row(w, "repeated", fmt.Sprintf("since %s, sent %d times", moment(p.RepeatedSince), p.Repeats))
	}
	if p.Answer != "" {
		row(w, "last answer", p.Answer)
	}
	row(w, "results", fmt.Sprint(p.Results))
	printDecisions(w, p.Decisions)
	printOperations(w, p.Operations)
}

// printDecisions shows who said what became of a payment, when and why.
func printDecisions(w io.Writer, decisions []book.Decision) {
	if len(decisions) == 0 {
		return
	}
	fmt.Fprintln(w)
	row(w, "DECIDED", "BY", "AS", "REASON", "EVIDENCE")
	for _, d := range decisions {
		as := string(d.As)
		if d.Corrects {
			as += " (correction)"
		}
		row(w, moment(d.Time), d.Actor, as, d.Reason, orDash(d.Evidence))
	}
}

// printEntry shows what is told of a bank entry alone.
func printEntry(w io.Writer, p control.Payment) {
	if p.Standard != "" {
		row(w, "entry", strings.TrimSpace(p.Standard+" "+p.Entry))
	}
	if p.File != "" {
		row(w, "file", p.File)
	}
	if p.Notice != "" {
		row(w, "notice of change", p.Notice)
	}
	if len(p.Notices) > 0 {
		row(w, "notices told", strings.Join(p.Notices, " "))
	}
	if p.Withheld != "" {
		row(w, "not sent", fmt.Sprintf("the sale that it refunds came back (%s): its account would be paid what it never paid", p.Withheld))
	}
	if p.Acked {
		row(w, "acknowledged", "yes")
	}
}

// printOperations lists what was done about a payment: captures, refunds, voids.
func printOperations(w io.Writer, operations []control.Payment) {
	if len(operations) == 0 {
		return
	}
	fmt.Fprintln(w)
	row(w, "OPERATION", "PAYMENT", "STATUS", "CODE", "AMOUNT", "BATCH", "RECEIVED")
	for _, o := range operations {
		row(w, o.Operation, o.ID, o.Stage, orDash(string(o.Code)), amount(o), orDash(o.BatchID()), moment(o.Received))
	}
}

func printTrace(w io.Writer, name string, t *book.Trace) {
	if t != nil {
		row(w, name, fmt.Sprintf("terminal %s, trace %06d, reference %s, %s", t.Terminal, t.STAN, t.RRN, moment(t.Sent)))
	}
}
