package settle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// filing is one settlement file on its way to the bank.
type filing struct {
	*settlement
	file     book.File  // as the ledger has it
	sections []section  // what it holds
	sums     nacha.Sums // of what was staged
}

// filing reads how a file stands.
func (s *settlement) filing(name string) (*filing, error) {
	f := &filing{settlement: s}
	return f, f.load(name)
}

func (f *filing) load(name string) error {
	return f.engine.cfg.Ledger.View(func(tx *ledger.Tx) error {
		found, err := false, error(nil)
		if f.file, found, err = tx.File(name); err != nil || !found {
			return orMissing(err, "file "+name)
		}
		return nil
	})
}

// make takes a file from where it stands to settled batches. Every step is durable before the next
// begins, and does nothing where it was done before: the next run repeats an interrupted one from
// the first step on.
func (f *filing) make(ctx context.Context) error {
	if err := f.number(ctx); err != nil {
		return err
	}
	// A crash here leaves entries with trace numbers in a file that is not fixed: the next run
	// writes it with the same ones.

	for {
		left, err := f.stage(ctx)
		if err != nil {
			return err
		}
		if len(left) == 0 {
			break
		}
		if err := f.refuse(ctx, left); err != nil {
			return err
		}
		// A crash here leaves fewer entries, and nothing staged: the next run stages the file
		// without those that were refused.
	}
	// A crash here leaves a staged file that the log does not know: the next run makes it anew.

	if err := f.fix(ctx); err != nil {
		return err
	}
	// A crash here leaves a staged file whose digest is in the log: the next run gives it its name,
	// or makes it again.

	if err := f.appear(ctx); err != nil {
		return err
	}
	// A crash here leaves the file in the outbox: the next run finds it there with the digest of
	// the log. Where it does not, the bank may have it, and a person decides.

	if err := f.out(ctx); err != nil {
		return err
	}
	// A crash here, or among the payments, leaves the file out and payments filing: the next run
	// marks them settled.

	return f.settle(ctx)
}

