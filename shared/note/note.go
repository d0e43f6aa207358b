// Package note is Nightdrop's one signing format: C2SP signed notes (c2sp.org/signed-note) with
// Ed25519 keys. It is compatible with golang.org/x/mod/sumdb/note and stricter: base64 is
// canonical, no held key signs twice, and a text is split from its signatures once, at the last
// blank line. So one text has one form, for which x/mod accepts four byte strings.
package note

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"nightdrop/shared/strictjson"
)

// Sizes of whole notes, signatures included.
const (
	MaxBytes          = 64 << 10  // of every note that has no other limit
	MaxDirectoryBytes = 1_000_000 // of directory and members: what a channel message holds
	maxSignatures     = 100       // as in x/mod
)

// Errors of reading. Each is wrapped with a reason that quotes nothing.
var (
	ErrMalformed = errors.New("malformed note") // is returned when the bytes are not a signed note
	ErrTooLarge  = errors.New("note too large") // is returned when a note exceeds its limit
	// is returned when a signature is missing or wrong
	ErrUnverified = errors.New("no valid signature by the expected key")
	// is wrapped with ErrUnverified when no line names an expected key: none is wrong
	ErrUnknownKey = errors.New("no line of a known key")
)

const signaturePrefix = "— " // U+2014 and a space

// Policy is what [Open] requires beside a valid signature.
type Policy struct {
	MaxBytes int  // of the whole note; 0 is MaxBytes of this package
	Single   bool // exactly one signature line
}

// KeyID names the key of a signature line.
type KeyID struct {
	Name string
	Hash uint32
}

// Opened is a note whose signatures were verified.
type Opened struct {
	Text []byte // a slice of the note, with its final newline
	// those of the expected keys that signed, at least one, in the order of the lines
	Signers []Verifier
}

// Unverified is a note that was split and checked for form, with no signature verified.
type Unverified struct {
	Text  []byte // a slice of the note, with its final newline
	lines []signature
}

type signature struct {
	id  KeyID
	sig []byte
}

// Sign returns the note of text, which ends in a newline, signed by each of signers, at least one.
func Sign(text []byte, signers ...*Signer) ([]byte, error) {
	if len(text) == 0 || text[len(text)-1] != '\n' || !plainText(text) {
		return nil, fmt.Errorf("%w: a text is UTF-8 without control characters and ends in a newline", ErrMalformed)
	}
	if len(signers) == 0 {
		return nil, fmt.Errorf("%w: no signer was given", ErrUnverified)
	}
	msg := make([]byte, 0, len(text)+1+len(signers)*(len(signaturePrefix)+maxNameBytes/2+96))
	msg = append(append(msg, text...), '\n')
	for _, s := range signers {
		raw := binary.BigEndian.AppendUint32(nil, s.verifier.hash)
		raw = append(raw, ed25519.Sign(s.key, text)...)
		msg = append(msg, signaturePrefix+s.verifier.name+" "...)
		msg = append(base64.StdEncoding.AppendEncode(msg, raw), '\n')
	}
	return msg, nil
}

// Split checks size and form of msg and separates text from signature lines, verifying nothing.
func Split(msg []byte, p Policy) (Unverified, error) {
	limit := p.MaxBytes
	if limit == 0 {
		limit = MaxBytes
	}
	if len(msg) > limit {
		return Unverified{}, fmt.Errorf("%w: over %d bytes", ErrTooLarge, limit)
	}
	if !plainText(msg) {
		return Unverified{}, fmt.Errorf("%w: control characters or bytes that are not UTF-8", ErrMalformed)
	}
	end := bytes.LastIndex(msg, []byte("\n\n"))
	if end < 0 {
		return Unverified{}, fmt.Errorf("%w: no blank line between text and signatures", ErrMalformed)
	}
	lines, err := signatures(msg[end+2:])
	if err != nil {
		return Unverified{}, err
	}
	if p.Single && len(lines) != 1 {
		return Unverified{}, fmt.Errorf("%w: not exactly one signature line", ErrMalformed)
	}
	return Unverified{Text: msg[: end+1 : end+1], lines: lines}, nil
}

func signatures(block []byte) ([]signature, error) {
	if len(block) == 0 || block[len(block)-1] != '\n' {
		return nil, fmt.Errorf("%w: signature lines end in a newline each, and there is at least one", ErrMalformed)
	}
	var lines []signature
	for len(block) > 0 {
		var line []byte
		line, block, _ = bytes.Cut(block, []byte{'\n'})
		s, err := parseSignature(line)
		if err != nil {
			return nil, err
		}
		if lines = append(lines, s); len(lines) > maxSignatures {
			return nil, fmt.Errorf("%w: over %d signature lines", ErrMalformed, maxSignatures)
		}
	}
	return lines, nil
}

func parseSignature(line []byte) (signature, error) {
	line, ok := bytes.CutPrefix(line, []byte(signaturePrefix))
	name, encoded, cut := bytes.Cut(line, []byte{' '})
	if !ok || !cut || !validName(string(name)) {
		return signature{}, fmt.Errorf("%w: a signature line is a dash, a key name and base64, one space between", ErrMalformed)
	}
	raw, err := strictjson.Base64(encoded)
	if err != nil || len(raw) < 5 {
		return signature{}, fmt.Errorf("%w: a signature is canonical base64 of the key's hash and the signature", ErrMalformed)
	}
	return signature{KeyID{string(name), binary.BigEndian.Uint32(raw)}, raw[4:]}, nil
}

// Verify checks the lines of the given keys and ignores others (by name and hash); a wrong or
// repeated line of a given key fails the whole note.
func (u Unverified) Verify(verifiers ...Verifier) (Opened, error) {
	var signers []Verifier
	for _, line := range u.lines {
		for _, v := range verifiers {
			if v.ID() != line.id || v.IsZero() {
				continue
			}
			if contains(signers, v) {
				return Opened{}, fmt.Errorf("%w: a key signs twice", ErrMalformed)
			}
			if !v.verify(u.Text, line.sig) {
				return Opened{}, fmt.Errorf("%w: the signature is wrong", ErrUnverified)
			}
			signers = append(signers, v)
			break
		}
	}
	if len(signers) == 0 {
		return Opened{}, fmt.Errorf("%w: %w", ErrUnverified, ErrUnknownKey)
	}
	return Opened{Text: u.Text, Signers: signers}, nil
}

func contains(list []Verifier, v Verifier) bool {
	for _, have := range list {
		if have == v {
			return true
		}
	}
	return false
}

// KeyIDs returns the keys that the signature lines name, in their order.
func (u Unverified) KeyIDs() []KeyID {
	ids := make([]KeyID, len(u.lines))
	for i, line := range u.lines {
		ids[i] = line.id
	}
	return ids
}

// Open checks form and signatures of msg, one of them by verifiers. The text is a slice of msg.
func Open(msg []byte, p Policy, verifiers ...Verifier) (Opened, error) {
	u, err := Split(msg, p)
	if err != nil {
		return Opened{}, err
	}
	return u.Verify(verifiers...)
}

// Text returns the text of msg, a slice of it, after checking form but no signature.
func Text(msg []byte) ([]byte, error) {
	u, err := Split(msg, Policy{MaxBytes: MaxDirectoryBytes})
	return u.Text, err
}

// plainText reports whether b is UTF-8 without control characters other than newlines.
func plainText(b []byte) bool {
	for rest := b; ; {
		i := strictjson.IndexControl(rest)
		if i < 0 {
			return utf8.Valid(b)
		}
		if rest[i] != '\n' {
			return false
		}
		rest = rest[i+1:]
	}
}
