package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/report"
)

func newPaymentShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show MERCHANT/ID",
		Short:   "Show a payment; of its account never more than the masked number",
		Example: "  vault payment show shop-1/0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			name, err := paymentName(args[0])
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

// paymentName reads the payment that a word of the command line names.
func paymentName(text string) (book.Key, error) {
	name, err := control.ParsePaymentName(text)
	if err != nil {
		err = fmt.Errorf("%w: %w", command.ErrUsage, err)
	}
	return name, err
}

func printPayment(w io.Writer, p control.Payment) {
	command.Row(w, "payment", p.Name)
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
	if p.Limit != "" {
		command.Row(w, "limit", fmt.Sprintf("%s: %s", p.Limit, p.Limit.Means()))
	}
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
	command.Row(w, "batch", orDash(p.Batch))
	printEntry(w, p)
	if p.Tries > 0 {
		command.Row(w, "tries", p.Tries)
	}
	if !p.RepeatedSince.IsZero() {
		command.Row(w, "repeated", fmt.Sprintf("since %s, sent %d times", moment(p.RepeatedSince), p.Repeats))
	}
	if p.Answer != "" {
		command.Row(w, "last answer", p.Answer)
	}
	printTimeline(w, p.Timeline)
}

// printEntry shows what only bank entries have.
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

// printTimeline shows what happened to a payment, a line each.
func printTimeline(w io.Writer, steps []report.Step) {
	fmt.Fprintln(w)
	command.Row(w, "TIME", "STEP", "WHAT")
	for _, s := range steps {
		command.Row(w, moment(s.Time), s.Kind, stepText(s))
	}
}

// stepText describes a step.
func stepText(s report.Step) string {
	money := ""
	if s.Currency != "" {
		money = envelope.FormatAmount(s.Amount, s.Currency)
	}
	var parts []string
	switch s.Kind {
	case report.StepReceived, report.StepOperation:
		parts = append(parts, orDash(string(s.Operation)), money, s.Payment)
	case report.StepResult:
		parts = append(parts, fmt.Sprintf("%d: %s", s.Result, s.Status), money)
	case report.StepDecision:
		parts = append(parts, string(s.Status)+" by "+s.Actor, s.Reason)
		if s.Corrects {
			parts[0] = "corrected to " + parts[0]
		}
	case report.StepAdjusted:
		parts = append(parts, "by "+s.Actor, s.Reason)
	case report.StepSentAgain:
		parts = append(parts, fmt.Sprintf("by a person, after %d tries", s.Tries))
	}
	parts = append(parts, string(s.Code), s.Batch, s.File)
	if s.Approval != "" {
		parts = append(parts, "approval "+s.Approval)
	}
	if s.Evidence != "" {
		parts = append(parts, "evidence "+s.Evidence)
	}
	if s.Trace != nil {
		parts = append(parts, traceText(s.Trace))
	}
	if s.Entry != nil {
		parts = append(parts, fmt.Sprintf("log entry %d", *s.Entry))
	}
	return strings.Join(slices.DeleteFunc(parts, func(part string) bool { return part == "" }), ", ")
}

func traceText(t *book.Trace) string {
	return fmt.Sprintf("terminal %s, trace %06d, reference %s", t.Terminal, t.STAN, t.RRN)
}