func (f *filing) number(ctx context.Context) error {
	if f.file.Stage != book.FileNamed {
		return nil
	}
	if err := f.engine.bankReady(); err != nil {
		return err
	}
	for _, number := range f.file.Batches {
		b, err := f.engine.batch(number)
		if err != nil {
			return err
		}
		_, err = f.inChunks(ctx, b, book.StageAccepted, func(tx *ledger.Tx, id string) (book.Body, error) {
			return f.intent(tx, b.Merchant, id)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (f *filing) intent(tx *ledger.Tx, merchant, id string) (body book.EntryIntended, err error) {
	v, err := tx.Vault()
	if err != nil {
		return body, err
	}
	m, found, err := tx.Merchant(merchant)
	if err != nil || !found {
		return body, orMissing(err, "merchant "+merchant)
	}
	n := v.NextSequence()
	body = book.EntryIntended{ID: id, File: f.file.Name, Trace: nacha.TraceNumber(f.engine.cfg.Bank.Sender.ODFI, n),
		Sequence: n, Company: m.Policy.Company.ID}
	return body, asUpdated(tx, m.ID, &body)
}

// stage writes the whole file under its hidden name, unless it is there, and returns the entries
// that cannot be in it: then nothing is staged.
func (f *filing) stage(ctx context.Context) (left []leftOut, err error) {
	if f.file.Stage == book.FileOut {
		return nil, nil
	}
	if err := f.engine.bankReady(); err != nil {
		return nil, err
	}
	if err := f.read(); err != nil {
		return nil, err
	}
	bank, there := f.engine.cfg.Bank, false
	switch {
	case len(f.sections) == 0: // of a file without entries nothing is written
		empty := sha256.Sum256(nil)
		f.sums, there = nacha.Sums{SHA256: hex.EncodeToString(empty[:])}, true
	case f.file.Stage == book.FileHashed:
		there, err = bank.there(f.file)
	default:
		err = bank.vacant(f.file.Name)
	}
	if there || err != nil {
		return nil, err
	}
	return f.write(ctx)
}

func (f *filing) refuse(ctx context.Context, left []leftOut) error {
	if f.file.Stage != book.FileNamed {
		return fmt.Errorf("%d accounts, the first of payment %s/%s, cannot be opened any more, so the file cannot be made again. Its digest %s is in the log: "+
			"ask the bank whether it has this file; put a copy of it into the outbox under its name, then settle again: %w", len(left), left[0].merchant, left[0].id, f.file.Digest, ErrConflict)
	}
	err := inCommits(ctx, f.engine.cfg.Ledger, left, func(tx *ledger.Tx, l leftOut) error {
		if _, err := tx.Append(f.actor.Event(l.merchant, book.PaymentRefused{ID: l.id, Code: l.code})); err != nil {
			return err
		}
		return deleteParts(tx, l.merchant, l.id)
	})
	if err != nil {
		return err
	}
	f.engine.cfg.Logger.Warn("entries are left out of a settlement file: their accounts cannot be opened, or something came between; their merchants are told what", "file", f.file.Name, "entries", len(left))
	return nil
}

// fix commits what the staged file is. From here on it is these bytes, or none.
func (f *filing) fix(ctx context.Context) error {
	if f.file.Stage != book.FileNamed {
		return nil
	}
	if err := f.commit(ctx, "", book.FileIntended{Name: f.file.Name, Digest: f.sums.SHA256, Entries: f.sums.Entries,
		Debits: f.sums.Debits, Credits: f.sums.Credits, EntryHash: f.sums.EntryHash}); err != nil {
		return err
	}
	return f.load(f.file.Name)
}

// appear gives the staged file its name, unless it has it, once all that is committed is in the
// journal: whoever restores the vault from there must know what the bank may have.
func (f *filing) appear(ctx context.Context) error {
	if len(f.sections) == 0 {
		return nil
	}
	if err := f.engine.patiently(ctx); err != nil {
		return err
	}
	bank := f.engine.cfg.Bank
	if err := bank.Disk.Appear(bank.Outbox, f.file.Name); errors.Is(err, nacha.ErrExists) {
		return fmt.Errorf("%w: %w", ErrFileThere, err)
	} else if err != nil {
		return ofOutbox(err)
	}
	return nil
}

// out commits that the file is out. It is not cut short by a stop.
func (f *filing) out(ctx context.Context) error {
	if f.file.Stage == book.FileOut {
		return nil
	}
	return f.commit(context.WithoutCancel(ctx), "", book.FileWritten{Name: f.file.Name})
}

func (f *filing) settle(ctx context.Context) error {
	for _, number := range f.file.Batches {
		b, err := f.engine.batch(number)
		if err == nil && b.Stage != book.BatchDone {
			err = f.finish(ctx, b, book.StageFiling)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// settleEntries settles bank batches: it finishes files that were begun, and makes new ones of the
// other batches.
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

func (e *Engine) bankReady() error {
	if e.cfg.Bank == nil {
		return fmt.Errorf("there are bank entries to settle, and no bank is configured: say in the vault's settings who sends files to whom: %w", ErrConflict)
	}
	return nil
}

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

// beginFile commits a file's name, days and batches, which stay however often it is written.
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

// FileAgain puts a settlement file that was out into the outbox once more, byte for byte, when a
// person says that the bank has not got it: a disk may lose what was in it. It fails with
// [ErrConflict] where the file is there, is not out, or cannot be made as it was: the log's digest
// must come out, and accounts are kept for a week only. A crash leaves it staged, and the next call
// goes on.
func (e *Engine) FileAgain(ctx context.Context, name string, actor operator.Actor) (book.File, error) {
	if !e.operation.TryLock() {
		return book.File{}, busy()
	}
	defer e.operation.Unlock()
	if err := e.bankReady(); err != nil {
		return book.File{}, err
	}
	s := settlement{engine: e, actor: actor}
	f, err := s.filing(name)
	if err != nil {
		return f.file, err
	}
	if f.file.Stage != book.FileOut {
		return f.file, fmt.Errorf("%s is not out yet: settle its batches: %w", name, ErrConflict)
	}
	bank := e.cfg.Bank
	switch digest, err := bank.Disk.Digest(bank.Outbox, name); {
	case err == nil && digest == f.file.Digest:
		return f.file, fmt.Errorf("%s is in the outbox, as it was written: %w", name, ErrConflict)
	case err == nil && !nacha.Half(digest):
		return f.file, fmt.Errorf("%s is in the outbox, and is not the file that was written: find out who wrote it, and move it away: %w", name, ErrFileThere)
	case err != nil && !errors.Is(err, os.ErrNotExist):
		return f.file, outboxFault(err)
	}
	return f.file, f.makeAgain(ctx)
}

// makeAgain takes a file that was out into the outbox once more, by the steps that make took.
func (f *filing) makeAgain(ctx context.Context) error {
	if err := f.read(); err != nil {
		return err
	}
	if len(f.sections) == 0 {
		return fmt.Errorf("%s had no entries: there is no file: %w", f.file.Name, ErrConflict)
	}
	left, err := f.write(ctx)
	if len(left) > 0 {
		return fmt.Errorf("%s cannot be made again: the keys of %d of its accounts are destroyed, or the accounts were changed; tell the bank, and the shops: %w",
			f.file.Name, len(left), ErrConflict)
	}
	if err != nil {
		return err
	}
	// A crash here leaves a staged file that nobody asks for: the next call makes it anew.

	if err := f.commit(ctx, "", book.FileMadeAgain{Name: f.file.Name}); err != nil {
		return err
	}
	// A crash here leaves the log with a file that has not appeared: the next call makes it
	// anew, and reports it again.

	return f.appear(ctx)
}
