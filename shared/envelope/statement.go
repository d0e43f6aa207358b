// Package envelope has the statements that parties sign (envelope, receipt, bag, result, directory,
// members, position), the plaintexts that they seal, and their formats: specification 1 to 5, 7 and
// the bag of 8. It knows no sealing library, store or network. Decoders refuse everything that the
// formats do not name; errors quote nothing of what was read.
package envelope

import (
	"bytes"
	"errors"
	"fmt"

	"nightdrop/shared/note"
	"nightdrop/shared/strictjson"
)

// ErrMalformed is wrapped by every error about form, read or written. [note.ErrTooLarge] and
// [note.ErrUnverified] are the other two classes.
var ErrMalformed = errors.New("malformed")

func malformed(reason string) error { return fmt.Errorf("%w: %s", ErrMalformed, reason) }

// Statement is what a signed note can say: its text is a type line and one line of strict JSON.
type Statement interface {
	Envelope | Receipt | Bag | Result | Directory | Members | Position
	rules
}

// rules are the format's rules for a kind of statement.
type rules interface {
	typeLine() string // first line of the text
	// name that the signing key must have; "" for a result, which names no vault
	signedBy() string
	policy() note.Policy
	check() error // of every field that JSON types do not check
}

// Signed is a statement with the note that says it. Note and Text alias what was given to Open.
type Signed[T Statement] struct {
	Value   T
	Note    []byte // the whole note, as received
	Text    []byte // what is signed
	Digest  string // hex SHA-256 of Text
	Signers []note.Verifier
}

// Sign checks v and signs it. The signers must have the name under which v speaks.
func Sign[T Statement](v T, signers ...*note.Signer) (Signed[T], error) {
	msg, text, err := sign(v, signers)
	if err != nil {
		return Signed[T]{}, err
	}
	keys := make([]note.Verifier, len(signers))
	for i, s := range signers {
		keys[i] = s.Verifier()
	}
	return Signed[T]{v, msg, text, note.Digest(text), keys}, nil
}

// SignNote is [Sign] without the digest, for those who need only the note.
func SignNote[T Statement](v T, signers ...*note.Signer) ([]byte, error) {
	msg, _, err := sign(v, signers)
	return msg, err
}

func sign[T Statement](v T, signers []*note.Signer) (msg, text []byte, err error) {
	if err := v.check(); err != nil {
		return nil, nil, err
	}
	for _, s := range signers {
		if !speaksFor(v, s.Verifier()) {
			return nil, nil, malformed("the signing key's name is not the statement's")
		}
	}
	object, err := strictjson.Marshal(v)
	if err != nil {
		return nil, nil, err
	}
	text = make([]byte, 0, len(v.typeLine())+len("\n")+len(object)+len("\n"))
	text = append(append(text, v.typeLine()...), '\n')
	text = append(append(text, object...), '\n')
	if msg, err = note.Sign(text, signers...); err != nil {
		return nil, nil, err
	}
	// What is signed must be what readers accept, size included.
	if _, err := note.Split(msg, v.policy()); err != nil {
		return nil, nil, class(err)
	}
	return msg, msg[:len(text):len(text)], nil
}

// Unverified is a statement with its form checked, not its signature: enough to learn whose key to
// use.
type Unverified[T Statement] struct {
	Value T
	msg   []byte
	split note.Unverified
}

// Read checks all of msg except the signature.
func Read[T Statement](msg []byte) (Unverified[T], error) {
	var v T
	split, err := note.Split(msg, v.policy())
	if err != nil {
		return Unverified[T]{}, class(err)
	}
	kind, rest, _ := bytes.Cut(split.Text, []byte{'\n'})
	object, end, two := bytes.Cut(rest, []byte{'\n'})
	if !two || len(end) != 0 {
		return Unverified[T]{}, malformed("a statement's text is not two lines")
	}
	if string(kind) != v.typeLine() {
		return Unverified[T]{}, malformed("the type line is not " + v.typeLine())
	}
	if err := strictjson.Unmarshal(object, &v); err != nil {
		return Unverified[T]{}, class(err)
	}
	if err := v.check(); err != nil {
		return Unverified[T]{}, err
	}
	return Unverified[T]{v, msg, split}, nil
}

// Verify checks the signatures. Every expected key that signed must have the statement's own name.
func (u Unverified[T]) Verify(verifiers ...note.Verifier) (Signed[T], error) {
	opened, err := u.split.Verify(verifiers...)
	if err != nil {
		return Signed[T]{}, class(err)
	}
	for _, signer := range opened.Signers {
		if !speaksFor(u.Value, signer) {
			return Signed[T]{}, fmt.Errorf("%w: the signing key's name is not the statement's", note.ErrUnverified)
		}
	}
	return Signed[T]{u.Value, u.msg, opened.Text, note.Digest(opened.Text), opened.Signers}, nil
}

// speaksFor reports whether a key has the name under which v speaks.
func speaksFor(v rules, key note.Verifier) bool {
	if name := v.signedBy(); name != "" {
		return key.Name() == name
	}
	return ValidVault(key.Name())
}

// KeyIDs returns the keys that the signature lines name, unverified.
func (u Unverified[T]) KeyIDs() []note.KeyID { return u.split.KeyIDs() }

// Digest returns the hex SHA-256 of the note's text.
func (u Unverified[T]) Digest() string { return note.Digest(u.split.Text) }

// Open checks all of msg: size, form, type line, JSON, fields, and a signature by one of verifiers.
func Open[T Statement](msg []byte, verifiers ...note.Verifier) (Signed[T], error) {
	u, err := Read[T](msg)
	if err != nil {
		return Signed[T]{}, err
	}
	return u.Verify(verifiers...)
}

// Peek returns the statement after checking all but the signature.
func Peek[T Statement](msg []byte) (T, error) {
	u, err := Read[T](msg)
	return u.Value, err
}

// class makes errors about form wrap [ErrMalformed] and leaves the two other classes alone.
func class(err error) error {
	if errors.Is(err, note.ErrTooLarge) || errors.Is(err, note.ErrUnverified) || errors.Is(err, ErrMalformed) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrMalformed, err)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func require(ok bool, reason string) error {
	if ok {
		return nil
	}
	return malformed(reason)
}
