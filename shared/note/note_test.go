package note_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	modnote "golang.org/x/mod/sumdb/note"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
)

var update = flag.Bool("update", false, "write testdata/vectors")

const vectorsDir = "../../testdata/vectors"

// line signs text as it is, whatever it is, and returns a signature line.
func line(text string, s *note.Signer) string {
	raw := binary.BigEndian.AppendUint32(nil, s.Verifier().Hash())
	raw = append(raw, ed25519.Sign(s.PrivateKey(), []byte(text))...)
	return "— " + s.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

const text = "nightdrop/example/v1\n{\"said\":\"by example.com\"}\n"

func corpus(t testing.TB) vector.File {
	s := vector.Signer(t, "example.com", "example.com")
	stranger := vector.Signer(t, "stranger.example", "stranger.example")
	impostor := vector.Signer(t, "example.com", "impostor of example.com")
	sig := line(text, s)
	encoded := strings.Fields(sig)[2]
	wrongAlgorithm := "— example.com " + base64.StdEncoding.EncodeToString(append(binary.BigEndian.AppendUint32(nil, s.Verifier().Hash()), make([]byte, 32)...)) + "\n"
	f := vector.File{
		Format: "note",
		About:  "Signed notes that must have exactly one signature line and at most 65,536 bytes. The text is not read.",
		Keys:   []string{s.Verifier().String()},
	}
	add := func(want, defect, msg string) {
		f.Vectors = append(f.Vectors, vector.New(defect, want, defect, []byte(msg)))
	}
	add(vector.Accepted, "one signature", text+"\n"+sig)
	add(vector.Accepted, "a blank line in the text: the split is at the last one", "a\n\nb\n\n"+line("a\n\nb\n", s))
	add(vector.Accepted, "a text of several scripts", "日本語\n\n"+line("日本語\n", s))
	for i := range f.Vectors {
		f.Vectors[i].Exact = true
	}
	f.Vectors = append(f.Vectors, longest(s, sig)...)
	add(vector.Malformed, "nothing", "")
	add(vector.Malformed, "a text alone", text)
	add(vector.Malformed, "no blank line", text+sig)
	add(vector.Malformed, "no signature line", text+"\n")
	add(vector.Malformed, "no newline at the end", text+"\n"+strings.TrimSuffix(sig, "\n"))
	add(vector.Malformed, "an empty line after the signature", text+"\n"+sig+"\n")
	add(vector.Malformed, "a word after the signature", text+"\n"+sig+"x\n")
	add(vector.Malformed, "carriage returns", strings.ReplaceAll(text+"\n"+sig, "\n", "\r\n"))
	add(vector.Malformed, "a tab in the text", "a\tb\n\n"+line("a\tb\n", s))
	add(vector.Malformed, "a zero byte in the text", "a\x00b\n\n"+line("a\x00b\n", s))
	add(vector.Malformed, "bytes that are not UTF-8", "a\xff\n\n"+line("a\xff\n", s))
	add(vector.Malformed, "the signature line twice", text+"\n"+sig+sig)
	add(vector.Malformed, "a second line of a stranger", text+"\n"+sig+line(text, stranger))
	add(vector.Malformed, "a stranger's line first", text+"\n"+line(text, stranger)+sig)
	add(vector.Malformed, "a hyphen for the dash", text+"\n"+strings.Replace(sig, "—", "-", 1))
	add(vector.Malformed, "two spaces after the dash", text+"\n"+strings.Replace(sig, "— ", "—  ", 1))
	add(vector.Malformed, "two spaces after the name", text+"\n"+strings.Replace(sig, "com ", "com  ", 1))
	add(vector.Malformed, "a space at the line's end", text+"\n"+strings.TrimSuffix(sig, "\n")+" \n")
	add(vector.Malformed, "no name", text+"\n"+strings.Replace(sig, "example.com ", "", 1))
	add(vector.Malformed, "a plus in the name", text+"\n"+strings.Replace(sig, "example", "exa+mple", 1))
	add(vector.Malformed, "a no-break space in the name", text+"\n"+strings.Replace(sig, "example", "exa\u00a0mple", 1))
	add(vector.Malformed, "base64 with spare bits", text+"\n"+strings.Replace(sig, encoded, spareBits(encoded), 1))
	add(vector.Malformed, "base64 without padding", text+"\n"+strings.Replace(sig, encoded, strings.TrimRight(encoded, "="), 1))
	add(vector.Malformed, "base64 of the URL alphabet", text+"\n"+strings.Replace(sig, encoded, "-_"+encoded[2:], 1))
	add(vector.Malformed, "a key hash without a signature", text+"\n— example.com "+base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, s.Verifier().Hash()))+"\n")
	add(vector.Unverified, "a changed text", strings.Replace(text, "said", "Said", 1)+"\n"+sig)
	add(vector.Unverified, "a text that lost its last newline to the signatures", strings.TrimSuffix(text, "\n")+"\n\n"+line(strings.TrimSuffix(text, "\n"), s))
	add(vector.Unverified, "signed by a stranger alone", text+"\n"+line(text, stranger))
	add(vector.Unverified, "signed by another key of the same name", text+"\n"+line(text, impostor))
	add(vector.Unverified, "the right name and hash before another key's signature", text+"\n"+forged(s, impostor))
	add(vector.Unverified, "a stranger's name before the right signature", text+"\n"+strings.Replace(sig, "example.com", "stranger.example", 1))
	add(vector.Unverified, "a signature of 32 bytes", text+"\n"+wrongAlgorithm)
	return f
}

