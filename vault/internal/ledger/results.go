package ledger

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
)

// Pending is a result that was issued and is not sealed yet.
type Pending struct {
	Merchant string
	Serial   uint64 // in the merchant's chain, from 1
	ID       string // of the envelope that began what the result is about
	Digest   string // of that envelope
	Created  envelope.Time
	Facts    []byte         // line 1 of the result, as the log's leaf hashes it
	Place    envelope.Place // of the event that issued it
	ReplyKey string         // the merchant's newest, KEYNAME+BASE64
}

// Ready is a sealed and signed result, to be published.
type Ready struct {
	Merchant string
	Serial   uint64
	ID       string
	Note     []byte
	index    uint64 // of the event
}

// result is the record of one result, kept as long as the merchant: the same envelope gets the same
// bytes again.
type result struct {
	ID      string         `json:"id"`
	Digest  string         `json:"digest"`
	Created envelope.Time  `json:"created"`
	Facts   string         `json:"facts"`
	Place   envelope.Place `json:"place"`
	note    []byte         // empty until it is sealed
}

// matches reports whether the record is of the result that an event at this place issued.
func (r result) matches(issued *book.Issued, facts []byte, place envelope.Place) bool {
	return r.ID == issued.ID && r.Digest == issued.Digest && r.Created == issued.Created && r.Facts == string(facts) &&
		r.Place.Index == place.Index && r.Place.Entry == place.Entry && bytes.Equal(r.Place.Salt, place.Salt)
}

// chain is the end of a merchant's chain of sealed results.
type chain struct {
	Serial uint64 `json:"serial"`
	Digest string `json:"digest"` // of that result's note
}

func resultKey(merchant string, serial uint64) []byte {
	return append([]byte(merchant+"/"), book.Ordered(serial)...)
}

func outboxKey(index uint64, merchant string, serial uint64) []byte {
	return append(book.Ordered(index), resultKey(merchant, serial)...)
}

func splitOutboxKey(key []byte) (merchant string, serial uint64, err error) {
	if len(key) < 8+1+8 || key[len(key)-9] != '/' {
		return "", 0, damaged("an index of results has a malformed key")
	}
	return string(key[8 : len(key)-9]), binary.BigEndian.Uint64(key[len(key)-8:]), nil
}

// encode returns length (4 bytes, big endian) and JSON of all but the note, then the note.
func (r result) encode() ([]byte, error) {
	text, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	value := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(text)+len(r.note)), uint32(len(text)))
	return append(append(value, text...), r.note...), nil
}

func decodeResult(value []byte) (r result, err error) {
	if len(value) < 4 || uint64(len(value)-4) < uint64(binary.BigEndian.Uint32(value)) {
		return r, damaged("a result is cut")
	}
	end := 4 + binary.BigEndian.Uint32(value)
	if err := json.Unmarshal(value[4:end], &r); err != nil {
		return r, damaged("a result is not JSON")
	}
	r.note = value[end:]
	return r, nil
}

func (tx *Tx) result(merchant string, serial uint64) (r result, box keyring.Box, err error) {
	if box, err = tx.box(purposeMerchant(merchant)); err != nil {
		return r, nil, err
	}
	value, found, err := tx.get(bucketResults, resultKey(merchant, serial), box)
	if err != nil {
		return r, nil, err
	}
	if !found {
		return r, nil, damaged("result %d of %s is missing", serial, merchant)
	}
	r, err = decodeResult(value)
	return r, box, err
}

func (tx *Tx) storeResult(merchant string, serial uint64, box keyring.Box, r result) error {
	value, err := r.encode()
	if err != nil {
		return err
	}
	return tx.put(bucketResults, resultKey(merchant, serial), box, value)
}

// putIssued makes the result that an event issued pending.
func (tx *Tx) putIssued(issued *book.Issued, facts []byte, place envelope.Place) error {
	box, err := tx.box(purposeMerchant(issued.Merchant))
	if err != nil {
		return err
	}
	r := result{ID: issued.ID, Digest: issued.Digest, Created: issued.Created, Facts: string(facts), Place: place}
	if err := tx.storeResult(issued.Merchant, issued.Serial, box, r); err != nil {
		return err
	}
	return tx.point(indexPending, outboxKey(place.Index, issued.Merchant, issued.Serial), true)
}

// Issued is a result as it was issued.
type Issued struct {
	Serial  uint64
	Created envelope.Time
	Facts   envelope.Facts
	Index   uint64 // in the log, of the event that issued it
}

// Issued returns a result of a merchant.
func (tx *Tx) Issued(merchant string, serial uint64) (Issued, error) {
	r, _, err := tx.result(merchant, serial)
	if err != nil {
		return Issued{}, err
	}
	issued := Issued{Serial: serial, Created: r.Created, Index: r.Place.Index}
	if err := json.Unmarshal([]byte(r.Facts), &issued.Facts); err != nil {
		return Issued{}, damaged("result %d of %s has no facts", serial, merchant)
	}
	return issued, nil
}

