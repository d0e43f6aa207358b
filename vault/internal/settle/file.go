package settle

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/loggable"
)

// errLeftOut tells that entries cannot be in a file, or must not.
var errLeftOut = errors.New("entries that are left out")

// vacant tells whether a name is free in the outbox.
func (b *Bank) vacant(name string) error {
	switch _, err := b.Disk.Digest(b.Outbox, name); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return outboxFault(err)
	}
	return fmt.Errorf("%s: %w", name, ErrFileThere)
}

// outboxFault adds to an error of the outbox what to do about it. What the system calls it is text only, so that a missing directory is no
// missing batch.
func outboxFault(err error) error {
	return fmt.Errorf("the bank's outbox cannot be used: %s; see that it is there, that the vault may write into it and that it is not full, then settle again: %w",
		err.Error(), ErrUnavailable)
}

// ofOutbox is outboxFault of what the file system refused, and any other error as it is.
func ofOutbox(err error) error {
	_, path := errors.AsType[*os.PathError](err)
	_, link := errors.AsType[*os.LinkError](err)
	if path || link {
		return outboxFault(err)
	}
	return err
}

// there tells whether a file whose digest is in the log is in the outbox, or staged there. It was staged before its digest was logged, and
// what was staged goes only when the file appears: where there is neither, somebody may have taken the file to the bank, and made once more
// it could move its money twice. Then it is ErrConflict, until a person leaves something else staged: its word that the bank has not got it.
func (b *Bank) there(f book.File) (bool, error) {
	switch digest, err := b.Disk.Digest(b.Outbox, f.Name); {
	case err == nil && nacha.Half(digest): // a crash came between its name and its content, which is staged
	case err == nil && digest != f.Digest:
		return false, fmt.Errorf("%s: %w", f.Name, ErrFileThere)
	case err == nil:
		return true, nil
	case !errors.Is(err, os.ErrNotExist):
		return false, outboxFault(err)
	}
	digest, err := b.Disk.Staged(b.Outbox, f.Name)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return false, fmt.Errorf("%s has left the outbox before the log says so, and may be at the bank: ask the bank whether it has the file of SHA-256 %s. If it has, put a copy "+
			"into the outbox; if it has not, make an empty file %s there, and the file is made again. Then settle again: %w", f.Name, f.Digest, nacha.StagedName(f.Name), ErrConflict)
	case err != nil:
		return false, outboxFault(err)
	}
	return digest == f.Digest, nil
}

// write puts a file whose entries have their trace numbers into the outbox: staged there whole, its digest committed, and only then under
// its name.
func (s *settlement) write(ctx context.Context, name string) error {
	if err := s.engine.bankReady(); err != nil {
		return err
	}
	for {
		f, err := s.engine.fileOf(name)
		if err != nil {
			return err
		}
		w, err := s.newFileWriter(ctx, f)
		if err != nil {
			return err
		}
		if len(w.sections) == 0 {
			return s.nothing(ctx, f)
		}
		err = w.stage()
		if errors.Is(err, errLeftOut) {
			if err := w.refuse(ctx); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return err
		}
		if err := s.engine.patiently(ctx); err != nil {
			return err
		}
		// A crash here leaves a staged file whose digest is in the log: the next run gives it its name, or makes it again.
		bank := s.engine.cfg.Bank
		if err := bank.Disk.Appear(bank.Outbox, name); errors.Is(err, nacha.ErrExists) {
			return fmt.Errorf("%w: %w", ErrFileThere, err)
		} else if err != nil {
			return ofOutbox(err)
		}
		// A crash here leaves the file in the outbox: the next run finds it there with the digest of the log.
		return s.engine.cfg.Ledger.Commit(context.WithoutCancel(ctx), func(tx *ledger.Tx) error {
			_, err := tx.Append(s.actor.Event("", book.FileWritten{Name: name}))
			return err
		})
	}
}

// nothing ends a file of which no entry is left: nothing is written.
func (s *settlement) nothing(ctx context.Context, f book.File) error {
	return s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		if f.Stage == book.FileNamed {
			empty := sha256.Sum256(nil)
			if _, err := tx.Append(s.actor.Event("", book.FileIntended{Name: f.Name, Digest: hex.EncodeToString(empty[:])})); err != nil {
				return err
			}
		}
		_, err := tx.Append(s.actor.Event("", book.FileWritten{Name: f.Name}))
		return err
	})
}

