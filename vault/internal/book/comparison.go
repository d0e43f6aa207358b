package book

import "nightdrop/shared/envelope"

// Bounds of answers that depend on equality with an account that the asker may not know
// (ops/docs/threat-model.md): whoever holds a storefront's key could find a masked number by
// trying.
const (
	// MaxMismatches is how many refunds of one payment may name another account than the one that
	// paid: enough for a typing error and a replaced card. Further ones get the result code limit.
	MaxMismatches = 3
	// MaxMismatchesPerDay is the same over all of a merchant's payments in a UTC day, for one card
	// may have paid often. A mask of six and four digits of sixteen leaves 100,000 numbers that
	// pass the check digit: at 20 a day, thirteen years.
	MaxMismatchesPerDay = 20
	// MaxBlockComparisons is how many bank accounts from a merchant's envelopes are compared in a
	// UTC day with those that returns have blocked. Those above it are compared when their file is
	// made, where every try is an entry that the bank answers itself: no payment is refused for it.
	MaxBlockComparisons = 100
)

// Comparisons counts what a merchant's envelopes were compared with on a UTC day.
type Comparisons struct {
	Day string `json:"day,omitempty"` // YYYY-MM-DD
	// refunds that named another account than their payment's
	Mismatches int `json:"mismatches,omitempty"`
	Blocks     int `json:"blocks,omitempty"` // bank accounts that were compared with the block list
}

// at is the count as it stands at a time: a new day begins with nothing.
func (c Comparisons) at(now envelope.Time) Comparisons {
	if day := now.DateText(c.Day); c.Day != day {
		return Comparisons{Day: day}
	}
	return c
}

// MayCompare reports whether the account of a refund of p may be compared with p's: mismatches of
// the payment, and of the merchant's day, are left.
func (m Merchant) MayCompare(p Payment, now envelope.Time) bool {
	return p.Mismatches < MaxMismatches && !m.MismatchesUsedUp(now)
}

// MismatchesUsedUp reports whether no more refunds of a merchant's are compared today.
func (m Merchant) MismatchesUsedUp(now envelope.Time) bool {
	return m.Compared.at(now).Mismatches >= MaxMismatchesPerDay
}

// MayCompareBlocks reports whether another bank account may be compared with the block list today.
func (m Merchant) MayCompareBlocks(now envelope.Time) bool {
	return m.Compared.at(now).Blocks < MaxBlockComparisons
}

// withBlock counts one bank account that was compared with the block list.
func (c Comparisons) withBlock(now envelope.Time) (Comparisons, error) {
	if c = c.at(now); c.Blocks >= MaxBlockComparisons {
		return c, misfit("no more bank accounts are held against the block list today")
	}
	c.Blocks++
	return c, nil
}

// compared counts the comparisons that a rejection reports; older logs report none.
func (f *fold) compared(b EnvelopeRejected) error {
	if !b.Mismatch && !b.Compared {
		return nil
	}
	m, _, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if b.Compared {
		if b.Code != envelope.CodeBlockedAccount {
			return misfit("%s was held against the block list and refused by %s", b.ID, b.Code)
		}
		if m.Compared, err = m.Compared.withBlock(f.event.Time); err != nil {
			return err
		}
	}
	if b.Mismatch {
		p, err := f.known(b.Of)
		if err != nil {
			return err
		}
		differs := b.Code == envelope.CodeBadAccount || b.Code == envelope.CodeAccountGone
		if b.Operation != envelope.OpRefund || !differs || !m.MayCompare(p, f.event.Time) {
			return misfit("%s is not a refund whose account could be compared with that of %s", b.ID, b.Of)
		}
		p.Mismatches++
		if err := f.put(p); err != nil {
			return err
		}
		m.Compared = m.Compared.at(f.event.Time)
		m.Compared.Mismatches++
	}
	return Merchants.Put(f.State, m)
}
