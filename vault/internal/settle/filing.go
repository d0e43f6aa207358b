package settle

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
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
// one begins, and does nothing where it was done before: whatever interrupts a file, the next run
// makes it by the same steps, from the first one on.
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

// number gives the entries of the file's batches their trace numbers.
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

// intent gives an entry its trace number.
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

// refuse ends the entries that were left out.
func (f *filing) refuse(ctx context.Context, left []leftOut) error {
	if f.file.Stage != book.FileNamed {
		return fmt.Errorf("%d accounts, the first of payment %s, cannot be opened any more, so the file cannot be made again. Its digest %s is in the log: "+
			"ask the bank whether it has this file; put a copy of it into the outbox under its name, then settle again: %w", len(left), left[0].id, f.file.Digest, ErrConflict)
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

// appear gives the staged file its name, which may have been done before, once all that is
// committed is in the journal: whoever restores the vault from there is to know what the bank may
// have.
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

// settle marks the payments of the file's batches settled.
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