// class is what the entries of one batch of a file have in common.
type class struct {
	batch       uint32 // ours
	again       bool   // trace numbers that began from 1 again after the file's first: they ascend by themselves
	standard    string
	description string
}

// compare puts the classes of a file into the order of its batches.
func (c class) compare(o class) int {
	order := func(again bool) int {
		if again {
			return 1
		}
		return 0
	}
	return cmp.Or(cmp.Compare(c.batch, o.batch), cmp.Compare(order(c.again), order(o.again)), cmp.Compare(c.standard, o.standard),
		cmp.Compare(c.description, o.description))
}

// section is one batch of a file.
type section struct {
	class
	merchant string
	company  nacha.Company
	ids      []string // of its payments, in the order of their trace numbers
}

// fileWriter writes a file as the ledger has it. The same entries give the same bytes.
type fileWriter struct {
	s        *settlement
	ctx      context.Context //nolint:containedctx // of one write: nacha's callbacks have none
	file     book.File
	sections []section
	left     []leftOut
}

// leftOut is an entry whose account does not open, or that was overtaken.
type leftOut struct {
	merchant, id string
	code         envelope.Code
}

// newFileWriter reads which entries the file holds; of each its id is kept, and nothing else.
func (s *settlement) newFileWriter(ctx context.Context, f book.File) (*fileWriter, error) {
	w := &fileWriter{s: s, ctx: ctx, file: f}
	err := s.engine.cfg.Ledger.View(func(tx *ledger.Tx) error {
		found := sorting{ids: map[class][]string{}}
		for _, number := range f.Batches {
			b, err := batchOf(tx, number)
			if err != nil {
				return err
			}
			m, known, err := tx.Merchant(b.Merchant)
			if err != nil || !known {
				return orMissing(err, "merchant "+b.Merchant)
			}
			clear(found.ids)
			if err := entriesOf(tx, f, b, found.add); err != nil {
				return err
			}
			for c, ids := range found.ids {
				w.sections = append(w.sections, section{class: c, merchant: b.Merchant, company: nacha.Company(m.Policy.Company), ids: ids})
			}
		}
		return nil
	})
	slices.SortFunc(w.sections, func(a, b section) int { return a.compare(b.class) })
	return w, err
}

