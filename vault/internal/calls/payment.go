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
	"nightdrop/vault/internal/settle"
)

// Payments lists a page.
func (c *Calls) Payments(_ context.Context, q control.PaymentQuery) ([]control.Payment, error) {
	return view(c, func(tx *ledger.Tx) ([]control.Payment, error) {
		payments := []control.Payment{}
		if err := exist(tx, q); err != nil {
			return payments, err
		}
		query := ledger.Query{Merchant: q.Merchant, Stage: q.Stage, Batch: q.Batch, After: q.After, Limit: q.Limit}
		err := tx.Payments(query, func(p book.Payment) error {
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
func (c *Calls) Payment(_ context.Context, merchant, id string) (control.Payment, error) {
	return view(c, func(tx *ledger.Tx) (control.Payment, error) {
		p, found, err := tx.Payment(merchant, id)
		if err == nil && !found {
			err = notFound("payment", merchant+"/"+id, envelope.ValidMerchant(merchant) && envelope.ValidID(id))
		}
		if err != nil {
			return control.Payment{}, err
		}
		v := paymentView(p)
		if v.Corrections, err = settle.Corrections(tx, p); err != nil {
			return v, err
		}
		err = tx.Operations(merchant, id, func(o book.Payment) error {
			v.Operations = append(v.Operations, paymentView(o))
			return nil
		})
		return v, err
	})
}

func paymentView(p book.Payment) control.Payment {
	v := control.Payment{Merchant: p.Merchant, ID: p.ID, Number: p.Number, Digest: p.Digest, Stage: p.Stage, Code: p.Code, Operation: p.Operation,
		Amount: p.Amount, Currency: p.Currency, Reference: p.Reference, Masked: p.Masked, Brand: p.Brand, Approval: p.Approval, Method: p.Method,
		Of: p.Of, Token: p.Token, Captured: p.Captured, Refunded: p.Refunded, Void: p.Void, Standard: p.Standard, Entry: p.Entry, File: p.File,
		Notice: p.Notice, Notices: p.Notices, Withheld: p.Withheld(), Acked: p.Acked, Batch: p.Batch, Received: p.Received, Changed: p.Changed,
		Trace: p.Trace, Reversal: p.Reversal, Tries: p.Tries, Answer: p.Answer, Results: p.Results, Resolutions: p.Resolutions(), Decisions: p.Decisions, AtHost: p.AtHost}
	if len(v.Resolutions) > 0 {
		v.RepeatedSince, v.Repeats = p.Repeated()
	}
	if p.Batch != 0 {
		v.Method = p.Way() // which an older log does not say
	}
	return v
}

// Resolve takes a person's word on a payment that is repeated, or manual.
func (c *Calls) Resolve(ctx context.Context, actor operator.Actor, r control.Resolution) (control.Payment, error) {
	parts, err := c.parts()
	if err != nil {
		return control.Payment{}, err
	}
	if !envelope.ValidID(r.ID) || r.Merchant != "" && !envelope.ValidMerchant(r.Merchant) {
		return control.Payment{}, notFound("payment", r.ID, false)
	}
	if r.As == envelope.StatusReturned {
		return c.recordReturn(ctx, parts.Engine, actor, r)
	}
	find := func(id string) (string, error) {
		return c.ownerAt(id, append(repeatedStages[:], book.StageManual)...)
	}
	if r.Correct {
		find = c.owner
	}
	if r.Merchant == "" {
		if r.Merchant, err = find(r.ID); err != nil {
			return control.Payment{}, err
		}
	}
	actor.Evidence = r.Evidence
	if r.Correct {
		err = parts.Engine.Correct(ctx, r.Merchant, r.ID, r.As, r.Reverse, actor.Purpose, actor)
	} else {
		err = parts.Engine.Resolve(ctx, r.Merchant, r.ID, r.As, actor.Purpose, actor)
	}
	if err != nil {
		return control.Payment{}, err
	}
	return c.Payment(ctx, r.Merchant, r.ID)
}

// recordReturn takes a person's word that a bank entry came back.
func (c *Calls) recordReturn(ctx context.Context, engine *settle.Engine, actor operator.Actor, r control.Resolution) (control.Payment, error) {
	if r.Merchant == "" {
		var err error
		if r.Merchant, err = c.owner(r.ID); err != nil {
			return control.Payment{}, err
		}
	}
	actor.Evidence = r.Evidence
	if err := engine.RecordReturn(ctx, r.Merchant, r.ID, r.Code, actor.Purpose, actor); err != nil {
		return control.Payment{}, err
	}
	return c.Payment(ctx, r.Merchant, r.ID)
}

// owner finds the merchant of the payment of an id.
func (c *Calls) owner(id string) (string, error) {
	return view(c, func(tx *ledger.Tx) (merchant string, err error) {
		var owners []string
		err = tx.Merchants(func(m book.Merchant) error {
			_, found, err := tx.Payment(m.ID, id)
			if found {
				owners = append(owners, m.ID)
			}
			return err
		})
		if err != nil {
			return "", err
		}
		return onlyOwner(owners, "payment", id, "look with `vault payment list`")
	})
}

// onlyOwner is the one merchant that has a payment of an id.
func onlyOwner(owners []string, what, id, look string) (string, error) {
	switch len(owners) {
	case 0:
		return "", &control.Error{Code: control.CodeNotFound, Detail: fmt.Sprintf("no %s has the id %s: %s", what, id, look)}
	case 1:
		return owners[0], nil
	}
	return "", &control.Error{Code: control.CodeConflict, Detail: fmt.Sprintf("merchants %v each have a %s %s: say which with --merchant", owners, what, id)}
}

// ImportReturns takes a file of the bank.
func (c *Calls) ImportReturns(ctx context.Context, actor operator.Actor, name string, file io.Reader) (control.Import, error) {
	parts, err := c.parts()
	if err != nil {
		return control.Import{}, err
	}
	done, err := parts.Engine.ImportAnswers(ctx, name, file, actor)
	if err != nil {
		return control.Import{}, err
	}
	return control.Import{Name: name, Digest: done.Digest, Already: done.Already, Returns: done.Returns, Changes: done.Changes,
		Acknowledgements: done.Acknowledgements, Repeats: done.Repeats, Left: done.Left, LeftCount: done.LeftCount}, nil
}
