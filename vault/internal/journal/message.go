package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/frame"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/strictjson"
	"nightdrop/vault/internal/merkle"
)

// Sizes of messages and their parts.
const (
	MaxBytes  = 1_000_000 // of a message: the channel's limit
	keyNumber = 4         // bytes of a log key's number, before a sealed entry
	minFrame  = sha256.Size + keyNumber
	maxKey    = 1024 // bytes of a wrapped log key, which has about a hundred
	typeLine  = "nightdrop/journal/v1"
)

// ErrMalformed is returned for what is not a message of a journal. The other classes of error are
// [note.ErrTooLarge] and [note.ErrUnverified].
var ErrMalformed = errors.New("malformed journal message")

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }

// Message is a part of a log: the entries from First on, and their log keys.
type Message struct {
	Vault      string // whose log it is
	Generation uint64 // of the vault, from 1
	First      int64  // index of the first entry
	Root       tlog.Hash
	Keys       []LogKey // those under which the entries are sealed, by number
	Entries    []Entry  // at least one
}

// LogKey is a log key, wrapped under the key-encryption key.
type LogKey struct {
	Number  uint32
	Wrapped []byte
}

// Entry is an entry of the log, sealed.
type Entry struct {
	Half [sha256.Size]byte // first half of its leaf's record
	// the number of its log key (4 bytes, big endian), then nonce, ciphertext and tag
	Sealed []byte
}

// Size returns the log's size with the message's entries.
func (m Message) Size() int64 { return m.First + int64(len(m.Entries)) }

// LogKey returns the number of the key under which the entry is sealed.
func (e Entry) LogKey() uint32 { return binary.BigEndian.Uint32(e.Sealed) }

// Record returns the entry's leaf.
func (e Entry) Record() (record [proof.LeafBytes]byte) {
	digest := sha256.Sum256(e.Sealed)
	copy(record[:], e.Half[:])
	copy(record[sha256.Size:], digest[:])
	return record
}

// Follow appends the message's entries that are new to a log that was read so far. It fails where
// the message begins beyond its end, or its entries do not lead to the signed root: then they are
// of another history.
func (m Message) Follow(tail merkle.Tail) (merkle.Tail, error) {
	if m.First > tail.Size() {
		return tail, malformed(fmt.Sprintf("it begins with entry %d, and the log is known up to %d: a message is missing", m.First, tail.Size()))
	}
	if m.Size() <= tail.Size() {
		return tail, nil
	}
	next := tail
	for _, e := range m.Entries[tail.Size()-m.First:] {
		record := e.Record()
		next.Add(record[:])
	}
	if next.Root() != m.Root {
		return tail, malformed("its entries do not lead to its root: it is of another history of the log")
	}
	return next, nil
}

// statement is the message's note.
type statement struct {
	Vault      string   `json:"vault"`
	Generation uint64   `json:"generation"`
	First      int64    `json:"first"`
	Size       int64    `json:"size"`
	Root       string   `json:"root"` // hex
	Keys       []uint32 `json:"keys"`
	Body       string   `json:"body"` // hex SHA-256 of all bytes after frame 0
}

func (s statement) check() error {
	switch {
	case s.Generation == 0:
		return malformed("generations count from 1")
	case s.Size <= s.First:
		return malformed("it holds no entry")
	case !isDigest(s.Root), !isDigest(s.Body):
		return malformed("root and body are 64 hex digits")
	case len(s.Keys) == 0 || s.Keys[0] == 0:
		return malformed("log keys count from 1, and there is one")
	}
	return nil
}

func isDigest(s string) bool {
	raw, err := hex.DecodeString(s)
	return err == nil && len(raw) == sha256.Size && hex.EncodeToString(raw) == s
}

// Encode encodes and signs the message. It fails with [note.ErrTooLarge] above [MaxBytes].
func (m Message) Encode(s *note.Signer) ([]byte, error) {
	var body []byte
	numbers := make([]uint32, 0, len(m.Keys))
	for _, k := range m.Keys {
		numbers = append(numbers, k.Number)
		body = frame.Append(body, k.Wrapped)
	}
	for _, e := range m.Entries {
		body = frame.Append(body, e.Half[:], e.Sealed)
	}
	sum := sha256.Sum256(body)
	said := statement{Vault: m.Vault, Generation: m.Generation, First: m.First, Size: m.Size(), Root: hex.EncodeToString(m.Root[:]),
		Keys: numbers, Body: hex.EncodeToString(sum[:])}
	if err := said.check(); err != nil {
		return nil, err
	}
	object, err := strictjson.Marshal(said)
	if err != nil {
		return nil, err
	}
	signed, err := note.Sign([]byte(typeLine+"\n"+string(object)+"\n"), s)
	if err != nil {
		return nil, err
	}
	data := append(frame.Append(make([]byte, 0, frame.HeaderBytes+len(signed)+len(body)), signed), body...)
	if len(data) > MaxBytes {
		return nil, tooLarge()
	}
	return data, nil
}