// entriesOf calls fn for a batch's entries in a file, in the order of their numbers: of a file that is out, whatever became of them since.
func entriesOf(tx *ledger.Tx, f book.File, b book.Batch, fn func(book.Payment) error) error {
	if f.Stage != book.FileOut {
		return tx.Payments(ledger.Query{Merchant: b.Merchant, Stage: book.StageFiling, Batch: b.Number}, fn)
	}
	type numbered struct {
		number uint64
		id     string
	}
	var out []numbered
	for _, stage := range [...]book.Stage{book.StageFiling, book.StageSettled, book.StageReturned} {
		err := tx.Payments(ledger.Query{Merchant: b.Merchant, Stage: stage, Batch: b.Number}, func(p book.Payment) error {
			if p.File == f.Name && p.Entry != "" {
				out = append(out, numbered{p.Number, p.ID})
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	slices.SortFunc(out, func(a, b numbered) int { return cmp.Compare(a.number, b.number) })
	for _, one := range out {
		p, found, err := tx.Payment(b.Merchant, one.id)
		if err != nil || !found {
			return orMissing(err, "payment "+one.id+" of "+b.Merchant)
		}
		if err := fn(p); err != nil {
			return err
		}
	}
	return nil
}

// sorting sorts a file's entries, as they come in the order of their numbers, into batches.
type sorting struct {
	first string // trace number of the file's first entry
	ids   map[class][]string
}

func (s *sorting) add(p book.Payment) error {
	s.first = cmp.Or(s.first, p.Entry)
	c := class{batch: p.Batch, again: p.Entry < s.first, standard: p.Standard, description: description(p.Operation)}
	s.ids[c] = append(s.ids[c], p.ID)
	return nil
}

// description is the company entry description of an operation. (batch header field 7)
func description(op envelope.Operation) string {
	switch op {
	case envelope.OpRefund:
		return "REFUND"
	case envelope.OpPayout:
		return "PAYOUT"
	}
	return nacha.Purchase
}

// plan is the file without its entries.
func (w *fileWriter) plan() (nacha.Plan, error) {
	bank := w.s.engine.cfg.Bank
	effective, err := time.ParseInLocation(time.DateOnly, w.file.Effective, bank.Calendar.Location)
	if err != nil {
		return nacha.Plan{}, fmt.Errorf("effective date of %s: %w", w.file.Name, err)
	}
	p := nacha.Plan{Bank: bank.Sender, Created: w.file.Created.In(bank.Calendar.Location), Modifier: book.Modifier(w.file.Modifier)}
	for i, section := range w.sections {
		p.Batches = append(p.Batches, nacha.Batch{Company: section.company, Standard: nacha.Standard(section.standard),
			Description: section.description, Effective: effective, Number: i + 1})
	}
	return p, nil
}

// stage sees to it that the file is staged or there, and its digest in the log.
func (w *fileWriter) stage() error {
	bank := w.s.engine.cfg.Bank
	if w.file.Stage == book.FileHashed {
		if there, err := bank.there(w.file); there || err != nil {
			return err
		}
	} else if err := bank.vacant(w.file.Name); err != nil {
		return err
	}
	var sums nacha.Sums
	err := bank.Disk.Stage(bank.Outbox, w.file.Name, func(out io.Writer) (err error) {
		sums, err = w.write(out)
		return err
	})
	if err != nil {
		return ofOutbox(err)
	}
	if w.file.Stage == book.FileHashed {
		return nil
	}
	// A crash here leaves a staged file that the log does not know: the next run makes it anew.
	return w.s.engine.cfg.Ledger.Commit(w.ctx, func(tx *ledger.Tx) error {
		_, err := tx.Append(w.s.actor.Event("", book.FileIntended{Name: w.file.Name, Digest: sums.SHA256, Entries: sums.Entries,
			Debits: sums.Debits, Credits: sums.Credits, EntryHash: sums.EntryHash}))
		return err
	})
}

// write writes the whole file; where its digest is in the log, it must come to that.
func (w *fileWriter) write(out io.Writer) (nacha.Sums, error) {
	plan, err := w.plan()
	if err != nil {
		return nacha.Sums{}, err
	}
	sums, err := nacha.Write(out, plan, w.entries)
	switch {
	case len(w.left) > 0 && (err == nil || errors.Is(err, nacha.ErrPlan)):
		return sums, errLeftOut
	case err != nil:
		return sums, err
	case w.file.Stage == book.FileHashed && sums.SHA256 != w.file.Digest:
		return sums, fmt.Errorf("the file would not be the one whose digest is in the log: put the bank's settings and the merchants' companies back to what they were on %s, "+
			"then settle again: %w", w.file.Created, ErrConflict)
	}
	return sums, nil
}

// refuse ends the entries that were left out.
func (w *fileWriter) refuse(ctx context.Context) error {
	if w.file.Stage != book.FileNamed {
		return fmt.Errorf("%d accounts, the first of payment %s, cannot be opened any more, so the file cannot be made again. Its digest %s is in the log: "+
			"ask the bank whether it has this file; put a copy of it into the outbox under its name, then settle again: %w", len(w.left), w.left[0].id, w.file.Digest, ErrConflict)
	}
	for some := range slices.Chunk(w.left, chunk) {
		err := w.s.engine.cfg.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
			for _, l := range some {
				if _, err := tx.Append(w.s.actor.Event(l.merchant, book.PaymentRefused{ID: l.id, Code: l.code})); err != nil {
					return err
				}
				if err := deleteParts(tx, l.merchant, l.id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	w.s.engine.cfg.Logger.Warn("entries are left out of a settlement file: their accounts cannot be opened, or something came between; their merchants are told what", "file", w.file.Name, "entries", len(w.left))
	return nil
}

// identification is what a company calls a payment in its entry: the merchant's reference where it fits, else the payment's number.
// (entry detail field 7)
func identification(p book.Payment) string {
	if reference := strings.TrimSpace(p.Reference); len(reference) > 0 && len(reference) <= 15 && loggable.Text(reference) {
		return reference
	}
	return strconv.FormatUint(p.Number, 10)
}
