package calls

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
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
	keys := []control.MerchantKey{}
	for use, lines := range map[book.KeyUse][]string{book.UseVerifier: m.Verifiers, book.UseReply: m.ReplyKeys} {
		for _, line := range lines {
			k := m.KeyTimes(use, line)
			keys = append(keys, control.MerchantKey{Name: k.Name, Use: use, Added: k.Added})
		}
	}
	for _, k := range m.Keys {
		if !k.Retired.IsZero() {
			keys = append(keys, control.MerchantKey{Name: k.Name, Use: k.Use(), Added: k.Added, Retired: k.Retired})
		}
	}
	slices.SortStableFunc(keys, func(a, b control.MerchantKey) int {
		return cmp.Or(a.Added.Compare(b.Added.Time), cmp.Compare(b.Use, a.Use), cmp.Compare(a.Name, b.Name))
	})
	v := control.Merchant{ID: m.ID, Keys: keys, Name: m.Name, Status: string(m.Status), Verifiers: m.Verifiers, ReplyKeys: m.ReplyKeys, Acceptor: m.Acceptor,
		Currencies: m.Currencies, Added: m.Added, Results: m.Results, Policy: m.Policy}
	if m.OpenBatch != 0 {
		v.OpenBatch = book.BatchID(book.MethodCard, m.OpenBatch)
	}
	if m.OpenBank != 0 {
		v.OpenBank = book.BatchID(book.MethodBank, m.OpenBank)
	}
	return v
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

// replyKey refuses a reply key that nothing can be sealed to.
func replyKey(line string) error {
	_, _, err := seal.ReplyKey(line)
	return err
}

// UpdateMerchant changes what a merchant was enrolled with. What is so already is left out: to ask
// again changes nothing.
func (c *Calls) UpdateMerchant(ctx context.Context, actor operator.Actor, id string, change control.MerchantChange) (control.Merchant, error) {
	changed := false
	m, err := c.changeMerchant(ctx, id, func(tx *ledger.Tx) error {
		m, err := readMerchant(tx, id)
		if err != nil {
			return err
		}
		body := book.MerchantUpdated{Name: change.Name, Currencies: change.Currencies, Acceptor: change.Acceptor,
			AddedVerifiers: change.AddVerifiers, RetiredVerifiers: change.RetireVerifiers,
			AddedReplyKeys: change.AddReplyKeys, RetiredReplyKeys: change.RetireReplyKeys}.Needed(m)
		if changed = body.Changes(); !changed {
			return nil
		}
		if err := checkUpdate(tx, m, body); err != nil {
			return err
		}
		_, err = tx.Append(actor.Event(id, body))
		return err
	})
	m.Changed = changed
	return m, err
}

// checkUpdate refuses, in an operator's words, what the fold would; and what it cannot see: a
// currency of no table, a reply key of no use, a payment that is under way at the acquirer.
func checkUpdate(tx *ledger.Tx, m book.Merchant, body book.MerchantUpdated) error {
	after, err := m.Updated(body, tx.Now())
	if errors.Is(err, book.ErrUnknownKey) {
		return &control.Error{Code: control.CodeNotFound, Detail: err.Error() + ": see vault merchant show " + m.ID}
	}
	if err != nil {
		return &control.Error{Code: control.CodeConflict, Detail: err.Error()}
	}
	currency := func(code string) bool {
		_, known := envelope.LookupCurrency(code)
		return known || slices.Contains(m.Currencies, code)
	}
	if err := book.CheckMerchant(after, replyKey, currency); err != nil {
		return &control.Error{Code: control.CodeUsage, Detail: err.Error()}
	}
	if after.Acceptor == m.Acceptor {
		return nil
	}
	err = tx.Merchants(func(other book.Merchant) error { return book.CheckAcceptor(after.Acceptor, other) })
	if err == nil {
		err = book.CheckAcceptorFree(tx.State, m)
	}
	if err == nil {
		err = checkNoneAtAcquirer(tx, m)
	}
	if err != nil {
		return &control.Error{Code: control.CodeConflict, Detail: err.Error()}
	}
	return nil
}

// checkNoneAtAcquirer refuses a new acceptor while a payment stands at the acquirer under the old
// one and in no batch: an authorisation, or an outcome that is to come.
func checkNoneAtAcquirer(tx *ledger.Tx, m book.Merchant) error {
	for _, stage := range book.Working {
		if stage == book.StageReceived {
			continue // nothing was sent
		}
		err := tx.Payments(ledger.Query{Merchant: m.ID, Stage: stage, Limit: 1}, func(p book.Payment) error {
			return fmt.Errorf("payment %s is %s under acceptor %s: capture, void or resolve it, and settle its batch, first", p.Name(), p.Stage, m.Acceptor)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkMerchant returns what is wrong with a new merchant's data.
func checkMerchant(m control.NewMerchant) error {
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
	m, err := commit(ctx, c, func(tx *ledger.Tx) (m book.Merchant, err error) {
		if err := change(tx); err != nil {
			return m, err
		}
		m, _, err = tx.Merchant(id)
		return m, err
	})
	if err != nil {
		return control.Merchant{}, err
	}
	out := merchantView(m)
	wait, cancel := context.WithTimeout(ctx, memberWait)
	defer cancel()
	out.Published, err = using(c, func(p Parts) (bool, error) { return p.Publisher.AwaitMember(wait, m) })
	return out, err
}
