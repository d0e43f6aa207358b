package intake

import (
	"fmt"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// post posts drafts of shop-1 in one bag.
func (d *fixture) post(drafts ...vaulttest.Draft) {
	d.TB.Helper()
	msgs := make([][]byte, len(drafts))
	for n, draft := range drafts {
		msgs[n] = d.shop.Seal(draft)
	}
	d.take(d.run.Bag(msgs...))
}

// expect posts one draft and checks its answer; "" is no answer yet.
func (d *fixture) expect(draft vaulttest.Draft, status envelope.Status, code envelope.Code) envelope.Facts {
	d.TB.Helper()
	d.post(draft)
	f := d.answers()[draft.ID]
	if f.Status != status || f.Code != code {
		d.TB.Errorf("%s\nanswered %s %s, want %s %s", draft.Order, f.Status, f.Code, status, code)
	}
	return f
}

func (d *fixture) refused(draft vaulttest.Draft, code envelope.Code) envelope.Facts {
	d.TB.Helper()
	return d.expect(draft, envelope.StatusRejected, code)
}

// beyond expects that a draft is refused by a limit, and that the vault knows by which.
func (d *fixture) beyond(draft vaulttest.Draft, limit book.Exceeded) envelope.Facts {
	d.TB.Helper()
	facts := d.refused(draft, envelope.CodeLimit)
	if p := d.Payment("shop-1", draft.ID); p.Limit != limit || limit.Means() == "" {
		d.TB.Errorf("%s was beyond the limit %q, want %q", draft.ID, p.Limit, limit)
	}
	return facts
}

// waits posts one draft that waits for the engine.
func (d *fixture) waits(draft vaulttest.Draft) book.Payment {
	d.TB.Helper()
	d.expect(draft, "", "")
	return d.Payment("shop-1", draft.ID)
}

func (d *fixture) merchant() (m book.Merchant) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) (err error) {
		m, _, err = tx.Merchant("shop-1")
		return err
	})
	return m
}

func (d *fixture) batch(number uint32) (b book.Batch) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) (err error) {
		b, _, err = tx.Batch(number)
		return err
	})
	return b
}

func (d *fixture) trace() book.Trace {
	d.TB.Helper()
	trace, err := d.State().NextTrace([]string{"TERM0001"}, "ACCEPTOR1", envelope.At(d.Clock.Now()), nil)
	if err != nil {
		d.TB.Fatal(err)
	}
	return trace
}

// cardBatch returns the merchant's open card batch, or begins one.
func (d *fixture) cardBatch() uint32 {
	d.TB.Helper()
	if open := d.merchant().Open(book.MethodCard); open != 0 {
		return open
	}
	number := d.State().NextBatch
	d.Append("shop-1", book.BatchOpened{Batch: number, Method: book.MethodCard})
	return number
}

// approve has the host approve a sale, an authorisation or a refund.
func (d *fixture) approve(id string) {
	d.TB.Helper()
	batch := uint32(0)
	if d.Payment("shop-1", id).Operation != envelope.OpAuthorize {
		batch = d.cardBatch()
	}
	d.Append("shop-1", book.AuthorisationIntended{ID: id, Trace: d.trace(), Batch: batch},
		book.AuthorisationAnswered{ID: id, Code: envelope.ISOCode("00"), Approval: "123456"})
}

func (d *fixture) captured(id string) {
	d.TB.Helper()
	d.Append("shop-1", book.CaptureIntended{ID: id, Trace: d.trace(), Batch: d.cardBatch(), Try: 1},
		book.CaptureAnswered{ID: id, Code: envelope.ISOCode("00")})
}

// approved posts a draft that the host approves.
func (d *fixture) approved(draft vaulttest.Draft) string {
	d.TB.Helper()
	d.waits(draft)
	d.approve(draft.ID)
	return draft.ID
}

func (d *fixture) closeBatch(number uint32) book.Batch {
	d.TB.Helper()
	d.Append("shop-1", book.BatchClosing{Batch: number})
	b := d.batch(number)
	d.Append("shop-1", book.BatchClosed{Batch: number, Totals: b.Totals, HashTotal: b.HashTotal})
	return b
}

// settleCards closes and settles the open card batch.
func (d *fixture) settleCards() {
	d.TB.Helper()
	b := d.closeBatch(d.merchant().OpenBatch)
	for _, total := range b.Totals {
		d.Append("shop-1", book.ReconciliationIntended{Batch: b.Number, Currency: total.Currency, Trace: d.trace()},
			book.ReconciliationAnswered{Batch: b.Number, Agreed: true, Host: total})
	}
	d.settled(b.Number)
}

func (d *fixture) settled(batch uint32) {
	d.TB.Helper()
	for _, p := range d.inBatch(batch) {
		d.Append("shop-1", book.PaymentSettled{ID: p.ID, Batch: batch})
	}
	d.Append("shop-1", book.BatchSettled{Batch: batch})
}

func (d *fixture) inBatch(batch uint32) (all []book.Payment) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) error {
		return tx.Payments(ledger.Query{Batch: batch}, func(p book.Payment) error {
			switch p.Stage {
			case book.StageApproved, book.StageCaptured, book.StageAccepted, book.StageFiling:
				all = append(all, p)
			}
			return nil
		})
	})
	return all
}

// settleBank writes the open bank batch into a file.
func (d *fixture) settleBank() {
	d.TB.Helper()
	b := d.closeBatch(d.merchant().OpenBank)
	day := d.Clock.Now().Format("2006-01-02")
	name := b.ID() + ".ach"
	d.Append("", book.FileBegun{Name: name, Day: day, Modifier: d.State().NextFile(day), Effective: day, Batches: []uint32{b.Number}})
	entries := d.inBatch(b.Number)
	intended := book.FileIntended{Name: name, Digest: strings.Repeat("ab", 32), Entries: len(entries)}
	for _, p := range entries {
		sequence := d.State().NextSequence()
		d.Append("shop-1", book.EntryIntended{ID: p.ID, File: name, Trace: fmt.Sprintf("01100001%07d", sequence), Sequence: sequence})
	}
	for _, t := range b.Totals {
		intended.Debits, intended.Credits = intended.Debits+t.Amount, intended.Credits+t.CreditAmount
	}
	d.Append("", intended, book.FileWritten{Name: name})
	d.settled(b.Number)
}

func (d *fixture) parts(id string) (kept []envelope.PartName) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) error {
		for _, name := range []envelope.PartName{envelope.PartAccount, envelope.PartCode} {
			if _, there, err := tx.Part("shop-1", id, name); err != nil {
				return err
			} else if there {
				kept = append(kept, name)
			}
		}
		return nil
	})
	return kept
}
