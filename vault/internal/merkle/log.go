package merkle

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
)

// ErrIntegrity is returned when the log, or an exported copy of it, is altered, cut, or of another
// history.
var ErrIntegrity = errors.New("the log does not verify")

// MaxEntry bounds a sealed entry, in bytes; events have a few hundred to a few thousand.
const MaxEntry = 1 << 20

// Box seals entries under one log key; keyring.Box implements it.
type Box interface {
	Seal(plaintext, ad []byte) []byte
	Open(sealed, ad []byte) ([]byte, error)
}

// Key is a log key and its number, counted from 1.
type Key struct {
	Number uint32
	Box    Box
}

// Entry is one leaf, opened.
type Entry struct {
	Index  int64
	Key    uint32 // number of the log key; 0 where the body is missing
	Salt   []byte // 16 bytes
	Event  json.RawMessage
	Record [proof.LeafBytes]byte
}

// Append writes the next leaf: event (its JSON) sealed under key, and facts, the line of the result
// that it issues or nil. It advances tail, which the caller discards where the transaction fails.
func Append(store Store, tail *Tail, origin string, key Key, event, facts []byte) (envelope.Place, error) {
	salt := make([]byte, proof.SaltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	index := tail.Size()
	entry := binary.BigEndian.AppendUint32(nil, key.Number)
	entry = append(entry, key.Box.Seal(plaintext(salt, event), AppendAssociated(nil, origin, index, key.Number))...)
	if len(entry) > MaxEntry {
		return envelope.Place{}, fmt.Errorf("an event of %d bytes is too long for the log, whose limit is %d", len(event), MaxEntry)
	}
	digest := sha256.Sum256(entry)
	if err := Carry(store, tail, proof.LeafRecord(salt, facts, digest), entry); err != nil {
		return envelope.Place{}, err
	}
	return envelope.Place{Index: uint64(index), Salt: salt, Entry: hex.EncodeToString(digest[:])}, nil
}

// Carry writes a leaf of another store as the next one, byte for byte: its record and its sealed
// entry are those that [Stored] returned there, of the same index. It advances tail as [Append]
// does.
func Carry(store Store, tail *Tail, record [proof.LeafBytes]byte, entry []byte) error {
	index := tail.Size()
	row := append([]byte(nil), record[:sha256.Size]...)
	for _, h := range tail.Add(record[:]) {
		row = append(row, h[:]...)
	}
	return store.Put(index, entry, row)
}

func plaintext(salt, event []byte) []byte {
	text := make([]byte, 0, len(event)+64)
	text = append(text, `{"salt":"`...)
	text = base64.StdEncoding.AppendEncode(text, salt)
	text = append(text, `","event":`...)
	text = append(text, event...)
	return append(text, '}')
}

// AppendAssociated appends the associated data that binds a sealed entry to its position.
func AppendAssociated(ad []byte, origin string, index int64, key uint32) []byte {
	ad = append(append(ad, "nightdrop/log/v1\x00"...), origin...)
	ad = binary.BigEndian.AppendUint64(append(ad, 0), uint64(index))
	return binary.BigEndian.AppendUint32(ad, key)
}

// Stored returns a leaf's record and a copy of its sealed entry.
func Stored(rows Rows, index int64) (record [proof.LeafBytes]byte, entry []byte, err error) {
	row, body := rows.Node(index), rows.Entry(index)
	if len(row) < 2*sha256.Size || len(body) < 4 {
		return record, nil, fmt.Errorf("leaf %d is missing or cut: %w", index, ErrIntegrity)
	}
	digest := sha256.Sum256(body)
	copy(record[:], row[:sha256.Size])
	copy(record[sha256.Size:], digest[:])
	return record, append([]byte(nil), body...), nil
}

// Read opens a leaf. keys returns the box of a log key by its number.
func Read(rows Rows, index int64, origin string, keys func(uint32) (Box, error)) (Entry, error) {
	record, body, err := Stored(rows, index)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Index: index, Key: binary.BigEndian.Uint32(body), Record: record}
	box, err := keys(e.Key)
	if err != nil {
		return Entry{}, err
	}
	text, err := box.Open(body[4:], AppendAssociated(nil, origin, index, e.Key))
	if err != nil {
		return Entry{}, fmt.Errorf("entry %d does not open: %w", index, ErrIntegrity)
	}
	return e, e.Parse(text)
}

// Parse reads the plaintext of the sealed entry into Salt and Event, which shares its bytes. It
// fails with [ErrIntegrity]. The salt is at a fixed position near the beginning, and the record's
// first half hashes it: two keys under which one sealed entry opens to two events would need equal
// key streams there, which nobody can make.
func (e *Entry) Parse(text []byte) error {
	const before, between = `{"salt":"`, `","event":`
	encoded := base64.StdEncoding.EncodedLen(proof.SaltBytes)
	salt, ok := bytes.CutPrefix(text, []byte(before))
	if !ok || len(salt) < encoded+len(between)+len(`{}}`) || text[len(text)-1] != '}' || !bytes.HasPrefix(salt[encoded:], []byte(between)) {
		return fmt.Errorf("entry %d is not in the form of an entry: %w", e.Index, ErrIntegrity)
	}
	e.Salt = make([]byte, proof.SaltBytes+2)
	n, err := base64.StdEncoding.Strict().Decode(e.Salt, salt[:encoded])
	if err != nil || n != proof.SaltBytes {
		return fmt.Errorf("entry %d has no salt: %w", e.Index, ErrIntegrity)
	}
	e.Salt, e.Event = e.Salt[:n], json.RawMessage(text[len(before)+encoded+len(between):len(text)-1])
	return nil
}
