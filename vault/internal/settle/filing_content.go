package settle

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/loggable"
)

// class is what the entries of one batch of a file have in common.
type class struct {
	batch uint32 // ours
	// trace numbers that began from 1 again after the file's first: they ascend by themselves
	again       bool
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

// read reads which entries the file holds, keeping only their ids.
func (f *filing) read() error {
	f.sections = nil
	err := f.engine.cfg.Ledger.View(func(tx *ledger.Tx) error {
		found := sorting{ids: map[class][]string{}}
		for _, number := range f.file.Batches {
			b, err := batchOf(tx, number)
			if err != nil {
				return err
			}
			m, known, err := tx.Merchant(b.Merchant)
			if err != nil || !known {
				return orMissing(err, "merchant "+b.Merchant)
			}
			clear(found.ids)
			if err := entriesOf(tx, f.file, b, found.add); err != nil {
				return err
			}
			for c, ids := range found.ids {
				f.sections = append(f.sections, section{class: c, merchant: b.Merchant, company: nacha.Company(m.Policy.Company), ids: ids})
			}
		}
		return nil
	})
	slices.SortFunc(f.sections, func(a, b section) int { return a.compare(b.class) })
	return err
}

// entriesOf calls fn for a batch's entries in a file, in the order of their numbers; of a file that
// is out for all of them, whatever became of them since.
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
			return orMissing(err, "payment "+b.Merchant+"/"+one.id)
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
func (f *filing) plan() (nacha.Plan, error) {
	bank := f.engine.cfg.Bank
	effective, err := time.ParseInLocation(time.DateOnly, f.file.Effective, bank.Calendar.Location)
	if err != nil {
		return nacha.Plan{}, fmt.Errorf("effective date of %s: %w", f.file.Name, err)
	}
	p := nacha.Plan{Bank: bank.Sender, Created: f.file.Created.In(bank.Calendar.Location), Modifier: book.Modifier(f.file.Modifier)}
	for i, section := range f.sections {
		p.Batches = append(p.Batches, nacha.Batch{Company: section.company, Standard: nacha.Standard(section.standard),
			Description: section.description, Effective: effective, Number: i + 1})
	}
	return p, nil
}

// leftOut is an entry whose account does not open, or that was overtaken.
type leftOut struct {
	merchant, id string
	code         envelope.Code
}

// write stages the file, or returns the entries that cannot be in it: then nothing is staged. It
// must have the digest in the log, where there is one.
func (f *filing) write(ctx context.Context) (left []leftOut, err error) {
	bank := f.engine.cfg.Bank
	out, err := bank.Disk.Stage(bank.Outbox, f.file.Name)
	if err != nil {
		return nil, ofOutbox(err)
	}
	left, err = f.writeTo(ctx, out)
	switch {
	case len(left) > 0 && (err == nil || errors.Is(err, nacha.ErrPlan)):
		_ = out.Discard() // what stays is removed when the file is staged again
		return left, nil
	case err == nil && f.file.Stage != book.FileNamed && f.sums.SHA256 != f.file.Digest:
		err = fmt.Errorf("the file would not be the one whose digest is in the log: put the bank's settings and the merchants' companies back to what they were on %s, "+
			"then settle again: %w", f.file.Created, ErrConflict)
	}
	if err != nil {
		return nil, ofOutbox(errors.Join(fmt.Errorf("writing %s: %w", f.file.Name, err), out.Discard()))
	}
	return nil, ofOutbox(out.Keep())
}

// writeTo writes the file, and returns the entries that it left out. Only some hundred accounts are
// open at a time.
func (f *filing) writeTo(ctx context.Context, out io.Writer) (left []leftOut, err error) {
	plan, err := f.plan()
	if err != nil {
		return nil, err
	}
	file, err := nacha.NewWriter(out, plan)
	if err != nil {
		return nil, err
	}
	defer file.Clear()
	for _, section := range f.sections {
		if err := file.Next(); err != nil {
			return left, err
		}
		for ids := range slices.Chunk(section.ids, chunk) {
			if err := ctx.Err(); err != nil {
				return left, err
			}
			some, err := f.writeSome(file, section.merchant, ids)
			if left = append(left, some...); err != nil {
				return left, err
			}
			f.step(len(ids))
		}
	}
	f.sums, err = file.Close()
	return left, err
}

// writeSome writes a few entries, and returns those that were overtaken or whose account does not
// open.
func (f *filing) writeSome(file *nacha.Writer, merchant string, ids []string) (left []leftOut, err error) {
	entries, err := f.entries(merchant, ids)
	if err != nil {
		return nil, err
	}
	defer func() {
		for i := range entries {
			entries[i].account.Clear()
		}
	}()
	if err := f.open(entries); err != nil {
		return nil, err
	}
	for _, e := range entries {
		if e.code != envelope.CodeOK {
			left = append(left, leftOut{merchant: merchant, id: e.ID, code: e.code})
			continue
		}
		err := file.Add(nacha.Entry{Trace: e.Entry, Credit: e.Credit(), Amount: e.Amount, Identification: identification(e.Payment), Bank: e.account.Bank})
		if err != nil {
			return left, err
		}
	}
	return left, nil
}

// identification is what a company calls a payment in its entry: the merchant's reference where it
// fits, else the payment's number. (entry detail field 7)
func identification(p book.Payment) string {
	if reference := strings.TrimSpace(p.Reference); len(reference) > 0 && len(reference) <= 15 && loggable.Text(reference) {
		return reference
	}
	return strconv.FormatUint(p.Number, 10)
}

// entry is one payment on its way into a file.
type entry struct {
	book.Payment
	from    source
	account *account.Account
	code    envelope.Code // other than ok: why it is left out
}

// entries reads a few entries, and where their accounts are.
func (f *filing) entries(merchant string, ids []string) (entries []entry, err error) {
	err = f.engine.cfg.Ledger.View(func(tx *ledger.Tx) error {
		entries = make([]entry, len(ids))
		for i, id := range ids {
			p, found, err := tx.Payment(merchant, id)
			if err != nil || !found {
				return orMissing(err, "payment "+merchant+"/"+id)
			}
			from, err := sourceOf(tx, p)
			if err != nil {
				return err
			}
			entries[i] = entry{Payment: p, from: from, code: envelope.CodeOK}
			if f.file.Stage == book.FileNamed { // later the file is what its digest says
				entries[i].code, err = overtaken(tx, p)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return entries, err
}

// overtaken reports whether what came since p was accepted forbids sending it to the bank: its
// account was blocked, awaits a correction or is another one by now; the sale that it refunds came
// back, so that the account would be paid twice; or its merchant was suspended and would pay out.
func overtaken(tx *ledger.Tx, p book.Payment) (envelope.Code, error) {
	_, blocked, err := tx.Block(p.Merchant, p.Fingerprint)
	if err != nil || blocked {
		return envelope.CodeBlockedAccount, err
	}
	if p.Token != "" {
		t, _, err := tx.Token(p.Merchant, p.Token)
		switch {
		case err != nil || t.Notice != "":
			return envelope.CodeBlockedAccount, err
		case t.Fingerprint != p.Fingerprint:
			return envelope.CodeAccountGone, nil
		}
	}
	switch p.Operation {
	case envelope.OpRefund:
		original, _, err := tx.Payment(p.Merchant, p.Of)
		if err != nil || original.Stage == book.StageReturned {
			return original.Code, err // ach-RNN: the refund's merchant reads why it was not sent
		}
	case envelope.OpPayout:
		m, _, err := tx.Merchant(p.Merchant)
		if err != nil || m.Status != book.MerchantActive {
			return envelope.CodeMerchantSuspended, err
		}
	}
	return envelope.CodeOK, nil
}

// asUpdated returns the account for a sale or payout whose stored account was replaced since it was
// accepted. A refund goes only to the account that paid.
func asUpdated(tx *ledger.Tx, merchant string, body *book.EntryIntended) error {
	p, _, err := tx.Payment(merchant, body.ID)
	if err != nil || p.Token == "" || p.Operation == envelope.OpRefund {
		return err
	}
	t, _, err := tx.Token(merchant, p.Token)
	if err == nil && !t.Forgotten && t.Fingerprint != p.Fingerprint {
		body.Masked, body.Fingerprint = t.Masked, t.Fingerprint
	}
	return err
}

// open opens the entries' accounts on every processor. An error means that the key ring is locked.
func (f *filing) open(entries []entry) error {
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for share := range slices.Chunk(entries, (chunk+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0)) {
		workers.Go(func() error {
			for i := range share {
				if share[i].code != envelope.CodeOK {
					continue
				}
				opened, code, err := f.engine.openSource(share[i].from)
				if err != nil {
					return fmt.Errorf("open an account for %s: %w", f.file.Name, err)
				}
				if code == envelope.CodeOK && opened.Bank == nil {
					opened.Clear()
					code = envelope.CodeBadAccount
				}
				share[i].account, share[i].code = opened, code
			}
			return nil
		})
	}
	return workers.Wait()
}

// vacant reports whether a name is free in the outbox.
func (b *Bank) vacant(name string) error {
	switch _, err := b.Disk.Digest(b.Outbox, name); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return outboxFault(err)
	}
	return fmt.Errorf("%s: %w", name, ErrFileThere)
}

// outboxFault adds to an error of the outbox what to do about it. The system's error becomes text,
// so that a missing directory is no missing batch.
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

// there reports whether a file whose digest is in the log is in the outbox, or staged there. It was
// staged before its digest was logged, and is unstaged only when it appears: where there is
// neither, somebody may have taken it to the bank, and another could move its money twice. Then it
// is [ErrConflict], until a person stages something else, which says that the bank has not got it.
func (b *Bank) there(f book.File) (bool, error) {
	switch digest, err := b.Disk.Digest(b.Outbox, f.Name); {
	// a crash came between its name and its content, which is staged
	case err == nil && nacha.Half(digest):
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
