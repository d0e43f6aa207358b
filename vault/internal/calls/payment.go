package calls

import (
	"context"
	"io"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/report"
	"nightdrop/vault/internal/settle"
)

// Payments finds a page.
func (c *Calls) Payments(ctx context.Context, q control.PaymentQuery) (control.PaymentPage, error) {
	return view(c, func(tx *ledger.Tx) (control.PaymentPage, error) {
		page := control.PaymentPage{Payments: []control.Payment{}}
		if err := exist(tx, q); err != nil {
			return page, err
		}
		search := ledger.Search{Query: ledger.Query{Merchant: q.Merchant, Stage: q.Status, Batch: q.Batch, After: q.After, Limit: q.Limit},
			Before: q.Before, Oldest: q.Oldest, Most: control.MaxSearched, Match: q.Matches}
		search.From, search.Until = q.Period()
		done, err := tx.Search(ctx, search, func(p book.Payment) error {
			page.Payments = append(page.Payments, report.PaymentOf(p))
			return ctx.Err()
		})
		page.Reached, page.More, page.Newest = done.Reached, done.More, done.Newest
		return page, err
	})
}

// exist refuses a query for a merchant or batch that is not there: an empty list would look like an
// answer.
func exist(tx *ledger.Tx, q control.PaymentQuery) error {
	if q.Merchant != "" {
		if _, err := readMerchant(tx, q.Merchant); err != nil {
			return err
		}
	}
	if q.Batch == 0 {
		return nil
	}
	_, err := readBatch(tx, q.Batch)
	return err
}

// Payment shows one, with its captures, refunds and voids.
func (c *Calls) Payment(_ context.Context, merchant, id string) (control.Payment, error) {
	return view(c, func(tx *ledger.Tx) (control.Payment, error) {
		p, found, err := tx.Payment(merchant, id)
		if err == nil && !found {
			err = notFound("payment", merchant+"/"+id, envelope.ValidMerchant(merchant) && envelope.ValidID(id))
		}
		if err != nil {
			return control.Payment{}, err
		}
		v := report.PaymentOf(p)
		if v.Corrections, err = settle.Corrections(tx, p); err != nil {
			return v, err
		}
		around, err := aroundPayment(tx, p)
		if err != nil {
			return v, err
		}
		for _, o := range around.Operations {
			v.Operations = append(v.Operations, report.PaymentOf(o))
		}
		v.Timeline = report.Timeline(p, around)
		return v, nil
	})
}

// aroundPayment reads what stands about p elsewhere in the ledger.
func aroundPayment(tx *ledger.Tx, p book.Payment) (around report.Around, err error) {
	for _, serial := range p.Results {
		r, err := tx.Issued(p.Merchant, serial)
		if err != nil {
			return around, err
		}
		around.Results = append(around.Results, report.Step{Time: r.Created, Kind: report.StepResult, Entry: &r.Index, Result: serial,
			Status: r.Facts.Status, Code: r.Facts.Code, Approval: r.Facts.Approval, Amount: r.Facts.Amount, Currency: r.Facts.Currency})
	}
	err = tx.Operations(p.Merchant, p.ID, func(o book.Payment) error {
		around.Operations = append(around.Operations, o)
		return nil
	})
	if err == nil && p.Batch != 0 {
		around.Batch, _, err = tx.Batch(p.Batch)
	}
	if err == nil && p.File != "" {
		around.File, _, err = tx.File(p.File)
	}
	return around, err
}

// Resolve takes a person's word on a payment that is repeated, or manual.
func (c *Calls) Resolve(ctx context.Context, actor operator.Actor, r control.Resolution) (control.Payment, error) {
	return using(c, func(p Parts) (resolved control.Payment, err error) {
		if !envelope.ValidID(r.ID) || !envelope.ValidMerchant(r.Merchant) {
			return resolved, notFound("payment", r.ID, false)
		}
		actor.Evidence = r.Evidence
		switch {
		case r.As == envelope.StatusReturned: // a person's word that a bank entry came back
			err = p.Engine.RecordReturn(ctx, r.Merchant, r.ID, r.Code, actor.Purpose, actor)
		case r.Correct:
			err = p.Engine.Correct(ctx, r.Merchant, r.ID, r.As, r.Reverse, actor.Purpose, actor)
		default:
			err = p.Engine.Resolve(ctx, r.Merchant, r.ID, r.As, actor.Purpose, actor)
		}
		if err != nil {
			return resolved, err
		}
		return c.Payment(ctx, r.Merchant, r.ID)
	})
}

// ImportReturns takes a file of the bank.
func (c *Calls) ImportReturns(ctx context.Context, actor operator.Actor, name string, file io.Reader) (control.Import, error) {
	done, err := using(c, func(p Parts) (settle.Import, error) { return p.Engine.ImportAnswers(ctx, name, file, actor) })
	if err != nil {
		return control.Import{}, err
	}
	return control.Import{Name: name, Digest: done.Digest, Already: done.Already, Returns: done.Returns, Changes: done.Changes,
		Acknowledgements: done.Acknowledgements, Repeats: done.Repeats, Left: done.Left, LeftCount: done.LeftCount}, nil
}
