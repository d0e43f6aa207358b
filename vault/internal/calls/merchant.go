package calls

import (
	"context"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
)

// Merchants lists them.
func (c *Calls) Merchants(context.Context) ([]control.Merchant, error) {
	return view(c, func(tx *ledger.Tx) ([]control.Merchant, error) {
		merchants := []control.Merchant{}
		err := tx.Merchants(func(m book.Merchant) error {
			merchants = append(merchants, merchantView(m))
			return nil
		})
		return merchants, err
	})
}

// Merchant shows one.
func (c *Calls) Merchant(_ context.Context, id string) (control.Merchant, error) {
	return view(c, func(tx *ledger.Tx) (control.Merchant, error) {
		m, err := readMerchant(tx, id)
		return merchantView(m), err
	})
}

// readMerchant reads a merchant that has to be there.
func readMerchant(tx *ledger.Tx, id string) (book.Merchant, error) {
	m, found, err := tx.Merchant(id)
	if err == nil && !found {
		err = notFound("merchant", id, envelope.ValidMerchant(id))
	}
	return m, err
}

func merchantView(m book.Merchant) control.Merchant {
	return control.Merchant{ID: m.ID, Name: m.Name, Status: string(m.Status), Verifiers: m.Verifiers, ReplyKeys: m.ReplyKeys, Acceptor: m.Acceptor,
		Currencies: m.Currencies, Added: m.Added, Results: m.Results, OpenBatch: m.OpenBatch, OpenBank: m.OpenBank, Policy: m.Policy}
}

// AddMerchant checks and enrols one.
func (c *Calls) AddMerchant(ctx context.Context, actor operator.Actor, m control.NewMerchant) (control.Merchant, error) {
	if m.Acceptor == "" {
		m.Acceptor = book.AcceptorOf(m.ID)
	}
	if err := checkMerchant(m); err != nil {
		return control.Merchant{}, &control.Error{Code: control.CodeUsage, Detail: err.Error()}
	}
	body := book.MerchantAdded{Name: m.Name, Verifiers: m.Verifiers, ReplyKeys: m.ReplyKeys, Acceptor: m.Acceptor, Currencies: m.Currencies, Checked: true}
	return c.changeMerchant(ctx, m.ID, func(tx *ledger.Tx) error {
		_, found, err := tx.Merchant(m.ID)
		if err != nil {
			return err
		}
		if found {
			return &control.Error{Code: control.CodeConflict, Detail: "merchant " + m.ID + " exists; an id is never used again"}
		}
		err = tx.Merchants(func(other book.Merchant) error {
			if err := book.CheckAcceptor(m.Acceptor, other); err != nil {
				return &control.Error{Code: control.CodeConflict, Detail: err.Error()}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := tx.NewMerchantKey(m.ID); err != nil {
			return err
		}
		if _, err = tx.Append(actor.Event(m.ID, body)); err != nil || m.Company == nil {
			return err
		}
		_, err = tx.Append(actor.Event(m.ID, book.MerchantPolicySet{Policy: book.Policy{Company: *m.Company}, Checked: true}))
		return err
	})
}

// checkMerchant returns what is wrong with a new merchant's data.
func checkMerchant(m control.NewMerchant) error {
	replyKey := func(line string) error {
		_, _, err := seal.ReplyKey(line)
		return err
	}
	currency := func(code string) bool {
		_, known := envelope.LookupCurrency(code)
		return known
	}
	err := book.CheckMerchant(book.Merchant{ID: m.ID, Name: m.Name, Verifiers: m.Verifiers, ReplyKeys: m.ReplyKeys, Acceptor: m.Acceptor,
		Currencies: m.Currencies}, replyKey, currency)
	if err != nil || m.Company == nil {
		return err
	}
	return checkCompany(book.Company{}, *m.Company)
}

// SuspendMerchant stops one.
func (c *Calls) SuspendMerchant(ctx context.Context, actor operator.Actor, id string) (control.Merchant, error) {
	return c.setMerchant(ctx, actor, id, book.MerchantActive, book.MerchantSuspended{})
}

// ResumeMerchant lets one in again.
func (c *Calls) ResumeMerchant(ctx context.Context, actor operator.Actor, id string) (control.Merchant, error) {
	return c.setMerchant(ctx, actor, id, book.MerchantStopped, book.MerchantResumed{})
}

// setMerchant changes a merchant that stands in from; one that does not is as it should be already.
func (c *Calls) setMerchant(ctx context.Context, actor operator.Actor, id string, from book.MerchantStatus, body book.Body) (control.Merchant, error) {
	return c.changeMerchant(ctx, id, func(tx *ledger.Tx) error {
		m, err := readMerchant(tx, id)
		if err != nil || m.Status != from {
			return err
		}
		_, err = tx.Append(actor.Event(id, body))
		return err
	})
}

// memberWait is how long a change of a merchant waits until the channel has the members note with
// it.
const memberWait = 5 * time.Second

// changeMerchant commits a change, and says whether the relays' channel has it.
func (c *Calls) changeMerchant(ctx context.Context, id string, change func(*ledger.Tx) error) (control.Merchant, error) {
	parts, err := c.parts()
	if err != nil {
		return control.Merchant{}, err
	}
	var m book.Merchant
	err = parts.Ledger.Commit(ctx, func(tx *ledger.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		m, _, err = tx.Merchant(id)
		return err
	})
	if err != nil {
		return control.Merchant{}, err
	}
	out := merchantView(m)
	wait, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	out.Published, err = parts.Outbox.AwaitMember(wait, m)
	return out, err
}