// PendingResults returns at most limit results that are issued and not sealed: the merchants take
// turns, each in the order of its serials.
func (tx *Tx) PendingResults(limit int) (all []Pending, err error) {
	err = tx.outbox(indexPending, limit, func(merchant string, serial uint64, r result) error {
		m, _, err := tx.Merchant(merchant)
		if err != nil {
			return err
		}
		if len(m.ReplyKeys) == 0 {
			return fmt.Errorf("merchant %s has no reply key", merchant)
		}
		all = append(all, Pending{Merchant: merchant, Serial: serial, ID: r.ID, Digest: r.Digest, Created: r.Created,
			Facts: []byte(r.Facts), Place: r.Place, ReplyKey: m.ReplyKeys[len(m.ReplyKeys)-1]})
		return nil
	})
	return all, err
}

// PreviousDigest returns the end of the merchant's chain of sealed results, serial 0 and 64 zeros
// where there is none: the next result has the next serial and this digest as its previous.
func (tx *Tx) PreviousDigest(merchant string) (serial uint64, digest string, err error) {
	c, err := tx.chain(merchant)
	return c.Serial, c.Digest, err
}

func (tx *Tx) chain(merchant string) (c chain, err error) {
	box, err := tx.box(purposeMerchant(merchant))
	if err != nil {
		return c, err
	}
	value, found, err := tx.get(bucketChains, []byte(merchant), box)
	if err != nil || !found {
		return chain{Digest: envelope.ZeroDigest}, err
	}
	if err := json.Unmarshal(value, &c); err != nil {
		return c, damaged("the chain of %s is not JSON", merchant)
	}
	return c, nil
}

// ErrChain is returned when a result is not the issued one, or not the next of its merchant's
// chain.
var ErrChain = fmt.Errorf("the result is not the next of its merchant's chain")

// PutResult keeps a pending result's signed note and makes it ready to be published. It must be the
// next of the merchant's chain and have the pending result's identity; digest is that of the note's
// text. The same note again changes nothing.
func (tx *Tx) PutResult(merchant string, serial uint64, id, digest string, msg []byte) error {
	r, box, err := tx.result(merchant, serial)
	if err != nil {
		return err
	}
	if len(r.note) > 0 && bytes.Equal(r.note, msg) {
		return nil
	}
	end, err := tx.chain(merchant)
	if err != nil {
		return err
	}
	if err := r.checkNext(merchant, serial, id, digest, msg, end); err != nil {
		return tx.fail(err)
	}
	r.note = msg
	if err := tx.storeResult(merchant, serial, box, r); err != nil {
		return err
	}
	text, err := json.Marshal(chain{Serial: serial, Digest: digest})
	if err != nil {
		return tx.fail(err)
	}
	if err := tx.put(bucketChains, []byte(merchant), box, text); err != nil {
		return err
	}
	key := outboxKey(r.Place.Index, merchant, serial)
	if err := tx.point(indexPending, key, false); err != nil {
		return err
	}
	return tx.point(indexUnsent, key, true)
}

func (r result) checkNext(merchant string, serial uint64, id, digest string, msg []byte, end chain) error {
	said, err := envelope.Peek[envelope.Result](msg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChain, err)
	}
	text, err := note.Text(msg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrChain, err)
	}
	if len(r.note) > 0 || serial != end.Serial+1 || said.Previous != end.Digest || said.Merchant != merchant ||
		said.Serial != serial || said.ID != id || id != r.ID || said.Digest != r.Digest || said.Created != r.Created ||
		digest != note.Digest(text) {
		return fmt.Errorf("result %d of %s after %d: %w", serial, merchant, end.Serial, ErrChain)
	}
	return nil
}

// UnsentResults returns at most limit results that are sealed and not marked as sent, in turns as
// [Tx.PendingResults].
func (tx *Tx) UnsentResults(limit int) (all []Ready, err error) {
	err = tx.outbox(indexUnsent, limit, func(merchant string, serial uint64, r result) error {
		all = append(all, Ready{Merchant: merchant, Serial: serial, ID: r.ID, Note: r.note, index: r.Place.Index})
		return nil
	})
	return all, err
}

// MarkSent marks results as sent, after the channel's durable ack. A crash before it publishes the
// same bytes again.
func (tx *Tx) MarkSent(sent []Ready) error {
	if !tx.bolt.Writable() {
		return errReadOnly
	}
	for _, r := range sent {
		if err := tx.point(indexUnsent, outboxKey(r.index, r.Merchant, r.Serial), false); err != nil {
			return err
		}
	}
	return nil
}
