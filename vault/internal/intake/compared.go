package intake

import (
	"crypto/hmac"
	"fmt"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// compared makes the checks whose answers depend on equality with an account that the sender may
// not know. They come last, so that nothing is learned for free, and are counted in the ledger:
// beyond their bounds ([book.MaxMismatches] and those beside it) no account is compared.
// ops/docs/threat-model.md lists them.
func (c *committer) compared(m book.Merchant, v *verdict) (envelope.Code, error) {
	if code, err := c.blocked(m, v); err != nil || code != envelope.CodeOK {
		return code, err
	}
	if v.order.Operation != envelope.OpRefund || v.given.print == "" {
		return envelope.CodeOK, nil
	}
	original, _, err := c.tx.Payment(m.ID, v.order.Of)
	switch {
	case err != nil:
		return "", err
	case !m.MayCompare(original, c.tx.Now()):
		// also for the right account, so as not to reveal it
		return v.exceeds(book.ExceededComparisons), nil
	case v.given.method == original.Way() && hmac.Equal([]byte(v.given.print), []byte(original.Fingerprint)):
		return envelope.CodeOK, nil
	}
	v.mismatch = true
	if v.envelope.Account == nil {
		v.order.Token = "" // another account is stored under it now
		return envelope.CodeAccountGone, nil
	}
	return envelope.CodeBadAccount, nil
}

// blocked checks whether returns have blocked the bank account of what moves money or stores it. An
// account that the envelope gives is compared with the block list only so many times a day; beyond
// that, the settlement file's writer does it.
func (c *committer) blocked(m book.Merchant, v *verdict) (envelope.Code, error) {
	op := v.order.Operation
	if v.account.method != book.MethodBank || !hasAmount(op) && op != envelope.OpStore && op != envelope.OpUpdate {
		return envelope.CodeOK, nil
	}
	switch {
	case op == envelope.OpRefund: // to the account that paid
	case v.order.Token != "" && op != envelope.OpUpdate: // an update gives an account
		t, _, err := c.tx.Token(m.ID, v.order.Token)
		if err != nil || t.Uncompared {
			return envelope.CodeOK, err
		}
	case !m.MayCompareBlocks(c.tx.Now()):
		return envelope.CodeOK, nil
	default:
		v.compared = true
	}
	_, blocked, err := c.tx.Block(m.ID, v.account.print)
	if err == nil && blocked {
		return envelope.CodeBlockedAccount, nil
	}
	return envelope.CodeOK, err
}

// reportBounds records that an answer was the last of its kind: of an id's conflicts, of a
// payment's mismatches, or of a merchant's of the day.
func (c *committer) reportBounds(v verdict) error {
	switch {
	case v.code == envelope.CodeIDConflict:
		p, _, err := c.tx.Payment(v.envelope.Merchant, v.envelope.ID)
		if err != nil || len(p.Conflicts) < book.MaxConflicts {
			return err
		}
		return c.append(v, v.found(book.FindingConflicts,
			fmt.Sprintf("id %s came with %d other instructions; further ones are not answered",
				v.envelope.ID, book.MaxConflicts)))
	case v.mismatch:
		return c.reportMismatches(v)
	}
	return nil
}

func (c *committer) reportMismatches(v verdict) error {
	p, _, err := c.tx.Payment(v.envelope.Merchant, v.order.Of)
	if err != nil {
		return err
	}
	if p.Mismatches == book.MaxMismatches {
		err := c.append(v, v.found(book.FindingMismatches,
			fmt.Sprintf("%d refunds of payment %s named other accounts; no more are compared with its",
				p.Mismatches, p.Name())))
		if err != nil {
			return err
		}
	}
	m, _, err := c.tx.Merchant(v.envelope.Merchant)
	if err != nil || !m.MismatchesUsedUp(c.tx.Now()) {
		return err
	}
	return c.append(v, v.found(book.FindingMismatches,
		fmt.Sprintf("%d refunds of %s named other accounts today; no more are compared before tomorrow",
			book.MaxMismatchesPerDay, m.ID)))
}
