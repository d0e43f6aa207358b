package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/frame"
	"nightdrop/shared/note"
)

func sampleEnvelopes(t testing.TB) [][]byte {
	v := envelopeFamily(t).value
	v.Account, v.Code = nil, nil
	first := []byte(rawSigned(t, v, "acme-shoes"))
	v.ID = "0198c0de-0000-7000-8000-000000000002"
	return [][]byte{first, []byte(rawSigned(t, v, "acme-shoes"))}
}

func sampleBag() Bag {
	return Bag{Relay: "relay-1", Run: runID, Number: 2, Previous: digestA, Window: 4}
}

// bagOf frames a bag of any note and frames, with the count and body hash that the frames have or
// those of other.
func bagOf(t testing.TB, frames, other [][]byte) []byte {
	t.Helper()
	var body, said []byte
	for _, f := range frames {
		body = frame.Append(body, f)
	}
	for _, f := range other {
		said = frame.Append(said, f)
	}
	sum := sha256.Sum256(said)
	b := sampleBag()
	b.Count, b.Body = len(other), hex.EncodeToString(sum[:])
	return append(frame.Append(nil, []byte(rawSigned(t, b, "relay-1"))), body...)
}

func bagCorpus(t testing.TB) vector.File {
	relay := vector.Signer(t, "relay-1", "relay-1")
	envelopes := sampleEnvelopes(t)
	good, _, err := PackBag(sampleBag(), envelopes, relay)
	if err != nil {
		t.Fatal(err)
	}
	f := vector.File{
		Format: "bag", About: "Whole bags: frames of a 4-byte big-endian length and bytes; the bag's note, then envelopes.",
		Keys: []string{relay.Verifier().String()},
	}
	add := func(want, defect string, msg []byte) {
		v := vector.New(defect, want, defect, nil)
		v.Base64 = msg // frames are bytes, even where they happen to be text
		v.Exact = want == vector.Accepted
		f.Vectors = append(f.Vectors, v)
	}
	add(vector.Accepted, "two envelopes", good)
	add(vector.Accepted, "one envelope", bagOf(t, envelopes[:1], envelopes[:1]))
	garbage := [][]byte{[]byte("no envelope at all"), {}}
	add(vector.Accepted, "frames that hold no envelope: each is judged by itself", bagOf(t, garbage, garbage))
	add(vector.Malformed, "nothing", []byte{})
	add(vector.Malformed, "a length of three bytes", []byte{0, 0, 1})
	add(vector.Malformed, "a frame 0 longer than the bag", []byte{0, 0, 0, 9, 'x'})
	add(vector.Malformed, "a frame of 2^32 - 1 bytes", append(bytes.Clone(good), 0xff, 0xff, 0xff, 0xff))
	add(vector.Malformed, "one byte short", good[:len(good)-1])
	add(vector.Malformed, "one byte more", append(bytes.Clone(good), 0))
	add(vector.Malformed, "an empty frame 0", append([]byte{0, 0, 0, 0}, good...))
	add(vector.Malformed, "the note alone", bagOf(t, nil, envelopes))
	add(vector.Malformed, "an envelope missing", bagOf(t, envelopes[:1], envelopes))
	add(vector.Malformed, "an envelope more", bagOf(t, envelopes, envelopes[:1]))
	add(vector.Malformed, "the envelopes in another order", bagOf(t, [][]byte{envelopes[1], envelopes[0]}, envelopes))
	changed := bytes.Clone(good)
	changed[len(changed)-2] ^= 1
	add(vector.Malformed, "a bit of the body flipped", changed)
	joined := [][]byte{bytes.Join(envelopes, nil), {}}
	add(vector.Malformed, "the same bytes in other frames", bagOf(t, joined, envelopes))
	add(vector.Malformed, "an envelope in place of the note", frame.Append(frame.Append(nil, envelopes[0]), envelopes[1]))
	many := make([][]byte, MaxBagEnvelopes+1)
	add(vector.Malformed, "257 frames", bagOf(t, many, many[1:]))
	byOther := vector.Signer(t, "relay-1", "impostor of relay-1")
	forged, _, err := PackBag(sampleBag(), envelopes, byOther)
	if err != nil {
		t.Fatal(err)
	}
	add(vector.Unverified, "another key of the relay's name", forged)
	over := vector.Vector{Name: "1,000,001 bytes", Want: vector.TooLarge, Defect: "one byte over the limit", Base64: good}
	over.Fill = &vector.Fill{At: len(good), Count: MaxBagBytes + 1 - len(good)}
	f.Vectors = append(f.Vectors, over)
	return f
}

func TestBagVectors(t *testing.T) {
	relay := vector.Signer(t, "relay-1", "relay-1")
	for _, v := range vector.Corpus(t, vectorsDir, bagCorpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			bag, envelopes, err := OpenBag(v.Bytes(), relay.Verifier())
			if v.Want != vector.Accepted {
				if !errors.Is(err, classes[v.Want]) {
					t.Fatalf("got %v, want %s", err, v.Want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, digest, err := PackBag(bag.Value, envelopes, relay)
			if err != nil || !bytes.Equal(again, v.Bytes()) || digest != bag.Digest {
				t.Errorf("packs to other bytes: %v", err)
			}
			if size := len(v.Bytes()); size != BagOverhead(len(bag.Note), len(envelopes))+len(bytes.Join(envelopes, nil)) {
				t.Errorf("BagOverhead does not add up to %d", size)
			}
		})
	}
}

// TestBagNoteStaysUnderItsMaximum: a bagger that leaves MaxBagNoteBytes always gets its note in.
func TestBagNoteStaysUnderItsMaximum(t *testing.T) {
	const last = 1<<53 - 1
	relay := vector.Signer(t, "relay-1", "relay-1")
	ref := &BagRef{oldRun, last, digestA}
	for _, b := range []Bag{
		{"relay-1", runID, 1, ZeroDigest, ref, 8, 256, digestA},
		{"relay-1", runID, last, digestA, nil, 8, 256, digestA},
	} {
		signed, err := Sign(b, relay)
		if err != nil {
			t.Fatal(err)
		}
		if limit := MaxBagNoteBytes("relay-1"); len(signed.Note) > limit || limit > len(signed.Note)+200 {
			t.Errorf("a note of %d bytes against a limit of %d", len(signed.Note), limit)
		}
	}
}

func TestPackBagRefusesTooMuch(t *testing.T) {
	relay := vector.Signer(t, "relay-1", "relay-1")
	for name, c := range map[string]struct {
		envelopes [][]byte
		err       error
	}{
		"no envelopes":         {nil, ErrMalformed},
		"257 envelopes":        {make([][]byte, 257), ErrMalformed},
		"over a million bytes": {[][]byte{make([]byte, MaxBagBytes)}, note.ErrTooLarge},
	} {
		if _, _, err := PackBag(sampleBag(), c.envelopes, relay); !errors.Is(err, c.err) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func FuzzSplitBag(f *testing.F) {
	for _, v := range bagCorpus(f).Vectors {
		if v.Fill == nil {
			f.Add(v.Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		bagNote, body, envelopes, err := SplitBag(msg)
		if err != nil {
			return
		}
		again := frame.Append(nil, bagNote)
		if !bytes.Equal(body, msg[len(again):]) {
			t.Fatal("the body is not what follows frame 0")
		}
		for _, e := range envelopes {
			again = frame.Append(again, e)
		}
		if !bytes.Equal(again, msg) {
			t.Fatal("the frames do not add up to the bag")
		}
	})
}
