package envelope

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"flag"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
)

var update = flag.Bool("update", false, "write testdata/vectors")

const vectorsDir = "../../testdata/vectors"

// rawNote signs text as it is, whatever it is.
func rawNote(text string, s *note.Signer) string { return text + "\n" + rawLine(text, s, s) }

// rawLine is a line of the signature of by under the name and hash of s.
func rawLine(text string, s, by *note.Signer) string {
	raw := binary.BigEndian.AppendUint32(nil, s.Verifier().Hash())
	raw = append(raw, ed25519.Sign(by.PrivateKey(), []byte(text))...)
	return "— " + s.Name() + " " + base64.StdEncoding.EncodeToString(raw) + "\n"
}

// edit is one defect: old is replaced by new, in the JSON line where it is there once.
type edit struct{ defect, old, new string }

// family makes the vectors of one statement.
type family[T Statement] struct {
	format string
	about  string
	value  T
	signer *note.Signer
	edits  []edit               // each makes the statement malformed
	extra  func(add adder, v T) // more vectors
	limit  int                  // of the whole note
}

type adder func(want, defect, msg string)

// object returns the JSON line of the family's value.
func (f family[T]) object(t testing.TB) string {
	signed, err := Sign(f.value, f.signer)
	if err != nil {
		t.Fatalf("%s: %v", f.format, err)
	}
	_, object, _ := strings.Cut(string(signed.Text), "\n")
	return strings.TrimSuffix(object, "\n")
}

func (f family[T]) corpus(t testing.TB) vector.File {
	out := vector.File{Format: f.format, About: f.about, Keys: []string{f.signer.Verifier().String()}}
	add := func(want, defect, msg string) {
		out.Vectors = append(out.Vectors, vector.New(defect, want, defect, []byte(msg)))
	}
	kind, object := f.value.typeLine()+"\n", f.object(t)
	add(vector.Accepted, "as this project writes it", rawNote(kind+object+"\n", f.signer))
	out.Vectors[0].Exact = true
	add(vector.Accepted, "members in another order, with spaces", rawNote(kind+reversed(object)+"\n", f.signer))
	add(vector.Accepted, "a member's name with an escape", rawNote(kind+escapedName(object)+"\n", f.signer))

	if f.limit > 0 {
		out.Vectors = append(out.Vectors, f.sized(t, f.limit, vector.Accepted), f.sized(t, f.limit+1, vector.TooLarge))
	}
	f.textDefects(add, kind, object)
	f.signatureDefects(t, add, kind+object+"\n")
	for _, e := range f.edits {
		if strings.Count(object, e.old) != 1 {
			t.Fatalf("%s: %s: %q is there %d times", f.format, e.defect, e.old, strings.Count(object, e.old))
		}
		add(vector.Malformed, e.defect, rawNote(kind+strings.Replace(object, e.old, e.new, 1)+"\n", f.signer))
	}
	if f.extra != nil {
		f.extra(add, f.value)
	}
	return out
}

// sized is the family's note with spaces before its JSON's last brace, so that it has size bytes.
func (f family[T]) sized(t testing.TB, size int, want string) vector.Vector {
	text := f.value.typeLine() + "\n" + f.object(t) + "\n"
	at := len(text) - 2
	count := size - len(rawNote(text, f.signer))
	padded := text[:at] + strings.Repeat(" ", count) + text[at:]
	msg := text + "\n" + rawLine(padded, f.signer, f.signer)
	name := map[string]string{vector.Accepted: "the longest note", vector.TooLarge: "one byte over the longest note"}[want]
	v := vector.New(name, want, name, []byte(msg))
	v.Fill = &vector.Fill{At: at, Count: count}
	return v
}

// textDefects are those of the two lines and of the JSON that no statement may have.
func (f family[T]) textDefects(add adder, kind, object string) {
	bad := func(defect, text string) { add(vector.Malformed, defect, rawNote(text, f.signer)) }
	bad("an unknown type line", strings.Replace(kind, "/v1", "/v2", 1)+object+"\n")
	bad("the type line of another statement", "nightdrop/approval/v1\n"+object+"\n")
	bad("a space after the type", strings.TrimSuffix(kind, "\n")+" \n"+object+"\n")
	bad("a type line alone", kind)
	bad("an empty line before the JSON", kind+"\n"+object+"\n")
	bad("a third line", kind+object+"\n{}\n")
	bad("a third line, empty", kind+object+"\n\n")
	bad("a line before the type", "\n"+kind+object+"\n")
	bad("a space before the JSON", kind+" "+object+"\n")
	bad("a space after the JSON", kind+object+" \n")
	bad("an unknown member", kind+strings.TrimSuffix(object, "}")+`,"more":1}`+"\n")
	first, _, _ := strings.Cut(object, ",")
	bad("a member twice", kind+strings.TrimSuffix(object, "}")+","+strings.TrimPrefix(first, "{")+"}\n")
	bad("a member in upper case", kind+upperName(object)+"\n")
	bad("an array", kind+"["+object+"]\n")
}

