package audit

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

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
)

// ErrIntegrity is returned when the log, or an exported copy of it, is not what it was: altered, cut, or of another history.
var ErrIntegrity = errors.New("the log does not verify")

var (
	logBucket  = []byte("log")
	treeBucket = []byte("tree")
)

// Buckets names the database's buckets that hold the log.
func Buckets() [][]byte { return [][]byte{logBucket, treeBucket} }

// Box seals entries under one log key; keyring.Box is one.
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
	Key    uint32 // number of the log key; 0 where the body is not there
	Salt   []byte // 16 bytes
	Event  json.RawMessage
	Record [proof.LeafBytes]byte
	Err    error // of an exported entry that was not opened: ErrNotYours or ErrNoBody; it has index, key and record only
}

// Append writes the next leaf: event (its JSON) sealed under key, and facts, the line of the result that it issues or nil.
// tail moves on; the caller throws it away with the transaction when that fails.
func Append(tx *bbolt.Tx, tail *Tail, origin string, key Key, event, facts []byte) (envelope.Place, error) {
	salt := make([]byte, proof.SaltBytes)
	_, _ = rand.Read(salt) // never fails (crypto/rand)
	index := tail.Size()
	entry := binary.BigEndian.AppendUint32(nil, key.Number)
	entry = append(entry, key.Box.Seal(plaintext(salt, event), Associated(origin, index, key.Number))...)
	if len(entry) > maxBody {
		return envelope.Place{}, fmt.Errorf("an event of %d bytes is too long for the log, which takes %d", len(event), maxBody)
	}
	digest := sha256.Sum256(entry)
	if err := Carry(tx, tail, proof.LeafRecord(salt, facts, digest), entry); err != nil {
		return envelope.Place{}, err
	}
	return envelope.Place{Index: uint64(index), Salt: salt, Entry: hex.EncodeToString(digest[:])}, nil
}

// Carry writes a leaf of another database as the next one, byte for byte: its record and its sealed entry are those that Stored returned
// there, of the same index. tail moves on; the caller throws it away with the transaction when that fails.
func Carry(tx *bbolt.Tx, tail *Tail, record [proof.LeafBytes]byte, entry []byte) error {
	index := tail.Size()
	row := append([]byte(nil), record[:sha256.Size]...)
	for _, h := range tail.add(tlog.RecordHash(record[:])) {
		row = append(row, h[:]...)
	}
	if err := put(tx, logBucket, index, entry); err != nil {
		return err
	}
	return put(tx, treeBucket, index, row)
}

// put appends a row. Keys only ever grow, so pages are filled to the brim.
func put(tx *bbolt.Tx, bucket []byte, index int64, value []byte) error {
	b := tx.Bucket(bucket)
	if b == nil {
		return fmt.Errorf("bucket %s is missing: %w", bucket, ErrIntegrity)
	}
	b.FillPercent = 1
	return b.Put(rowKey(index), value)
}

func plaintext(salt, event []byte) []byte {
	text := make([]byte, 0, len(event)+64)
	text = append(text, `{"salt":"`...)
	text = base64.StdEncoding.AppendEncode(text, salt)
	text = append(text, `","event":`...)
	text = append(text, event...)
	return append(text, '}')
}

// Associated is what binds a sealed entry to its place: the associated data under which it is sealed and opened.
func Associated(origin string, index int64, key uint32) []byte {
	return appendAssociated(nil, origin, index, key)
}

func appendAssociated(ad []byte, origin string, index int64, key uint32) []byte {
	ad = append(append(ad, "nightdrop/log/v1\x00"...), origin...)
	ad = binary.BigEndian.AppendUint64(append(ad, 0), uint64(index))
	return binary.BigEndian.AppendUint32(ad, key)
}

func rowKey(index int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(index)) }

// Stored returns a leaf as it stands in the database: its record and the sealed entry, a copy.
func Stored(tx *bbolt.Tx, index int64) (record [proof.LeafBytes]byte, entry []byte, err error) {
	log, tree := tx.Bucket(logBucket), tx.Bucket(treeBucket)
	if log == nil || tree == nil {
		return record, nil, fmt.Errorf("the log's buckets are missing: %w", ErrIntegrity)
	}
	row, body := tree.Get(rowKey(index)), log.Get(rowKey(index))
	if len(row) < 2*sha256.Size || len(body) < 4 {
		return record, nil, fmt.Errorf("leaf %d is missing or cut: %w", index, ErrIntegrity)
	}
	digest := sha256.Sum256(body)
	copy(record[:], row[:sha256.Size])
	copy(record[sha256.Size:], digest[:])
	return record, append([]byte(nil), body...), nil
}

// Read opens a leaf. keys gives the box of a log key by its number.
func Read(tx *bbolt.Tx, index int64, origin string, keys func(uint32) (Box, error)) (Entry, error) {
	record, body, err := Stored(tx, index)
	if err != nil {
		return Entry{}, err
	}
	e := Entry{Index: index, Key: binary.BigEndian.Uint32(body), Record: record}
	box, err := keys(e.Key)
	if err != nil {
		return Entry{}, err
	}
	text, err := box.Open(body[4:], Associated(origin, index, e.Key))
	if err != nil {
		return Entry{}, fmt.Errorf("entry %d does not open: %w", index, ErrIntegrity)
	}
	return e, e.parse(text)
}

// parse reads what plaintext wrote. The salt has its fixed place near the beginning, and the record's first half hashes it: so two keys
// under which one sealed entry opened to two events would need equal key streams there, which nobody can make.
func (e *Entry) parse(text []byte) error {
	const before, between = `{"salt":"`, `","event":`
	encoded := base64.StdEncoding.EncodedLen(proof.SaltBytes)
	salt, ok := bytes.CutPrefix(text, []byte(before))
	if !ok || len(salt) < encoded+len(between)+len(`{}}`) || text[len(text)-1] != '}' || !bytes.HasPrefix(salt[encoded:], []byte(between)) {
		return fmt.Errorf("entry %d has not the form of an entry: %w", e.Index, ErrIntegrity)
	}
	e.Salt = make([]byte, proof.SaltBytes+2)
	n, err := base64.StdEncoding.Strict().Decode(e.Salt, salt[:encoded])
	if err != nil || n != proof.SaltBytes {
		return fmt.Errorf("entry %d has no salt: %w", e.Index, ErrIntegrity)
	}
	e.Salt, e.Event = e.Salt[:n], json.RawMessage(text[len(before)+encoded+len(between):len(text)-1])
	return nil
}
