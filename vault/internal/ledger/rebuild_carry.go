package ledger

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/merkle"
)

// rebuildChunk is how many entries or records one transaction has: some tens of megabytes, and an
// fsync every second or so.
const rebuildChunk = 2048

// foldLog folds the entries that the new file does not have yet.
func (r *rebuild) foldLog() error {
	for r.to.tail.Size() < r.fromHead.Size {
		err := r.update(func(tx *Tx) error {
			for until := min(tx.tail.Size()+r.o.chunk, r.fromHead.Size); tx.tail.Size() < until; {
				if err := r.foldNext(tx); err != nil {
					return fmt.Errorf("event %d: %w", tx.tail.Size(), err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		r.report()
	}
	return nil
}

// progressEvery is how often Progress is called.
const progressEvery = 200 * time.Millisecond

func (r *rebuild) report() {
	if r.o.Progress == nil || time.Since(r.reported) < r.o.every && r.to.head.Size < r.fromHead.Size {
		return
	}
	r.reported = time.Now()
	r.o.Progress(r.to.head.Size, r.fromHead.Size)
}

// foldNext folds the next event and copies its entry.
func (r *rebuild) foldNext(tx *Tx) error {
	e, err := r.from.LogEntry(uint64(tx.tail.Size()))
	if err != nil {
		return err
	}
	if e.Event.Time.Before(tx.head.Time.Time) {
		return damaged("it is earlier than the one before")
	}
	tx.now = e.Event.Time
	issued, err := book.Apply(tx.State, e.Event)
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	var facts []byte
	if issued != nil {
		if facts, err = envelope.EncodeFacts(issued.Facts); err != nil {
			return err
		}
	}
	if proof.LeafRecord(e.Place.Salt, facts, [32]byte(e.Record[32:])) != e.Record {
		return damaged("its leaf is not that of its result")
	}
	_, sealed, err := r.from.SealedEntry(int64(e.Place.Index))
	if err != nil {
		return err
	}
	if err := merkle.Carry(rows{tx.bolt}, &tx.tail, e.Record, sealed); err != nil {
		return err
	}
	tx.changed, tx.head.Time = true, e.Event.Time
	if issued == nil {
		return nil
	}
	return r.carryResult(tx, issued, facts, e.Place)
}

// carryResult carries the record of the result that an event issued, compares it with the event,
// and restores its state: pending, or sealed as the next of its merchant's chain, and sent or not.
func (r *rebuild) carryResult(tx *Tx, issued *book.Issued, facts []byte, place envelope.Place) error {
	merchant, serial := issued.Merchant, issued.Serial
	old, _, err := r.from.result(merchant, serial)
	if err != nil {
		return err
	}
	if !old.matches(issued, facts, place) {
		return damaged("result %d of %s is not what its event issued", serial, merchant)
	}
	if err := tx.putIssued(issued, facts, place); err != nil || len(old.note) == 0 {
		return err
	}
	text, err := note.Text(old.note)
	if err != nil {
		return fmt.Errorf("result %d of %s: %w: %w", serial, merchant, err, ErrDamaged)
	}
	if err := tx.PutResult(merchant, serial, old.ID, note.Digest(text), old.note); err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	key := outboxKey(place.Index, merchant, serial)
	return tx.point(indexUnsent, key, r.from.bucket(indexUnsent).Get(key) != nil)
}

// carryKeys carries the wrapped keys, without which nothing is folded.
func (r *rebuild) carryKeys() error {
	return r.carry(bucketKeys, func(_ *Tx, purpose, wrapped []byte) error {
		if _, err := r.to.keys.OpenBox(string(purpose), bytes.Clone(wrapped)); err != nil {
			return fmt.Errorf("%w: %w", err, ErrDamaged)
		}
		return nil
	})
}

// carryRest carries what no event holds.
func (r *rebuild) carryRest() error {
	if err := r.carry(bucketWraps, r.checkWrap); err != nil {
		return err
	}
	if err := r.carry(bucketParts, checkCarriedPart); err != nil {
		return err
	}
	if err := r.carry(bucketStored, checkCarriedStored); err != nil {
		return err
	}
	known, err := r.from.hints()
	if err != nil && !r.o.Cure {
		return err
	}
	if err != nil { // without them the bags of the last days are read again, and known
		known = hints{}
	}
	return r.update(func(tx *Tx) error { return tx.setHints(known) })
}

// carry copies a bucket's records, after the last one that is there; each stays sealed for its
// place. check opens it and looks up what it belongs to.
func (r *rebuild) carry(bucket string, check func(tx *Tx, k, v []byte) error) error {
	for more := true; more; {
		err := r.update(func(tx *Tx) error {
			last, _ := tx.bucket(bucket).Cursor().Last()
			cursor := r.from.bucket(bucket).Cursor()
			k, v := cursor.Seek(last)
			if last != nil && bytes.Equal(k, last) {
				k, v = cursor.Next()
			}
			for n := int64(0); k != nil && n < r.o.chunk; n++ {
				if err := check(tx, k, v); err != nil {
					return err
				}
				if err := tx.store(bucket, bytes.Clone(k), bytes.Clone(v)); err != nil {
					return err
				}
				k, v = cursor.Next()
			}
			more = k != nil
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (r *rebuild) checkWrap(tx *Tx, k, v []byte) error {
	wrap, err := unseal(bucketWraps, k, tx.ledger.box, v)
	if err != nil {
		return err
	}
	if len(k) < 5 || len(wrap) != seal.WrapBytes || binary.BigEndian.Uint32(k) > r.fromHead.LogKey {
		return damaged("a record of %s is malformed", bucketWraps)
	}
	return nil
}

func checkCarriedPart(tx *Tx, k, v []byte) error {
	merchant, _, ok := strings.Cut(string(k[min(len(k), 8):]), "/")
	if !ok {
		return damaged("%s has a malformed key", bucketParts)
	}
	if _, err := tx.paymentOf(k[:8+len(merchant)]); err != nil {
		return err
	}
	box, err := tx.box(purposeMerchant(merchant))
	if err != nil {
		return err
	}
	plaintext, err := unseal(bucketParts, k, box, v)
	if err != nil {
		return err
	}
	_, _, err = decodePart(plaintext)
	return err
}

func checkCarriedStored(tx *Tx, k, v []byte) error {
	merchant, token, ok := strings.Cut(string(k), "/")
	if !ok {
		return damaged("%s has a malformed key", bucketStored)
	}
	t, there, err := tx.Token(merchant, token)
	if err != nil {
		return err
	}
	if !there || t.Forgotten {
		return damaged("an account of %s is stored without a token", merchant)
	}
	box, err := tx.box(purposeMerchant(merchant))
	if err != nil {
		return err
	}
	plaintext, err := unseal(bucketStored, k, box, v)
	if err != nil {
		return err
	}
	_, err = decodeStored(plaintext)
	return err
}