// longest are a note of the largest size and one a byte longer. Spaces fill the text before its
// last newline.
func longest(s *note.Signer, sig string) []vector.Vector {
	fill := func(size int) (*vector.Fill, string) {
		count := size - len(text) - len("\n") - len(sig)
		return &vector.Fill{At: len(text) - 1, Count: count}, text[:len(text)-1] + strings.Repeat(" ", count) + "\n"
	}
	space, padded := fill(note.MaxBytes)
	large := vector.New("65,536 bytes", vector.Accepted, "the longest note", []byte(text+"\n"+line(padded, s)))
	large.Fill = space
	space, padded = fill(note.MaxBytes + 1)
	over := vector.New("65,537 bytes", vector.TooLarge, "one byte over the limit", []byte(text+"\n"+line(padded, s)))
	over.Fill = space
	return []vector.Vector{large, over}
}

// forged is a line of another's signature under s's name and hash.
func forged(s, other *note.Signer) string {
	raw := binary.BigEndian.AppendUint32(nil, s.Verifier().Hash())
	raw = append(raw, ed25519.Sign(other.PrivateKey(), []byte(text))...)
	return "— " + s.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

// spareBits sets a bit that canonical base64 of 68 bytes leaves unset; a lenient decoder does not
// see it.
func spareBits(encoded string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
	last := strings.TrimRight(encoded, "=")
	i := strings.IndexByte(alphabet, last[len(last)-1])
	return last[:len(last)-1] + alphabet[i|1:i|1+1] + encoded[len(last):]
}

var classes = map[string]error{
	vector.Malformed: note.ErrMalformed, vector.TooLarge: note.ErrTooLarge, vector.Unverified: note.ErrUnverified,
}

func TestVectors(t *testing.T) {
	s := vector.Signer(t, "example.com", "example.com")
	for _, v := range vector.Corpus(t, vectorsDir, corpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			opened, err := note.Open(v.Bytes(), note.Policy{Single: true}, s.Verifier())
			if v.Want != vector.Accepted {
				if !errors.Is(err, classes[v.Want]) {
					t.Fatalf("got %v, want %s", err, v.Want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if again, err := note.Sign(opened.Text, s); v.Exact && (err != nil || !bytes.Equal(again, v.Bytes())) {
				t.Errorf("signs as %q, %v", again, err)
			}
			verifier, err := modnote.NewVerifier(s.Verifier().String())
			if err != nil {
				t.Fatal(err)
			}
			if n, err := modnote.Open(v.Bytes(), modnote.VerifierList(verifier)); err != nil || n.Text != string(opened.Text) {
				t.Errorf("x/mod does not open it: %v", err)
			}
		})
	}
}

// TestSeveralSignatures is the rule of directories: lines of keys one does not hold are ignored,
// those of held keys must verify once each.
func TestSeveralSignatures(t *testing.T) {
	a, b, stranger := vector.Signer(t, "example.com", "a"), vector.Signer(t, "example.com", "b"), vector.Signer(t, "stranger.example", "c")
	la, lb, ls := line(text, a), line(text, b), line(text, stranger)
	for _, c := range []struct {
		name, lines string
		keys        []note.Verifier
		signers     int
		err         error
	}{
		{"both held", la + lb, []note.Verifier{a.Verifier(), b.Verifier()}, 2, nil},
		{"one held of two", la + lb, []note.Verifier{b.Verifier()}, 1, nil},
		{"a stranger first", ls + la, []note.Verifier{a.Verifier()}, 1, nil},
		{"a stranger twice", ls + la + ls, []note.Verifier{a.Verifier()}, 1, nil},
		{"a held key given twice", la, []note.Verifier{a.Verifier(), a.Verifier()}, 1, nil},
		{"a held key signs twice", la + la, []note.Verifier{a.Verifier()}, 0, note.ErrMalformed},
		{"a held key's line is wrong beside a right one", la + line("x", b), []note.Verifier{a.Verifier(), b.Verifier()}, 0, note.ErrUnverified},
		{"none held", la + lb, []note.Verifier{stranger.Verifier()}, 0, note.ErrUnverified},
		{"no key given", la, nil, 0, note.ErrUnverified},
		{"the zero key given", la, []note.Verifier{{}}, 0, note.ErrUnverified},
		{"a hundred lines", strings.Repeat(ls, 99) + la, []note.Verifier{a.Verifier()}, 1, nil},
		{"a hundred and one lines", strings.Repeat(ls, 100) + la, []note.Verifier{a.Verifier()}, 0, note.ErrMalformed},
	} {
		opened, err := note.Open([]byte(text+"\n"+c.lines), note.Policy{}, c.keys...)
		if !errors.Is(err, c.err) || len(opened.Signers) != c.signers {
			t.Errorf("%s: %d signers, %v", c.name, len(opened.Signers), err)
		}
	}
	u, err := note.Split([]byte(text+"\n"+la+ls), note.Policy{})
	ids := u.KeyIDs()
	if err != nil || len(ids) != 2 || ids[0] != a.Verifier().ID() || ids[1].Name != "stranger.example" {
		t.Errorf("the names are %v, %v", ids, err)
	}
}

// TestModSignsAndParses: keys and notes of golang.org/x/mod/sumdb/note are ours, and ours are its.
func TestModSignsAndParses(t *testing.T) {
	s := vector.Signer(t, "example.com", "example.com")
	mod, err := modnote.NewSigner(string(s.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	byMod, err := modnote.Sign(&modnote.Note{Text: text}, mod)
	if err != nil {
		t.Fatal(err)
	}
	byUs, err := note.Sign([]byte(text), s)
	if err != nil || !bytes.Equal(byUs, byMod) {
		t.Errorf("x/mod signs\n%s\nand this package\n%s, %v", byMod, byUs, err)
	}
	skey, vkey, err := modnote.GenerateKey(nil, "example.com")
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := note.ParseSigner(skey)
	if err != nil || parsed.Verifier().String() != vkey || string(parsed.Encode()) != skey {
		t.Errorf("a key of x/mod is not read back: %v", err)
	}
}

func TestParseSignerRefuses(t *testing.T) {
	good := string(vector.Signer(t, "example.com", "example.com").Encode())
	if _, err := note.ParseSigner(good); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"nothing":          "",
		"a vkey":           vector.Signer(t, "example.com", "example.com").Verifier().String(),
		"another name":     strings.Replace(good, "example", "eggsample", 1),
		"a newline":        good + "\n",
		"short":            good[:len(good)-4],
		"no name":          strings.Replace(good, "example.com", "", 1),
		"another hash":     strings.Replace(good, "example.com+", "example.com+0", 1),
		"other algorithm":  strings.Replace(good, "+A", "+B", 1),
		"another preamble": strings.Replace(good, "PRIVATE", "SECRET", 1),
	} {
		_, err := note.ParseSigner(bad)
		if !errors.Is(err, note.ErrKey) {
			t.Errorf("%s: got %v", name, err)
		}
		if err != nil && len(bad) > 60 && strings.Contains(err.Error(), bad[len(bad)-20:]) {
			t.Errorf("%s: the error quotes the key", name)
		}
	}
}

func TestSignerPrintsRedacted(t *testing.T) {
	s := vector.Signer(t, "example.com", "example.com")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("key", "signer", s)
	object, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	secret := string(s.Encode())
	secret = secret[strings.LastIndexByte(secret, '+')+1:]
	for _, out := range []string{
		fmt.Sprint(s), fmt.Sprintf("%v %+v %#v %s %q %x %d", s, s, s, s, s, s, s), log.String(), string(object), s.String(), s.GoString(),
		fmt.Sprint(*s), fmt.Sprintf("%+v", *s), fmt.Sprintf("%#v", *s), fmt.Sprintf("%d", *s), fmt.Sprintf("%x", struct{ S note.Signer }{*s}),
	} {
		if !strings.Contains(out, "[redacted]") || strings.Contains(out, secret[4:20]) {
			t.Errorf("prints as %s", out)
		}
	}
}

func TestSignRefuses(t *testing.T) {
	s := vector.Signer(t, "example.com", "example.com")
	for name, text := range map[string]string{"nothing": "", "no newline": "a", "a control character": "a\tb\n", "not UTF-8": "\xff\n"} {
		if _, err := note.Sign([]byte(text), s); !errors.Is(err, note.ErrMalformed) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := note.Sign([]byte("a\n")); err == nil {
		t.Error("a note without signers is made")
	}
}

func FuzzOpen(f *testing.F) {
	for _, v := range corpus(f).Vectors {
		f.Add(v.Bytes())
	}
	s := vector.Signer(f, "example.com", "example.com")
	f.Fuzz(func(t *testing.T, msg []byte) {
		opened, err := note.Open(msg, note.Policy{Single: true}, s.Verifier())
		if err != nil {
			return
		}
		if again, err := note.Sign(opened.Text, s); err != nil || !bytes.Equal(again, msg) {
			t.Fatalf("one text has two notes: %q and %q, %v", msg, again, err)
		}
	})
}
