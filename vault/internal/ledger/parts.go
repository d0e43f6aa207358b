package ledger

import (
	"encoding/binary"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// EachPart calls fn for every part, in the order of its payment's arrival, with the sealing key
// that it needs. fn must not write. It reads all of them: it is for what is done once a day.
func (tx *Tx) EachPart(fn func(p book.Payment, part envelope.PartName, key envelope.KeyName) error) error {
	return tx.forEach(bucketParts, func(k, value []byte) error {
		merchant, name, ok := strings.Cut(string(k[min(len(k), 8):]), "/")
		if !ok {
			return damaged("%s has a malformed key", bucketParts)
		}
		box, err := tx.box(purposeMerchant(merchant))
		if err != nil {
			return err
		}
		plaintext, err := unseal(bucketParts, k, box, value)
		if err != nil {
			return err
		}
		part, _, err := decodePart(plaintext)
		if err != nil {
			return err
		}
		p, err := tx.paymentAt(binary.BigEndian.Uint64(k), merchant, box)
		if err != nil {
			return err
		}
		return fn(p, envelope.PartName(name), part.Key)
	})
}
