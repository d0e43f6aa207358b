package intake

import (
	"crypto/rand"
	"encoding/base32"
	"errors"
	"fmt"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
)

// stored is an account, sealed while it was judged: its key is durable, and the commit stores its
// record.
type stored struct {
	ledger.Stored
	token string
}

// seal seals an account to be stored, or a card with its new expiry, under its own key. The group
// notes the slot and frees it where the account is not committed; where the vault stops before, the
// next start does. A merchant over its daily number gets no key, nor does anybody when there are no
// more: the commit answers limit.
func (i *Intake) seal(m merchant, v *verdict, token string, acct *account.Account) error {
	if v.noKey = m.Exceeds(v.order.Operation, 0, "", envelope.At(i.Now())); v.noKey != "" {
		return nil
	}
	plain := acct.Encode()
	defer clear(plain)
	slot, sealed, err := i.Accounts.SealStored(v.envelope.Merchant, token, plain)
	if errors.Is(err, keyring.ErrFull) {
		i.Logger.Error("an account cannot be stored", "merchant", v.envelope.Merchant, "error", err)
		v.noKey = book.ExceededKeys
		return nil // the commit answers limit
	}
	if err != nil {
		return fmt.Errorf("seal an account to be stored: %w", err)
	}
	v.stored = &stored{ledger.Stored{Slot: slot, Sealed: sealed}, token}
	return nil
}

const tokenBytes = 17 // 26 base32 characters hold 130 bits

// newToken makes a random token (specification 2), without digits that could be an account number.
func newToken() string {
	for {
		var random [tokenBytes]byte
		_, _ = rand.Read(random[:]) // never fails (crypto/rand)
		token := "tok_" + strings.ToLower(base32.StdEncoding.EncodeToString(random[:])[:26])
		if envelope.CheckReference(token) == nil {
			return token
		}
	}
}

// update checks an update and seals the stored card again with its new expiry, or a whole bank
// account.
func (i *Intake) update(st state, m merchant, v *verdict, o envelope.Order, parts opened) (envelope.Code, error) {
	if !i.permits(m.Merchant, o) {
		return envelope.CodeNotPermitted, nil
	}
	if acct, err := account.Parse(parts.account); err == nil {
		defer acct.Clear()
		return i.replace(st, m, v, o, acct)
	}
	expiry, err := account.ParseExpiry(parts.account)
	if err != nil {
		return envelope.CodeBadAccount, nil
	}
	defer expiry.Clear()
	if code := expiry.Check(i.Now()); code != envelope.CodeOK {
		return code, nil
	}
	t, there, err := st.token(m.ID, v.order.Token)
	switch {
	case err != nil:
		return "", err
	case !there, t.Forgotten:
		// the commit need not look again: nobody knows a token before it is made
		return envelope.CodeUnknownToken, nil
	}
	acct, err := i.openStored(st, m.ID, t.Token)
	switch {
	case err != nil:
		return "", err
	case acct == nil:
		return envelope.CodeAccountGone, nil
	}
	defer acct.Clear()
	if !acct.SetExpiry(expiry) {
		return envelope.CodeBadAccount, nil
	}
	return envelope.CodeOK, i.seal(m, v, t.Token, acct)
}

// replace checks an update with a whole account, and seals it.
func (i *Intake) replace(st state, m merchant, v *verdict, o envelope.Order, acct *account.Account) (envelope.Code, error) {
	switch {
	case acct.Bank == nil:
		// of a card only the expiry changes: another number is another card
		return envelope.CodeBadAccount, nil
	case !i.permitsBank(m.Merchant):
		return envelope.CodeNotPermitted, nil
	}
	if code, err := i.particulars(st, v, acct); err != nil || code != envelope.CodeOK {
		return code, err
	}
	t, there, err := st.token(m.ID, v.order.Token)
	switch {
	case err != nil:
		return "", err
	case !there, t.Forgotten:
		// the commit need not look again: nobody knows a token before it is made
		return envelope.CodeUnknownToken, nil
	case t.Method != book.MethodBank:
		return envelope.CodeBadAccount, nil
	}
	return envelope.CodeOK, i.seal(m, v, t.Token, acct)
}

// openStored opens a stored account; nil where its key is destroyed. Where another update destroyed
// it meanwhile, the account has a newer one.
func (i *Intake) openStored(st state, merchant, token string) (*account.Account, error) {
	record, there, err := st.stored(merchant, token)
	for there && err == nil {
		plain, failure := i.Accounts.OpenStored(merchant, token, record.Slot, record.Sealed)
		if failure == nil {
			defer clear(plain)
			return account.Parse(plain)
		}
		if !errors.Is(failure, keyring.ErrForgotten) && !errors.Is(failure, keyring.ErrCannotOpen) {
			return nil, fmt.Errorf("open a stored account: %w", failure)
		}
		before := record.Slot
		if record, there, err = st.stored(merchant, token); there && err == nil && record.Slot == before {
			i.Logger.Error("a stored account does not open; its shop must store it again", "merchant", merchant, "error", failure)
			return nil, nil
		}
	}
	return nil, err
}

// putStored stores an account in the transaction of its event. The key of the one before is
// destroyed after the commit.
func (c *committer) putStored(merchant string, s *stored) error {
	old, there, err := c.tx.Stored(merchant, s.token)
	if err != nil {
		return err
	}
	if there {
		c.dead = append(c.dead, old.Slot)
	}
	c.used[s.Slot] = true
	return c.tx.PutStored(merchant, s.token, s.Stored)
}

// deleteStored deletes an account. Its key is destroyed after the commit.
func (c *committer) deleteStored(merchant, token string) error {
	old, there, err := c.tx.Stored(merchant, token)
	if err != nil || !there {
		return err
	}
	c.dead = append(c.dead, old.Slot)
	return c.tx.DeleteStored(merchant, token)
}

// destroy destroys the keys of accounts that the committed group deleted or did not keep. A crash
// before it leaves keys that no record uses, which the next start destroys
// ([keyring.Ring.KeepStored]).
func (c *committer) destroy() error {
	slots := c.dead
	for _, slot := range c.group.slots {
		if !c.used[slot] {
			slots = append(slots, slot)
		}
	}
	if len(slots) == 0 {
		return nil
	}
	if err := c.Accounts.ForgetStored(slots...); err != nil {
		return fmt.Errorf("destroy the keys of forgotten accounts: %w", err)
	}
	return nil
}
