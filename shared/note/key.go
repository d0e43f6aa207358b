package note

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"nightdrop/shared/redacted"
	"nightdrop/shared/strictjson"
)

// algorithmEd25519 is the algorithm byte of a plain Ed25519 key (C2SP signed-note).
const algorithmEd25519 = 0x01

// maxNameBytes is the length of the longest vault name, a DNS name.
const maxNameBytes = 253

// ErrKey is wrapped by errors about a vkey or a private key line that cannot be read.
var ErrKey = errors.New("not a key of this format")

// Verifier is a public key with its name: a vkey. Comparable; the zero value verifies nothing.
type Verifier struct {
	name string
	hash uint32
	key  [ed25519.PublicKeySize]byte
}

// NewVerifier names a public key: 1 to 253 bytes of UTF-8 without white space, controls or '+'.
func NewVerifier(name string, pub ed25519.PublicKey) (Verifier, error) {
	if !validName(name) {
		return Verifier{}, fmt.Errorf("%w: the name is empty, too long, or has a space or a plus", ErrKey)
	}
	if len(pub) != ed25519.PublicKeySize {
		return Verifier{}, fmt.Errorf("%w: an Ed25519 public key has 32 bytes", ErrKey)
	}
	v := Verifier{name: name, key: [ed25519.PublicKeySize]byte(pub)}
	v.hash = keyHash(name, pub)
	return v, nil
}

// ParseVerifier reads a vkey, "name+hash+base64", whose lower-case hash must be that of name and
// key.
func ParseVerifier(vkey string) (Verifier, error) {
	name, rest, _ := strings.Cut(vkey, "+")
	hash, encoded, ok := strings.Cut(rest, "+")
	if !ok {
		return Verifier{}, fmt.Errorf("%w: a vkey is name+hash+base64", ErrKey)
	}
	raw, err := strictjson.Base64([]byte(encoded))
	if err != nil || len(raw) != 1+ed25519.PublicKeySize || raw[0] != algorithmEd25519 {
		return Verifier{}, fmt.Errorf("%w: a vkey ends in the canonical base64 of 0x01 and 32 bytes", ErrKey)
	}
	v, err := NewVerifier(name, raw[1:])
	if err != nil {
		return Verifier{}, err
	}
	if v.HashHex() != hash {
		return Verifier{}, fmt.Errorf("%w: the vkey's hash is not that of its name and key", ErrKey)
	}
	return v, nil
}

// Name returns the key's name.
func (v Verifier) Name() string { return v.name }

// Hash returns the first 4 bytes, big endian, of SHA-256(name, 0x0A, 0x01, public key).
func (v Verifier) Hash() uint32 { return v.hash }

// HashHex returns Hash as 8 lower-case hex digits, as in a vkey and in a JWT's kid.
func (v Verifier) HashHex() string { return fmt.Sprintf("%08x", v.hash) }

// ID returns the name and hash by which signature lines name the key.
func (v Verifier) ID() KeyID { return KeyID{v.name, v.hash} }

// Public returns a copy of the public key.
func (v Verifier) Public() ed25519.PublicKey { return bytes.Clone(v.key[:]) }

// IsZero reports whether v is the zero value.
func (v Verifier) IsZero() bool { return v == Verifier{} }

// String returns the vkey, the line that readers pin; "" for the zero value.
func (v Verifier) String() string {
	if v.IsZero() {
		return ""
	}
	raw := append([]byte{algorithmEd25519}, v.key[:]...)
	return v.name + "+" + v.HashHex() + "+" + base64.StdEncoding.EncodeToString(raw)
}

// MarshalText returns the vkey, and an error for the zero value.
func (v Verifier) MarshalText() ([]byte, error) {
	if v.IsZero() {
		return nil, fmt.Errorf("%w: the verifier is not set", ErrKey)
	}
	return []byte(v.String()), nil
}

// UnmarshalText reads a vkey as ParseVerifier does.
func (v *Verifier) UnmarshalText(text []byte) (err error) {
	*v, err = ParseVerifier(string(text))
	return err
}

// verify reports whether sig is the key's signature of text.
func (v Verifier) verify(text, sig []byte) bool {
	return !v.IsZero() && ed25519.Verify(v.key[:], text, sig)
}

// Signer is a private key with its name. It prints as [redacted] and is safe for concurrent use.
// Its holder can speak under its name: keep it in one process and its file at mode 0600.
type Signer struct {
	redacted.Secret
	verifier Verifier
	key      ed25519.PrivateKey
}

// GenerateSigner makes a new key under name.
func GenerateSigner(name string) (*Signer, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("generate the key: %w", err)
	}
	return NewSigner(name, key)
}

// NewSigner names a private key, which it copies.
func NewSigner(name string, key ed25519.PrivateKey) (*Signer, error) {
	if len(key) != ed25519.PrivateKeySize {
		return nil, fmt.Errorf("%w: an Ed25519 private key has 64 bytes", ErrKey)
	}
	v, err := NewVerifier(name, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	return &Signer{verifier: v, key: bytes.Clone(key)}, nil
}

// ParseSigner reads "PRIVATE+KEY+name+hash+base64" (golang.org/x/mod/sumdb/note). Errors never
// quote it.
func ParseSigner(skey string) (*Signer, error) {
	fields := strings.Split(skey, "+")
	if len(fields) < 5 || fields[0] != "PRIVATE" || fields[1] != "KEY" {
		return nil, fmt.Errorf("%w: a private key line is PRIVATE+KEY+name+hash+base64", ErrKey)
	}
	// base64 may hold plus signs itself.
	raw, err := strictjson.Base64([]byte(strings.Join(fields[4:], "+")))
	if err != nil || len(raw) != 1+ed25519.SeedSize || raw[0] != algorithmEd25519 {
		return nil, fmt.Errorf("%w: a private key line ends in the canonical base64 of 0x01 and 32 bytes", ErrKey)
	}
	defer clear(raw)
	s, err := NewSigner(fields[2], ed25519.NewKeyFromSeed(raw[1:]))
	if err != nil {
		return nil, err
	}
	if s.verifier.HashHex() != fields[3] {
		return nil, fmt.Errorf("%w: the private key line's hash is not that of its name and key", ErrKey)
	}
	return s, nil
}

// Encode returns the line that [ParseSigner] reads, without newline, for a file of mode 0600. Clear
// it.
func (s *Signer) Encode() []byte {
	raw := append([]byte{algorithmEd25519}, s.key.Seed()...)
	defer clear(raw)
	line := []byte("PRIVATE+KEY+" + s.verifier.name + "+" + s.verifier.HashHex() + "+")
	return base64.StdEncoding.AppendEncode(line, raw)
}

// Verifier returns the key's public half.
func (s *Signer) Verifier() Verifier { return s.verifier }

// Name returns the key's name.
func (s *Signer) Name() string { return s.verifier.name }

// PrivateKey returns the key, for signing JWTs only. The caller must not keep, print or write it.
func (s *Signer) PrivateKey() ed25519.PrivateKey { return s.key }

func keyHash(name string, pub []byte) uint32 {
	h := sha256.New()
	h.Write([]byte(name))
	h.Write([]byte{'\n', algorithmEd25519})
	h.Write(pub)
	return binary.BigEndian.Uint32(h.Sum(nil))
}

func validName(name string) bool {
	return name != "" && len(name) <= maxNameBytes && utf8.ValidString(name) &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '+' || unicode.IsSpace(r) || unicode.IsControl(r) })
}

// Digest returns the lower-case hex SHA-256 of a note's text, the note's digest everywhere.
func Digest(text []byte) string {
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}
