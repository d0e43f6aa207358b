package main

import (
	"context"
	"io"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/payment"
	"nightdrop/vault/internal/settle"
)

// Payments lists a page.
func (d *daemon) Payments(_ context.Context, q control.PaymentQuery) ([]control.Payment, error) {
	return view(d, func(tx *ledger.Tx) ([]control.Payment, error) {
		payments := []control.Payment{}
		if err := exist(tx, q); err != nil {
			return payments, err
		}
		query := ledger.Query{Merchant: q.Merchant, Stage: q.Stage, Batch: q.Batch, After: q.After, Limit: q.Limit}
		err := tx.Payments(query, func(p payment.Payment) error {
			payments = append(payments, paymentView(p))
			return nil
		})
		return payments, err
	})
}

// exist refuses a query for a merchant or batch that is not there: an empty list would look like an answer.
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
func (d *daemon) Payment(_ context.Context, merchant, id string) (control.Payment, error) {
	return view(d, func(tx *ledger.Tx) (control.Payment, error) {
		p, found, err := tx.Payment(merchant, id)
		if err == nil && !found {
			err = notFound("payment", merchant+"/"+id, envelope.ValidMerchant(merchant) && envelope.ValidID(id))
		}
		if err != nil {
			return control.Payment{}, err
		}
		v := paymentView(p)
		err = tx.Operations(merchant, id, func(o payment.Payment) error {
			v.Operations = append(v.Operations, paymentView(o))
			return nil
		})
		return v, err
	})
}

func paymentView(p payment.Payment) control.Payment {
	v := control.Payment{Merchant: p.Merchant, ID: p.ID, Number: p.Number, Digest: p.Digest, Stage: p.Stage, Code: p.Code, Operation: p.Operation,
		Amount: p.Amount, Currency: p.Currency, Reference: p.Reference, Masked: p.Masked, Brand: p.Brand, Approval: p.Approval, Method: p.Method,
		Of: p.Of, Token: p.Token, Captured: p.Captured, Refunded: p.Refunded, Void: p.Void, Standard: p.Standard, Entry: p.Entry, File: p.File,
		Notice: p.Notice, Acked: p.Acked, Batch: p.Batch, Received: p.Received, Changed: p.Changed, Trace: p.Trace, Reversal: p.Reversal,
		Tries: p.Tries, Answer: p.Answer, Results: p.Results, Resolutions: p.Resolutions()}
	if p.Batch != 0 {
		v.Method = p.Way() // which an older log does not say
	}
	return v
}

// Resolve takes a person's word on a payment that is repeated, or manual.
func (d *daemon) Resolve(ctx context.Context, actor settle.Actor, r control.Resolution) (control.Payment, error) {
	h, err := d.open()
	if err != nil {
		return control.Payment{}, err
	}
	if !envelope.ValidID(r.ID) || r.Merchant != "" && !envelope.ValidMerchant(r.Merchant) {
		return control.Payment{}, notFound("payment", r.ID, false)
	}
	if r.Merchant == "" {
		if r.Merchant, err = d.owner(r.ID, append(repeatedStages[:], payment.StageManual)...); err != nil {
			return control.Payment{}, err
		}
	}
	if err := h.engine.Resolve(ctx, r.Merchant, r.ID, r.As, actor.Purpose, actor); err != nil {
		return control.Payment{}, err
	}
	return d.Payment(ctx, r.Merchant, r.ID)
}

// ImportReturns takes a file of the bank.
func (d *daemon) ImportReturns(ctx context.Context, actor settle.Actor, name string, file io.Reader) (control.Import, error) {
	h, err := d.open()
	if err != nil {
		return control.Import{}, err
	}
	done, err := h.engine.ImportAnswers(ctx, name, file, actor)
	if err != nil {
		return control.Import{}, err
	}
	return control.Import{Name: name, Digest: done.Digest, Already: done.Already, Returns: done.Returns, Changes: done.Changes,
		Acknowledgements: done.Acknowledgements, Repeats: done.Repeats}, nil
}
