package settle

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// settleEntries settles bank batches: it takes files that were begun up again, and makes new ones
// of the other batches.
func (s *settlement) settleEntries(ctx context.Context, batches []book.Batch) error {
	var failures []error
	var begun []string
	var fresh []book.Batch
	for _, b := range batches {
		switch {
		case b.Stage == book.BatchDone || ctx.Err() != nil:
		case b.File != "":
			if !slices.Contains(begun, b.File) {
				begun = append(begun, b.File)
			}
		case b.Due() == 0:
			failures = append(failures, s.finish(ctx, b))
		default:
			fresh = append(fresh, b)
		}
	}
	files, err := s.begin(ctx, fresh)
	failures = append(failures, err)
	for _, name := range append(begun, files...) {
		f, err := s.filing(name)
		if err == nil {
			err = f.make(ctx)
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", name, err))
		}
	}
	return errors.Join(failures...)
}

// begin fixes the names of new files and which batches they settle.
func (s *settlement) begin(ctx context.Context, batches []book.Batch) (names []string, err error) {
	if len(batches) == 0 {
		return nil, nil
	}
	if err := s.engine.bankReady(); err != nil {
		return nil, err
	}
	var failures []error
	var fit []book.Batch
	for _, b := range batches {
		if err := s.engine.fits(b); err != nil {
			failures = append(failures, fmt.Errorf("%s of %s: %w", b.ID(), b.Merchant, err))
			continue
		}
		fit = append(fit, b)
	}
	for _, numbers := range inFiles(fit) {
		name, err := s.beginFile(ctx, numbers)
		if err != nil {
			failures = append(failures, err)
			break
		}
		names = append(names, name)
	}
	return names, errors.Join(failures...)
}

// bankReady tells whether files can be made.
func (e *Engine) bankReady() error {
	if e.cfg.Bank == nil {
		return fmt.Errorf("there are bank entries to settle, and no bank is configured: say in the vault's settings who sends files to whom: %w", ErrConflict)
	}
	return nil
}

// fits tells whether a file can hold a batch at all.
func (e *Engine) fits(b book.Batch) error {
	debits, credits := b.Sums()
	if debits > book.MaxFileAmount || credits > book.MaxFileAmount || b.Count() > book.MaxFileEntries {
		return fmt.Errorf("a file holds %d entries and %d cents of debits and of credits, and not this batch: settle it with the bank by hand: %w",
			book.MaxFileEntries, int64(book.MaxFileAmount), ErrConflict)
	}
	return e.cfg.Ledger.View(func(tx *ledger.Tx) error {
		m, found, err := tx.Merchant(b.Merchant)
		if err != nil || !found {
			return orMissing(err, "merchant "+b.Merchant)
		}
		if err := nacha.Company(m.Policy.Company).Check(); err != nil {
			return fmt.Errorf("%w in the merchant's policy; set it, then settle again: %w", err, ErrConflict)
		}
		return nil
	})
}

// inFiles puts batches into as few files as hold them in their order.
func inFiles(batches []book.Batch) (files [][]uint32) {
	var debits, credits, entries int64
	for i, b := range batches {
		d, c := b.Sums()
		if i == 0 || debits+d > book.MaxFileAmount || credits+c > book.MaxFileAmount || entries+b.Count() > book.MaxFileEntries {
			files = append(files, nil)
			debits, credits, entries = 0, 0, 0
		}
		files[len(files)-1] = append(files[len(files)-1], b.Number)
		debits, credits, entries = debits+d, credits+c, entries+b.Count()
	}
	return files
}

// beginFile commits a file's name, days and batches. What it is called and dated stays as it is,
// however often it has to be written.
func (s *settlement) beginFile(ctx context.Context, numbers []uint32) (name string, err error) {
	bank := s.engine.cfg.Bank
	err = s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		if err != nil {
			return err
		}
		made := tx.Now().In(bank.Calendar.Location)
		day := made.Format(time.DateOnly)
		n := v.NextFile(day)
		if day < v.Files.Day {
			return fmt.Errorf("the newest settlement file is of %s, and the bank's clock says %s: settle again then, or correct the time zone: %w", v.Files.Day, day, ErrUnavailable)
		}
		if n > book.MaxFilesPerDay {
			return fmt.Errorf("all %d settlement files of %s are made: settle again tomorrow: %w", book.MaxFilesPerDay, day, ErrUnavailable)
		}
		name = fmt.Sprintf("nightdrop-%s-%c.ach", made.Format("20060102"), book.Modifier(n))
		if err := bank.vacant(name); err != nil {
			return err
		}
		_, err = tx.Append(s.actor.Event("", book.FileBegun{Name: name, Day: day, Modifier: n,
			Effective: bank.Calendar.Effective(made).Format(time.DateOnly), Batches: numbers}))
		return err
	})
	return name, err
}
