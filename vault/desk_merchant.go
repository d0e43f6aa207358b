package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settle"
)

// Limits of a merchant's record.
const (
	maxMerchantName = 64 // characters
	maxMerchantKeys = 16 // verifiers, and as many reply keys
	maxAcceptor     = 15 // ISO 8583 field 42
)

// Merchants lists them.
func (d *daemon) Merchants(context.Context) ([]control.Merchant, error) {
	return view(d, func(tx *ledger.Tx) ([]control.Merchant, error) {
		merchants := []control.Merchant{}
		err := tx.Merchants(func(m book.Merchant) error {
			merchants = append(merchants, merchantView(m))
			return nil
		})
		return merchants, err
	})
}

// Merchant shows one.
func (d *daemon) Merchant(_ context.Context, id string) (control.Merchant, error) {
	return view(d, func(tx *ledger.Tx) (control.Merchant, error) { return readMerchant(tx, id) })
}

func readMerchant(tx *ledger.Tx, id string) (control.Merchant, error) {
	m, found, err := tx.Merchant(id)
	if err == nil && !found {
		err = notFound("merchant", id, envelope.ValidMerchant(id))
	}
	return merchantView(m), err
}

func merchantView(m book.Merchant) control.Merchant {
	return control.Merchant{ID: m.ID, Name: m.Name, Status: string(m.Status), Verifiers: m.Verifiers, ReplyKeys: m.ReplyKeys, Acceptor: m.Acceptor,
		Currencies: m.Currencies, Added: m.Added, Results: m.Results, OpenBatch: m.OpenBatch, OpenBank: m.OpenBank, Policy: m.Policy}
}

// AddMerchant checks and enrols one.
func (d *daemon) AddMerchant(ctx context.Context, actor settle.Actor, m control.NewMerchant) (control.Merchant, error) {
	if m.Acceptor == "" {
		m.Acceptor = acceptorOf(m.ID)
	}
	if err := checkMerchant(m); err != nil {
		return control.Merchant{}, &control.Error{Code: control.CodeUsage, Detail: err.Error()}
	}
	body := book.MerchantAdded{Name: m.Name, Verifiers: m.Verifiers, ReplyKeys: m.ReplyKeys, Acceptor: m.Acceptor, Currencies: m.Currencies}
	return d.changeMerchant(ctx, m.ID, func(tx *ledger.Tx) error {
		_, found, err := tx.Merchant(m.ID)
		if err != nil {
			return err
		}
		if found {
			return &control.Error{Code: control.CodeConflict, Detail: "merchant " + m.ID + " exists; an id is never used again"}
		}
		if err := otherAcceptor(tx, m.Acceptor); err != nil {
			return err
		}
		if err := tx.NewMerchantKey(m.ID); err != nil {
			return err
		}
		if _, err = tx.Append(actor.Event(m.ID, body)); err != nil || m.Company == nil {
			return err
		}
		_, err = tx.Append(actor.Event(m.ID, book.MerchantPolicySet{Policy: book.Policy{Company: *m.Company}}))
		return err
	})
}

// otherAcceptor refuses an acceptor id that another merchant has: their money would meet at the acquirer.
func otherAcceptor(tx *ledger.Tx, acceptor string) error {
	return tx.Merchants(func(other book.Merchant) error {
		if other.Acceptor == acceptor {
			return &control.Error{Code: control.CodeConflict, Detail: fmt.Sprintf("acceptor %s is merchant %s's; give the one that the acquirer gave with --acceptor", acceptor, other.ID)}
		}
		return nil
	})
}

// acceptorOf makes a card acceptor id of a merchant's id: capitals and digits, at most 15.
func acceptorOf(id string) string {
	acceptor := strings.ToUpper(strings.ReplaceAll(id, "-", ""))
	return acceptor[:min(len(acceptor), maxAcceptor)]
}

// checkMerchant says what is wrong with a new merchant's data.
func checkMerchant(m control.NewMerchant) error {
	if !envelope.ValidMerchant(m.ID) {
		return errors.New("a merchant's id is 3 to 32 of a-z0-9-, beginning with a letter and not ending with -")
	}
	if n := len([]rune(m.Name)); n < 1 || n > maxMerchantName || strings.ContainsFunc(m.Name, func(r rune) bool { return printable(r) != r }) {
		return errors.New("--name is 1 to 64 characters without controls")
	}
	if len(m.Verifiers) < 1 || len(m.Verifiers) > maxMerchantKeys || len(m.ReplyKeys) < 1 || len(m.ReplyKeys) > maxMerchantKeys {
		return errors.New("--verifier and --reply-key are needed, each at most 16 times")
	}
	for _, line := range m.Verifiers {
		v, err := note.ParseVerifier(line)
		if err != nil {
			return fmt.Errorf("--verifier: %w", err)
		}
		if v.Name() != m.ID {
			return fmt.Errorf("--verifier: the key's name is %s, not %s: make it with that name", v.Name(), m.ID)
		}
	}
	for _, line := range m.ReplyKeys {
		if _, _, err := seal.ReplyKey(line); err != nil {
			return fmt.Errorf("--reply-key: %w", err)
		}
	}
	if len(m.Currencies) == 0 {
		return errors.New("--currency is needed: what it sells in, such as USD,EUR")
	}
	for i, code := range m.Currencies {
		if _, known := envelope.LookupCurrency(code); !known || slices.Contains(m.Currencies[:i], code) {
			return fmt.Errorf("--currency: %q is no ISO 4217 code that can be sold in, or stands twice", code)
		}
	}
	if len(m.Acceptor) < 1 || len(m.Acceptor) > maxAcceptor || !upperAlphanumeric(m.Acceptor) {
		return errors.New("--acceptor is 1 to 15 of A-Z0-9")
	}
	if m.Company != nil {
		return checkCompany(book.Company{}, *m.Company)
	}
	return nil
}

// SuspendMerchant stops one.
func (d *daemon) SuspendMerchant(ctx context.Context, actor settle.Actor, id string) (control.Merchant, error) {
	return d.setMerchant(ctx, actor, id, book.MerchantActive, book.MerchantSuspended{})
}

// ResumeMerchant lets one in again.
func (d *daemon) ResumeMerchant(ctx context.Context, actor settle.Actor, id string) (control.Merchant, error) {
	return d.setMerchant(ctx, actor, id, book.MerchantStopped, book.MerchantResumed{})
}

// setMerchant changes a merchant that stands in from; one that does not is as it should be already.
func (d *daemon) setMerchant(ctx context.Context, actor settle.Actor, id string, from book.MerchantStatus, body book.Body) (control.Merchant, error) {
	return d.changeMerchant(ctx, id, func(tx *ledger.Tx) error {
		m, found, err := tx.Merchant(id)
		if err != nil {
			return err
		}
		if !found {
			return notFound("merchant", id, envelope.ValidMerchant(id))
		}
		if m.Status != from {
			return nil
		}
		_, err = tx.Append(actor.Event(id, body))
		return err
	})
}

func (d *daemon) changeMerchant(ctx context.Context, id string, change func(*ledger.Tx) error) (out control.Merchant, err error) {
	h, err := d.open()
	if err != nil {
		return out, err
	}
	err = h.ledger.Commit(ctx, func(tx *ledger.Tx) error {
		if err := change(tx); err != nil {
			return err
		}
		out, err = readMerchant(tx, id)
		return err
	})
	if err != nil {
		return control.Merchant{}, err
	}
	return out, nil
}
