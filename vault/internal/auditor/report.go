package auditor

import (
	"errors"
	"fmt"
	"io"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/replay"
	"nightdrop/vault/internal/report"
)

// Report writes a replay's state: a row a payment to sheet and a page to page, either of which may
// be nil. They equal the vault's own report of the span, but for the page's head, which names the
// auditor and the log. The zero span includes the payments of no batch.
func Report(s *replay.State, name string, span report.Span, sheet, page io.Writer) error {
	if err := span.Check(); err != nil {
		return fmt.Errorf("%w: %w", ErrUsage, err)
	}
	if span.Merchant != "" {
		if found, err := s.Merchant(span.Merchant); err != nil || !found {
			return errors.Join(err, replay.ErrNoMerchant)
		}
	}
	builder := report.NewBuilder(report.Report{Vault: s.Origin, Made: s.Time, Subject: span.Subject(), Merchant: span.Merchant, From: span.From, To: span.To,
		Replayed: &report.Replayed{By: name, Entries: s.Size, Root: s.Root.String()}})
	held := map[uint32]bool{0: span == report.Span{}}
	for _, batch := range s.Batches() {
		if !span.Holds(batch) {
			continue
		}
		file, err := s.File(batch.File)
		if err != nil {
			return err
		}
		builder.Batch(batch, file)
		held[batch.Number] = true
	}
	var rows []report.Payment
	var csv *report.CSV
	var err error
	if sheet != nil {
		if csv, err = report.NewCSV(sheet); err != nil {
			return err
		}
	}
	err = s.Payments(func(p book.Payment) bool { return held[p.Batch] }, func(p book.Payment) error {
		row := builder.Payment(p)
		if page != nil && len(rows) < report.MaxPageRows {
			rows = append(rows, row)
		}
		if csv == nil {
			return nil
		}
		return csv.Write(row)
	})
	if err == nil && csv != nil {
		err = csv.Close()
	}
	if err == nil && page != nil {
		err = builder.Report().HTML(page, rows)
	}
	return err
}
