package calls

import (
	"context"
	"fmt"
	"io"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/report"
	"nightdrop/vault/internal/settle"
)

// Batches lists them.
func (c *Calls) Batches(_ context.Context, q control.BatchQuery) ([]control.Batch, error) {
	return view(c, func(tx *ledger.Tx) ([]control.Batch, error) {
		batches := []control.Batch{}
		if err := exist(tx, control.PaymentQuery{Merchant: q.Merchant}); err != nil {
			return batches, err
		}
		err := tx.Batches(func(b book.Batch) error {
			if q.Merchant != "" && b.Merchant != q.Merchant || q.Method != "" && b.Method != q.Method {
				return nil
			}
			v, err := batchView(tx, b)
			batches = append(batches, v)
			return err
		})
		return batches, err
	})
}

// Batch shows one.
func (c *Calls) Batch(_ context.Context, number uint32) (control.Batch, error) {
	return view(c, func(tx *ledger.Tx) (control.Batch, error) {
		b, err := readBatch(tx, number)
		if err != nil {
			return control.Batch{}, err
		}
		return batchView(tx, b)
	})
}

func readBatch(tx *ledger.Tx, number uint32) (book.Batch, error) {
	b, found, err := tx.Batch(number)
	if err == nil && !found {
		err = notFound("batch", fmt.Sprint(number), true)
	}
	return b, err
}

func batchView(tx *ledger.Tx, b book.Batch) (control.Batch, error) {
	v := control.Batch{ID: b.ID(), Number: b.Number, Merchant: b.Merchant, Method: b.Method, Status: b.Stage, Opened: b.Opened, Totals: b.Totals,
		HashTotal: b.HashTotal, Host: b.Host, By: b.By, Lines: report.LinesOf(b), Failed: b.Failed, Outstanding: b.Outstanding, Unresolved: b.Unresolved, Done: b.Done}
	if v.Totals == nil {
		v.Totals = []book.Total{}
	}
	if len(b.Lines) > 0 {
		v.Expected = b.Expected()
	}
	if !b.Closed.IsZero() {
		v.Closed = &b.Closed
	}
	if !b.Settled.IsZero() {
		v.SettledAt = &b.Settled
	}
	f, err := fileOf(tx, b)
	if err == nil && f.Name != "" {
		file := fileView(f)
		v.File = &file
	}
	return v, err
}

func fileView(f book.File) control.File {
	v := control.File{Name: f.Name, Status: f.Stage, Digest: f.Digest, Effective: f.Effective, Entries: f.Entries, Debits: f.Debits,
		Credits: f.Credits, EntryHash: f.EntryHash, Batches: []string{}}
	for _, number := range f.Batches {
		v.Batches = append(v.Batches, book.BatchID(book.MethodBank, number))
	}
	return v
}

// fileOf reads the settlement file of a batch; the zero File where it has none.
func fileOf(tx *ledger.Tx, b book.Batch) (book.File, error) {
	if b.File == "" {
		return book.File{}, nil
	}
	f, _, err := tx.File(b.File)
	return f, err
}

// batchViews shows batches with their files as they stand now.
func (c *Calls) batchViews(batches []book.Batch) ([]control.Batch, error) {
	return view(c, func(tx *ledger.Tx) ([]control.Batch, error) {
		views := []control.Batch{}
		for _, b := range batches {
			v, err := batchView(tx, b)
			if err != nil {
				return views, err
			}
			views = append(views, v)
		}
		return views, nil
	})
}

// CloseBatches closes open batches.
func (c *Calls) CloseBatches(ctx context.Context, actor operator.Actor, q control.BatchQuery, progress operator.Progress) ([]control.Batch, error) {
	closed, failure := using(c, func(p Parts) ([]book.Batch, error) {
		if q.Merchant != "" && !envelope.ValidMerchant(q.Merchant) {
			return nil, notFound("merchant", q.Merchant, false)
		}
		return p.Engine.CloseBatch(ctx, q.Merchant, q.Method, actor, progress)
	})
	views, err := c.batchViews(closed)
	if failure != nil {
		err = failure
	}
	return views, err
}

// Settle settles closed batches.
func (c *Calls) Settle(ctx context.Context, actor operator.Actor, batch uint32, method book.Method, progress operator.Progress) (control.Settlement, error) {
	done, failure := using(c, func(p Parts) (settle.Settlement, error) { return p.Engine.Settle(ctx, batch, method, actor, progress) })
	views, err := c.batchViews(done.Batches)
	out := control.Settlement{Payments: done.Payments, Batches: append([]control.Batch{}, views...)}
	for _, f := range done.Files {
		out.Files = append(out.Files, fileView(f))
	}
	if failure != nil {
		err = failure
	}
	return out, err
}

// FileAgain puts a settlement file that was out into the bank's outbox once more.
func (c *Calls) FileAgain(ctx context.Context, actor operator.Actor, name string) (control.File, error) {
	f, err := using(c, func(p Parts) (book.File, error) { return p.Engine.FileAgain(ctx, name, actor) })
	return fileView(f), err
}

// Compare holds an acquirer's listing against a batch.
func (c *Calls) Compare(ctx context.Context, batch uint32, listing io.Reader) (control.Comparison, error) {
	compared, err := using(c, func(p Parts) (settle.Comparison, error) { return p.Engine.Compare(ctx, batch, listing) })
	return c.comparisonView(compared, err)
}

// Agree takes a listing that agrees in place of the host's word.
func (c *Calls) Agree(ctx context.Context, actor operator.Actor, batch uint32, listing io.Reader) (control.Comparison, error) {
	compared, err := using(c, func(p Parts) (settle.Comparison, error) { return p.Engine.AgreeByListing(ctx, batch, listing, actor) })
	return c.comparisonView(compared, err)
}

// Adjust takes a named difference into a batch.
func (c *Calls) Adjust(ctx context.Context, actor operator.Actor, batch uint32, a control.Adjustment) (control.Batch, error) {
	actor.Evidence = a.Evidence
	_, err := using(c, func(p Parts) (book.Batch, error) {
		return p.Engine.Adjust(ctx, batch, a.Total, a.Payment, actor.Purpose, actor)
	})
	if err != nil {
		return control.Batch{}, err
	}
	return c.Batch(ctx, batch)
}

func (c *Calls) comparisonView(compared settle.Comparison, err error) (control.Comparison, error) {
	if err != nil {
		return control.Comparison{}, err
	}
	out := control.Comparison{Ours: compared.Ours, Theirs: compared.Theirs, Differences: []control.Compared{}}
	for _, d := range compared.Differences {
		out.Differences = append(out.Differences, control.Compared{Problem: string(d.Problem), Payment: report.NameOf(compared.Batch.Merchant, d.ID), Line: d.Line, Ours: listed(d.Ours), Theirs: listed(d.Theirs)})
	}
	views, err := c.batchViews([]book.Batch{compared.Batch})
	if err == nil {
		out.Batch = views[0]
	}
	return out, err
}

// listed shows one side of a difference; nil where there is none.
func listed(l settle.Listed) *control.Listed {
	if l == (settle.Listed{}) {
		return nil
	}
	v := control.Listed(l)
	return &v
}
