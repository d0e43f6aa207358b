package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/report"
)

func newBatchShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show BATCH",
		Short:   "Show a batch and its control totals",
		Example: "  vault batch show card-000017",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(g, c, func(client *control.Client) (control.Batch, error) {
				return findBatch(cmd.Context(), client, args[0])
			}, printBatch)
		},
	}
	g.readingFlags(cmd)
	return cmd
}

// parseBatch takes a batch's name (card-000017, bank-000018) or number (17).
func parseBatch(text string) (uint32, error) {
	digits := text
	for _, method := range book.Methods {
		digits = strings.TrimPrefix(digits, string(method)+"-")
	}
	number, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("%w: %q is not a batch; give its name (%s) or number", command.ErrUsage, text, book.BatchID(book.MethodCard, 17))
	}
	return uint32(number), nil
}

// findBatch shows the batch of a name or number; a name is of the method that it says.
func findBatch(ctx context.Context, client *control.Client, text string) (control.Batch, error) {
	number, err := parseBatch(text)
	if err != nil {
		return control.Batch{}, err
	}
	b, err := client.Batch(ctx, number)
	if err == nil && strings.Contains(text, "-") && !strings.HasPrefix(text, string(b.Method)+"-") {
		return b, &control.Error{Code: control.CodeNotFound, Detail: fmt.Sprintf("there is no batch %s; the one of that number is %s", text, b.ID)}
	}
	return b, err
}

func printBatch(w io.Writer, b control.Batch) {
	command.Row(w, "batch", b.ID)
	command.Row(w, "merchant", b.Merchant)
	command.Row(w, "status", b.Status)
	command.Row(w, "opened", moment(b.Opened))
	if b.Closed != nil {
		command.Row(w, "closed", moment(*b.Closed))
	}
	if b.SettledAt != nil {
		command.Row(w, "settled", moment(*b.SettledAt))
	}
	command.Row(w, "totals", money(b.Totals))
	command.Row(w, "hash total", fmt.Sprintf("%010d", b.HashTotal))
	if len(b.Host) > 0 {
		command.Row(w, "acquirer has", money(b.Host))
	}
	if len(b.Lines) > 0 {
		command.Row(w, "with adjustments", money(b.Expected))
	}
	if b.By != "" {
		command.Row(w, "agreed by", b.By)
	}
	if len(b.Failed) > 0 {
		command.Row(w, "not in the file", money(b.Failed))
	}
	printFile(w, b.File)
	command.Row(w, "payments settled", b.Done)
	command.Row(w, "in flight", b.Outstanding)
	command.Row(w, "unknown", b.Unresolved)
	printLines(w, b.Lines)
}

// printLines shows what the acquirer has otherwise, and who accepted it and why.
func printLines(w io.Writer, lines []book.Adjustment) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintln(w)
	command.Row(w, "ADJUSTED", "BY", "ACQUIRER HAS", "PAYMENT", "REASON", "EVIDENCE")
	for _, l := range lines {
		command.Row(w, moment(l.Time), l.Actor, report.Signed(l.Total), orDash(l.Payment), l.Reason, orDash(l.Evidence))
	}
}

// printFile shows a settlement file, if there is one.
func printFile(w io.Writer, f *control.File) {
	if f == nil {
		return
	}
	command.Row(w, "file", f.Name)
	command.Row(w, "file's status", f.Status)
	if f.Digest != "" {
		command.Row(w, "file's digest", f.Digest)
		command.Row(w, "file's debits", envelope.FormatAmount(f.Debits, bankCurrency))
		command.Row(w, "file's credits", envelope.FormatAmount(f.Credits, bankCurrency))
		command.Row(w, "file's entries", fmt.Sprintf("%d, hash %010d", f.Entries, f.EntryHash))
	}
	command.Row(w, "effective", f.Effective)
}

// bankCurrency is that of every NACHA entry.
const bankCurrency = "USD"
