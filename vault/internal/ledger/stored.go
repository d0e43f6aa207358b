package ledger

import (
	"encoding/binary"
	"strings"

	"nightdrop/vault/internal/book"
)

// Stored is a stored account: sealed by keyring.Ring.SealStored under the key in Slot, which lives
// outside the ledger and all its copies.
type Stored struct {
	Slot   uint32
	Sealed []byte
}

// slotBytes begin a stored account's record: its slot, big endian.
const slotBytes = 4

func (s Stored) encode() []byte {
	return append(binary.BigEndian.AppendUint32(make([]byte, 0, slotBytes+len(s.Sealed)), s.Slot), s.Sealed...)
}

func decodeStored(value []byte) (Stored, error) {
	if len(value) <= slotBytes {
		return Stored{}, damaged("a stored account is cut")
	}
	return Stored{Slot: binary.BigEndian.Uint32(value), Sealed: value[slotBytes:]}, nil
}

// PutStored keeps a token's account, in the transaction of its account-stored or account-updated.
// The slot of an account that it replaces goes to keyring.Ring.ForgetStored after the commit.
func (tx *Tx) PutStored(merchant, token string, s Stored) error {
	box, err := tx.box(purposeMerchant(merchant))
	if err != nil {
		return err
	}
	return tx.put(bucketStored, book.Key{Merchant: merchant, ID: token}.Bytes(), box, s.encode())
}

// Stored returns a token's account.
func (tx *Tx) Stored(merchant, token string) (Stored, bool, error) {
	key := book.Key{Merchant: merchant, ID: token}.Bytes()
	// a merchant who is not there has no box
	if value, err := tx.read(bucketStored, key); value == nil || err != nil {
		return Stored{}, false, err
	}
	box, err := tx.box(purposeMerchant(merchant))
	if err != nil {
		return Stored{}, false, err
	}
	value, _, err := tx.get(bucketStored, key, box)
	if err != nil {
		return Stored{}, false, err
	}
	s, err := decodeStored(value)
	return s, err == nil, err
}

// DeleteStored deletes a token's account, in the transaction of its account-forgotten; one that is
// not there is no error. The key is destroyed after the commit (keyring.Ring.ForgetStored): a crash
// in between leaves a key without a record, which the next start destroys.
func (tx *Tx) DeleteStored(merchant, token string) error {
	return tx.store(bucketStored, book.Key{Merchant: merchant, ID: token}.Bytes(), nil)
}

// EachStored calls fn for every stored account, by merchant and token. fn must not write.
func (tx *Tx) EachStored(fn func(merchant, token string, s Stored) error) error {
	return tx.forEach(bucketStored, func(k, value []byte) error {
		merchant, token, ok := strings.Cut(string(k), "/")
		if !ok {
			return damaged("%s has a malformed key", bucketStored)
		}
		box, err := tx.box(purposeMerchant(merchant))
		if err != nil {
			return err
		}
		plaintext, err := unseal(bucketStored, k, box, value)
		if err != nil {
			return err
		}
		s, err := decodeStored(plaintext)
		if err != nil {
			return err
		}
		return fn(merchant, token, s)
	})
}

// StoredSlots returns the slots of all stored accounts, for keyring.Ring.KeepStored.
func (tx *Tx) StoredSlots() (slots []uint32, err error) {
	err = tx.EachStored(func(_, _ string, s Stored) error {
		slots = append(slots, s.Slot)
		return nil
	})
	return slots, err
}

// checkStored checks that every stored account has a token that is not forgotten, and every such
// token an account; no two share a slot.
func (c *checker) checkStored() error {
	slots := map[uint32]bool{}
	err := c.EachStored(func(merchant, token string, s Stored) error {
		if t, ok := book.Tokens.In(c.folded)[book.Key{Merchant: merchant, ID: token}]; !ok || t.Forgotten {
			return damaged("an account of %s is stored without a token", merchant)
		}
		if slots[s.Slot] {
			return damaged("two stored accounts have one key, in slot %d", s.Slot)
		}
		slots[s.Slot] = true
		return nil
	})
	if err != nil {
		return err
	}
	live := 0
	for _, t := range book.Tokens.In(c.folded) {
		if !t.Forgotten {
			live++
		}
	}
	if live != len(slots) {
		return damaged("%d accounts are stored for %d tokens", len(slots), live)
	}
	return nil
}