func tooLarge() error {
	return fmt.Errorf("%w: a journal's message is at most %d bytes", note.ErrTooLarge, MaxBytes)
}

// Decode reads a message that one of these keys of its vault signed. Its parts are slices of data.
// [Message.Follow] checks that its entries lead to its root.
func Decode(data []byte, vault ...note.Verifier) (Message, error) {
	if len(data) > MaxBytes {
		return Message{}, tooLarge()
	}
	signed, body, err := cutFrame(data)
	if err != nil {
		return Message{}, err
	}
	said, err := openNote(signed, vault)
	if err != nil {
		return Message{}, err
	}
	if sum := sha256.Sum256(body); said.Body != hex.EncodeToString(sum[:]) {
		return Message{}, malformed("its body is not the one in its note")
	}
	m := Message{Vault: said.Vault, Generation: said.Generation, First: said.First}
	_, _ = hex.Decode(m.Root[:], []byte(said.Root)) // checked
	return m, m.parseBody(said, body)
}

// parseNote reads the note without verifying it.
func parseNote(signed []byte) (said statement, split note.Unverified, err error) {
	if split, err = note.Split(signed, note.Policy{Single: true}); err != nil {
		return said, split, classify(err)
	}
	object, ok := bytes.CutPrefix(split.Text, []byte(typeLine+"\n"))
	object, end, two := bytes.Cut(object, []byte{'\n'})
	if !ok || !two || len(end) > 0 {
		return said, split, malformed("its note is not two lines of the type " + typeLine)
	}
	if err := strictjson.Unmarshal(object, &said); err != nil {
		return said, split, classify(err)
	}
	return said, split, said.check()
}

// matchesBody reports whether a note, whoever signed it, is of this body.
func matchesBody(signed, body []byte) bool {
	said, _, err := parseNote(signed)
	sum := sha256.Sum256(body)
	return err == nil && said.Body == hex.EncodeToString(sum[:])
}

// openNote reads and verifies the note.
func openNote(signed []byte, vault []note.Verifier) (statement, error) {
	said, split, err := parseNote(signed)
	if err != nil {
		return said, err
	}
	opened, err := split.Verify(vault...)
	if err != nil {
		return said, classify(err)
	}
	for _, signer := range opened.Signers {
		if signer.Name() != said.Vault {
			return said, fmt.Errorf("%w: the signing key's name is not the vault's", note.ErrUnverified)
		}
	}
	return said, nil
}

// classify makes every error but those of the two other classes wrap [ErrMalformed].
func classify(err error) error {
	if errors.Is(err, note.ErrTooLarge) || errors.Is(err, note.ErrUnverified) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

// parseBody reads the frames after the note: the log keys that it names, then the entries, sealed
// under exactly these keys.
func (m *Message) parseBody(said statement, body []byte) error {
	for _, number := range said.Keys {
		wrapped, rest, err := cutFrame(body)
		if err != nil {
			return err
		}
		if len(wrapped) == 0 || len(wrapped) > maxKey {
			return malformed("a log key of an impossible length")
		}
		m.Keys, body = append(m.Keys, LogKey{Number: number, Wrapped: wrapped}), rest
	}
	var used []uint32
	for len(body) > 0 {
		frame, rest, err := cutFrame(body)
		if err != nil {
			return err
		}
		if len(frame) < minFrame {
			return malformed("an entry that is cut")
		}
		e := Entry{Half: [sha256.Size]byte(frame), Sealed: frame[sha256.Size:]}
		if n := len(used); n == 0 || used[n-1] != e.LogKey() {
			used = append(used, e.LogKey())
		}
		m.Entries, body = append(m.Entries, e), rest
	}
	switch {
	case m.Size() != said.Size:
		return malformed("its size is not that of its entries")
	case !slices.Equal(used, said.Keys) || !slices.IsSorted(used):
		return malformed("its log keys are not those of its entries")
	}
	return nil
}

// noteBytes bounds a message's first frame.
func noteBytes(vault string, keys int) int {
	const digits = 16 // of 2^53-1
	text := len(typeLine) + len(`{"vault":"","generation":,"first":,"size":,"root":"","keys":[],"body":""}`) + 2 + len(vault) + 3*digits +
		2*hex.EncodedLen(sha256.Size) + keys*len("4294967295,")
	return frame.HeaderBytes + text + len("\n— ") + len(vault) + len(" \n") + base64.StdEncoding.EncodedLen(4+64)
}

func cutFrame(b []byte) (first, rest []byte, err error) {
	if first, rest, err = frame.Cut(b); err != nil {
		return nil, nil, malformed(err.Error())
	}
	return first, rest, nil
}
