package envelope

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"nightdrop/shared/frame"
	"nightdrop/shared/note"
)

// Limits of bags (specification 8).
const (
	MaxBagBytes     = 1_000_000 // of a whole bag: the broker's 1 MiB counts headers too
	MaxBagEnvelopes = 256
	MaxBagWindow    = 8 // bags in flight
)

// ZeroDigest is the previous of what has nothing before it.
const ZeroDigest = "0000000000000000000000000000000000000000000000000000000000000000"

// Bag is the note of a bag (nightdrop/bag/v1), its frame 0.
type Bag struct {
	Relay    string  `json:"relay"`
	Run      string  `json:"run"`      // 16 random bytes of the relay's process, in hex
	Number   uint64  `json:"number"`   // from 1 in a run
	Previous string  `json:"previous"` // digest of the bag before, ZeroDigest for number 1
	After    *BagRef `json:"after,omitempty"`
	Window   int     `json:"window"` // how many bags the relay may have in flight, 1 to 8
	Count    int     `json:"count"`  // of envelopes, 1 to 256
	Body     string  `json:"body"`   // hex SHA-256 of all bytes after frame 0
}

// BagRef names the last acked bag of an earlier run; only bag number 1 of a run has one.
type BagRef struct {
	Run    string `json:"run"`
	Number uint64 `json:"number"`
	Digest string `json:"digest"`
}

func (Bag) typeLine() string    { return "nightdrop/bag/v1" }
func (b Bag) signedBy() string  { return b.Relay }
func (Bag) policy() note.Policy { return note.Policy{Single: true} }

func (b Bag) check() error {
	if err := first(
		checkRun(b.Relay, b.Run, b.Number),
		require(validDigest(b.Previous), "previous is not 64 hex digits"),
		require((b.Number == 1) == (b.Previous == ZeroDigest), "previous is 64 zeros in number 1 and only there"),
		require(1 <= b.Window && b.Window <= MaxBagWindow, "window is not 1 to 8"),
		require(1 <= b.Count && b.Count <= MaxBagEnvelopes, "count is not 1 to 256"),
		require(validDigest(b.Body), "body is not 64 hex digits"),
	); err != nil || b.After == nil {
		return err
	}
	return first(
		require(b.Number == 1, "after is there in number 1 only"),
		require(isHex(b.After.Run, 32) && b.After.Run != b.Run, "after's run is not 32 hex digits of an earlier run"),
		require(b.After.Number >= 1, "after's number counts from 1"),
		require(validDigest(b.After.Digest), "after's digest is not 64 hex digits"),
	)
}

// PackBag sets Count and Body, signs b and returns the message with the digest of its note.
func PackBag(b Bag, envelopes [][]byte, s *note.Signer) (msg []byte, digest string, err error) {
	b.Count, b.Body = len(envelopes), bodyHash(envelopes)
	signed, err := Sign(b, s)
	if err != nil {
		return nil, "", err
	}
	size := frame.HeaderBytes + len(signed.Note) + bodyBytes(envelopes)
	if size > MaxBagBytes {
		return nil, "", fmt.Errorf("%w: a bag is at most %d bytes", note.ErrTooLarge, MaxBagBytes)
	}
	msg = frame.Append(make([]byte, 0, size), signed.Note)
	for _, e := range envelopes {
		msg = frame.Append(msg, e)
	}
	return msg, signed.Digest, nil
}

// SplitBag separates a bag into its note, the bytes after frame 0, and the envelopes, all slices of
// msg. It checks sizes and frames only, so that a bag that does not verify can be saved, too.
func SplitBag(msg []byte) (bagNote, body []byte, envelopes [][]byte, err error) {
	if len(msg) > MaxBagBytes {
		return nil, nil, nil, fmt.Errorf("%w: a bag is at most %d bytes", note.ErrTooLarge, MaxBagBytes)
	}
	bagNote, body, err = cutFrame(msg)
	if err != nil {
		return nil, nil, nil, err
	}
	for rest := body; len(rest) > 0; {
		var e []byte
		if e, rest, err = cutFrame(rest); err != nil {
			return nil, nil, nil, err
		}
		if envelopes = append(envelopes, e); len(envelopes) > MaxBagEnvelopes {
			return nil, nil, nil, malformed("a bag has at most 256 envelopes")
		}
	}
	return bagNote, body, envelopes, nil
}

// OpenBag splits a bag and checks its note's form, signature, count and body hash, no envelope.
func OpenBag(msg []byte, relay ...note.Verifier) (Signed[Bag], [][]byte, error) {
	bagNote, body, envelopes, err := SplitBag(msg)
	if err != nil {
		return Signed[Bag]{}, nil, err
	}
	bag, err := Open[Bag](bagNote, relay...)
	if err != nil {
		return Signed[Bag]{}, nil, err
	}
	if bag.Value.Count != len(envelopes) {
		return Signed[Bag]{}, nil, malformed("the bag's count is not its number of envelopes")
	}
	if sum := sha256.Sum256(body); bag.Value.Body != hex.EncodeToString(sum[:]) {
		return Signed[Bag]{}, nil, malformed("the bag's body is not what its note says")
	}
	return bag, envelopes, nil
}

// BagOverhead returns the bytes of a bag beside its envelopes, for a note of noteBytes.
func BagOverhead(noteBytes, envelopes int) int {
	return frame.HeaderBytes + noteBytes + frame.HeaderBytes*envelopes
}

// MaxBagNoteBytes returns the length of the longest note of a bag of relay.
func MaxBagNoteBytes(relay string) int {
	const digits = 16          // of 2^53-1
	const signatureBase64 = 92 // of 4 + 64 bytes
	fixed := len(`{"relay":"","run":"","number":,"previous":"","after":{"run":"","number":,"digest":""},"window":8,"count":256,"body":""}`)
	text := len("nightdrop/bag/v1\n") + fixed + len(relay) + 2*32 + 2*digits + 3*len(ZeroDigest) + 1
	line := len("\n— ") + len(relay) + len(" ") + signatureBase64 + len("\n")
	return text + line
}

// bodyHash returns the hex SHA-256 of the framed envelopes without copying them.
func bodyHash(envelopes [][]byte) string {
	h := sha256.New()
	var header [frame.HeaderBytes]byte
	for _, e := range envelopes {
		binary.BigEndian.PutUint32(header[:], uint32(len(e)))
		h.Write(header[:])
		h.Write(e)
	}
	return hex.EncodeToString(h.Sum(nil))
}

func bodyBytes(envelopes [][]byte) int {
	n := 0
	for _, e := range envelopes {
		n += frame.HeaderBytes + len(e)
	}
	return n
}

func cutFrame(b []byte) (first, rest []byte, err error) {
	if first, rest, err = frame.Cut(b); err != nil {
		return nil, nil, malformed(err.Error())
	}
	return first, rest, nil
}