func (f family[T]) signatureDefects(t testing.TB, add adder, text string) {
	impostor := vector.Signer(t, f.signer.Name(), "impostor of "+f.signer.Name())
	stranger := vector.Signer(t, "stranger-1", "stranger-1")
	good := rawLine(text, f.signer, f.signer)
	encoded := strings.Fields(good)[2]
	loose := strings.TrimRight(encoded, "=") + "==="[:3-len(strings.TrimRight(encoded, "="))%3]
	if loose == encoded {
		loose = encoded + "="
	}
	add(vector.Malformed, "trailing bytes", text+"\n"+good+"\n")
	add(vector.Malformed, "no signature", text)
	add(vector.Malformed, "the signature line twice", text+"\n"+good+good)
	add(vector.Malformed, "base64 of the signature with padding too much", text+"\n"+strings.Replace(good, encoded, loose, 1))
	add(vector.Unverified, "another key of the same name", rawNote(text, impostor))
	add(vector.Unverified, "another key's signature under the right hash", text+"\n"+rawLine(text, f.signer, impostor))
	add(vector.Unverified, "a stranger's signature", rawNote(text, stranger))
	if f.value.policy().Single {
		add(vector.Malformed, "a stranger's signature beside", text+"\n"+good+rawLine(text, stranger, stranger))
	} else {
		add(vector.Accepted, "a stranger's signature beside", text+"\n"+good+rawLine(text, stranger, stranger))
	}
}

var classes = map[string]error{
	vector.Malformed: ErrMalformed, vector.TooLarge: note.ErrTooLarge, vector.Unverified: note.ErrUnverified,
}

// check runs the committed vectors.
func (f family[T]) check(t *testing.T) {
	for _, v := range vector.Corpus(t, vectorsDir, f.corpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			signed, err := Open[T](v.Bytes(), f.signer.Verifier())
			f.byMod(t, v, signed)
			if v.Want != vector.Accepted {
				if !errors.Is(err, classes[v.Want]) {
					t.Fatalf("got %v, want %s", err, v.Want)
				}
				// Which lines may not repeat depends on the keys held, which Peek does not know.
				repeated := v.Name == "the signature line twice" && !f.value.policy().Single
				if _, err := Peek[T](v.Bytes()); (err == nil) != (v.Want == vector.Unverified || repeated) {
					t.Errorf("Peek says %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			f.reencode(t, v, signed)
		})
	}
}

// reencode checks that an exact vector comes out byte-identical, and that any accepted value signs
// and opens again.
func (f family[T]) reencode(t *testing.T, v vector.Vector, signed Signed[T]) {
	again, err := Sign(signed.Value, f.signer)
	if err != nil {
		t.Fatalf("what was read does not sign: %v", err)
	}
	if v.Exact && (!bytes.Equal(again.Note, v.Bytes()) || again.Digest != signed.Digest) {
		t.Errorf("encodes as\n%s", again.Note)
	}
	if _, err := Open[T](again.Note, f.signer.Verifier()); err != nil {
		t.Errorf("what was signed does not open: %v", err)
	}
}

// byMod gives the vector to golang.org/x/mod/sumdb/note. What is accepted here opens there to the
// same text, and what it signs is accepted here; what the expected key did not sign is refused
// there too. Of form and size, and of whose name a statement gives, it knows less.
func (f family[T]) byMod(t *testing.T, v vector.Vector, signed Signed[T]) {
	text, err := vector.OpenByMod(v.Bytes(), f.signer.Verifier())
	switch v.Want {
	case vector.Unverified:
		if value, _ := Peek[T](v.Bytes()); err == nil && f.nameFor(value) == f.signer.Name() {
			t.Error("x/mod opens it")
		}
	case vector.Accepted:
		if err != nil || text != string(signed.Text) {
			t.Errorf("x/mod does not open it: %v", err)
		}
		byMod, err := vector.SignByMod(signed.Text, f.signer)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Open[T](byMod, f.signer.Verifier())
		if err != nil || again.Digest != signed.Digest || v.Exact && !bytes.Equal(byMod, v.Bytes()) {
			t.Errorf("x/mod signs\n%s\n%v", byMod, err)
		}
	}
}

// fuzz seeds with the vectors; whatever opens must sign and open again to the same value.
func (f family[T]) fuzz(fz *testing.F) {
	for _, v := range f.corpus(fz).Vectors {
		if v.Fill == nil {
			fz.Add(v.Bytes())
		}
	}
	fz.Fuzz(func(t *testing.T, msg []byte) {
		value, err := Peek[T](msg)
		if err != nil {
			return
		}
		signed, err := Sign(value, vector.Signer(t, f.nameFor(value), "fuzz"))
		if err != nil {
			t.Fatalf("what was read does not sign: %v", err)
		}
		again, err := Peek[T](signed.Note)
		if err != nil {
			t.Fatalf("what was signed does not read: %v", err)
		}
		twice, err := Sign(again, vector.Signer(t, f.nameFor(value), "fuzz"))
		if err != nil || !bytes.Equal(twice.Note, signed.Note) {
			t.Fatalf("decode-then-encode is not stable: %v", err)
		}
	})
}

func (f family[T]) nameFor(v T) string {
	if name := v.signedBy(); name != "" {
		return name
	}
	return f.signer.Name()
}

// reversed puts the object's members in reverse order, with spaces around the punctuation of the
// outermost object.
func reversed(object string) string {
	members := outerMembers(object)
	for i, j := 0, len(members)-1; i < j; i, j = i+1, j-1 {
		members[i], members[j] = members[j], members[i]
	}
	return "{ " + strings.Join(members, " , ") + " }"
}

// outerMembers cuts the outermost object at its commas. No string of these vectors holds a bracket.
func outerMembers(object string) []string {
	var members []string
	depth, start := 0, 1
	for i, c := range object {
		switch c {
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		if depth == 1 && c == ',' || depth == 0 {
			members = append(members, object[start:i])
			start = i + 1
		}
	}
	return members
}

// escapedName writes the first letter of the first member's name as an escape.
func escapedName(object string) string {
	const hex = "0123456789abcdef"
	return `{"\u00` + string([]byte{hex[object[2]>>4], hex[object[2]&15]}) + object[3:]
}

func upperName(object string) string { return `{"` + strings.ToUpper(object[2:3]) + object[3:] }
