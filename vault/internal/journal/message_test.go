package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"flag"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/frame"
	"nightdrop/shared/note"
	"nightdrop/shared/strictjson"
	"nightdrop/vault/internal/merkle"
)

var update = flag.Bool("update", false, "rewrite the vectors")

const vectorsDir = "../../../testdata/vectors"

// sample is a message of two entries after three others, under two log keys.
func sample() Message {
	sealed := func(key byte, n int) []byte {
		return append([]byte{0, 0, 0, key}, bytes.Repeat([]byte{byte(0xe0 + n)}, 60)...)
	}
	m := Message{Vault: "vault.example", Generation: 1, First: 3,
		Keys:    []LogKey{{Number: 2, Wrapped: bytes.Repeat([]byte{0xc2}, 40)}, {Number: 3, Wrapped: bytes.Repeat([]byte{0xc3}, 40)}},
		Entries: []Entry{{Half: sha256.Sum256([]byte("one")), Sealed: sealed(2, 1)}, {Half: sha256.Sum256([]byte("two")), Sealed: sealed(3, 2)}}}
	tail := before()
	for _, e := range m.Entries {
		record := e.Record()
		tail.Add(record[:])
	}
	m.Root = tail.Root()
	return m
}

// before is the log's tail before the sample.
func before() (tail merkle.Tail) {
	for n := range byte(3) {
		tail.Add((&[64]byte{n})[:])
	}
	return tail
}

// frames encodes the body of a message.
func frames(m Message) (all [][]byte) {
	for _, k := range m.Keys {
		all = append(all, k.Wrapped)
	}
	for _, e := range m.Entries {
		all = append(all, append(e.Half[:], e.Sealed...))
	}
	return all
}

// forge signs any statement over any frames; it hashes body unless the statement has a hash.
func forge(t testing.TB, s *note.Signer, kind string, said statement, all [][]byte) []byte {
	t.Helper()
	var body []byte
	for _, f := range all {
		body = frame.Append(body, f)
	}
	if said.Body == "" {
		sum := sha256.Sum256(body)
		said.Body = hex.EncodeToString(sum[:])
	}
	object, err := strictjson.Marshal(said)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign([]byte(kind+"\n"+string(object)+"\n"), s)
	if err != nil {
		t.Fatal(err)
	}
	return append(frame.Append(nil, signed), body...)
}

func sampleStatement() statement {
	root := sample().Root
	return statement{Vault: "vault.example", Generation: 1, First: 3, Size: 5, Root: hex.EncodeToString(root[:]), Keys: []uint32{2, 3}}
}

func corpus(t testing.TB) vector.File {
	vault := vector.Signer(t, "vault.example", "vault.example")
	m := sample()
	good, err := m.Encode(vault)
	if err != nil {
		t.Fatal(err)
	}
	f := vector.File{Format: "journal", Keys: []string{vault.Verifier().String()},
		About: "Whole messages of a journal: frames of a 4-byte big-endian length and bytes; the note, wrapped log keys, then entries of 32 bytes and a sealed entry."}
	add := func(want, defect string, msg []byte) {
		v := vector.New(defect, want, defect, nil)
		v.Base64, v.Exact = msg, want == vector.Accepted
		f.Vectors = append(f.Vectors, v)
	}
	stated := func(defect string, change func(*statement)) {
		said := sampleStatement()
		change(&said)
		add(vector.Malformed, defect, forge(t, vault, typeLine, said, frames(m)))
	}
	framed := func(defect string, all ...[]byte) {
		add(vector.Malformed, defect, forge(t, vault, typeLine, sampleStatement(), all))
	}
	add(vector.Accepted, "two entries under two log keys", good)
	add(vector.Malformed, "nothing", []byte{})
	add(vector.Malformed, "one byte short", good[:len(good)-1])
	add(vector.Malformed, "one byte more", append(bytes.Clone(good), 0))
	add(vector.Malformed, "the note alone", good[:len(good)-bodyOf(m)])
	add(vector.Malformed, "another type line", forge(t, vault, "nightdrop/bag/v1", sampleStatement(), frames(m)))
	flipped := bytes.Clone(good)
	flipped[len(flipped)-1] ^= 1
	add(vector.Malformed, "one bit of an entry flipped", flipped)
	stated("generation 0", func(s *statement) { s.Generation = 0 })
	stated("a size that is not after first", func(s *statement) { s.Size = s.First })
	stated("a size of one entry more", func(s *statement) { s.Size++ })
	stated("a root that is no digest", func(s *statement) { s.Root = s.Root[1:] })
	stated("a root in upper case", func(s *statement) { s.Root = strings.ToUpper(s.Root) })
	stated("a body of another hash", func(s *statement) { s.Body = s.Root })
	stated("no log key", func(s *statement) { s.Keys = []uint32{} })
	stated("log key 0", func(s *statement) { s.Keys = []uint32{0, 3} })
	stated("a log key that no entry has", func(s *statement) { s.Keys = []uint32{2, 4} })
	all := frames(m)
	framed("a log key missing", all[0], all[2], all[3])
	framed("an entry missing", all[:3]...)
	framed("an entry more", append(frames(m), all[3])...)
	framed("an entry of 35 bytes", all[0], all[1], all[2], all[3][:35])
	framed("an empty log key", all[0], []byte{}, all[2], all[3])
	framed("log keys that fall", all[0], all[1], all[3], all[2])
	other, err := m.Encode(vector.Signer(t, "vault.example", "impostor of vault.example"))
	if err != nil {
		t.Fatal(err)
	}
	add(vector.Unverified, "another key of the vault's name", other)
	renamed := sampleStatement()
	renamed.Vault = "other.example"
	add(vector.Unverified, "the name of another vault", forge(t, vault, typeLine, renamed, all))
	over := vector.Vector{Name: "1,000,001 bytes", Want: vector.TooLarge, Defect: "one byte over the limit", Base64: good}
	over.Fill = &vector.Fill{At: len(good), Count: MaxBytes + 1 - len(good)}
	f.Vectors = append(f.Vectors, over)
	return f
}

func bodyOf(m Message) (n int) {
	for _, f := range frames(m) {
		n += frame.HeaderBytes + len(f)
	}
	return n
}

func TestJournalVectors(t *testing.T) {
	vault := vector.Signer(t, "vault.example", "vault.example")
	classes := map[string]error{vector.Malformed: ErrMalformed, vector.TooLarge: note.ErrTooLarge, vector.Unverified: note.ErrUnverified}
	for _, v := range vector.Corpus(t, vectorsDir, corpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			m, err := Decode(v.Bytes(), vault.Verifier())
			if v.Want != vector.Accepted {
				if !errors.Is(err, classes[v.Want]) {
					t.Fatalf("got %v, want %s", err, v.Want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if again, err := m.Encode(vault); err != nil || !bytes.Equal(again, v.Bytes()) {
				t.Errorf("encodes to other bytes: %v", err)
			}
			signed, _, err := cutFrame(v.Bytes())
			if err != nil {
				t.Fatal(err)
			}
			if text, err := vector.OpenByMod(signed, vault.Verifier()); err != nil || !strings.HasPrefix(text, typeLine+"\n{") {
				t.Errorf("x/mod opens its note as %q, %v", text, err)
			}
		})
	}
}

// TestFollow: a reader accepts what extends its log, once, and nothing of another history.
func TestFollow(t *testing.T) {
	m := sample()
	after, err := m.Follow(before())
	if err != nil || after.Root() != m.Root || after.Size() != 5 {
		t.Fatalf("to %d: %v", after.Size(), err)
	}
	if again, err := m.Follow(after); err != nil || again != after {
		t.Errorf("a message that came twice: %v", err)
	}
	half := before()
	record := m.Entries[0].Record()
	half.Add(record[:])
	if rest, err := m.Follow(half); err != nil || rest != after {
		t.Errorf("a message that overlaps: %v", err)
	}
	if _, err := m.Follow(merkle.Tail{}); !errors.Is(err, ErrMalformed) {
		t.Errorf("after a gap: %v", err)
	}
	var fork merkle.Tail
	for n := range byte(3) {
		fork.Add((&[64]byte{n, 1})[:])
	}
	if _, err := m.Follow(fork); !errors.Is(err, ErrMalformed) {
		t.Errorf("on another history: %v", err)
	}
}

func TestEncodeRefusesWhatTheChannelDoesNotCarry(t *testing.T) {
	m := sample()
	m.Entries[1].Sealed = append(m.Entries[1].Sealed, make([]byte, MaxBytes)...)
	if _, err := m.Encode(vector.Signer(t, "vault.example", "vault.example")); !errors.Is(err, note.ErrTooLarge) {
		t.Errorf("got %v", err)
	}
}

// TestNoteStaysUnderItsBound: collect leaves enough room for the note.
func TestNoteStaysUnderItsBound(t *testing.T) {
	m := sample()
	m.First, m.Generation, m.Keys = 1<<53-3, 1<<53-1, []LogKey{{Number: 1<<32 - 2}, {Number: 1<<32 - 1}}
	data, err := m.Encode(vector.Signer(t, "vault.example", "vault.example"))
	if err != nil {
		t.Fatal(err)
	}
	if have, bound := len(data)-bodyOf(m), noteBytes(m.Vault, len(m.Keys)); have > bound || bound > have+100 {
		t.Errorf("a first frame of %d bytes, and a bound of %d", have, bound)
	}
}

func FuzzDecode(f *testing.F) {
	vault := vector.Signer(f, "vault.example", "vault.example")
	for _, v := range corpus(f).Vectors {
		if v.Fill == nil {
			f.Add(v.Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Decode(data, vault.Verifier())
		if err != nil {
			return
		}
		said, _, err := cutFrame(data)
		if err != nil {
			t.Fatal(err)
		}
		var body []byte
		for _, f := range frames(m) {
			body = frame.Append(body, f)
		}
		if !bytes.Equal(append(frame.Append(nil, said), body...), data) {
			t.Fatal("the parts do not add up to the message")
		}
	})
}
