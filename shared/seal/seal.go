// Package seal seals parts to public keys, with tink-go v2: HPKE in Tink's wire format (TINK
// prefix), suites X-Wing and X25519 (specification 3). It never opens, and handles no private key.
package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"github.com/tink-crypto/tink-go/v2/hybrid"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"

	"nightdrop/shared/envelope"
	"nightdrop/shared/strictjson"
)

// Errors of sealing.
var (
	// is returned when name and raw key are not a key
	ErrKey = errors.New("not a usable public key")
	// is returned when the key's kind is not the part's
	ErrPart = errors.New("the key does not serve that part")
)

// Sealer seals parts to one public key. It is safe for concurrent use.
type Sealer struct {
	key     envelope.KeyName
	encrypt tink.HybridEncrypt
}

// NewSealer makes a [Sealer] from a key's name and raw HPKE public key (1,216 bytes for xwing, 32
// for x25519).
func NewSealer(key envelope.KeyName, public []byte) (*Sealer, error) {
	if _, err := envelope.ParseKeyName(string(key)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	encrypt, err := encrypter(key.ID(), key.Suite(), public)
	if err != nil {
		return nil, err
	}
	return &Sealer{key, encrypt}, nil
}

func encrypter(id uint32, suite envelope.Suite, public []byte) (tink.HybridEncrypt, error) {
	params, err := Parameters(suite)
	if err != nil {
		return nil, err
	}
	pub, err := hpke.NewPublicKey(public, id, params)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	manager := keyset.NewManager()
	if _, err := manager.AddKey(pub); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if err := manager.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	handle, err := manager.Handle()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	encrypt, err := hybrid.NewHybridEncrypt(handle)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return encrypt, nil
}

// Parameters returns a suite's key parameters in Tink, made by hand: X-Wing has no template there.
func Parameters(suite envelope.Suite) (*hpke.Parameters, error) {
	kem := hpke.X_WING
	if suite == envelope.SuiteX25519 {
		kem = hpke.DHKEM_X25519_HKDF_SHA256
	}
	return hpke.NewParameters(hpke.ParametersOpts{
		KEMID: kem, KDFID: hpke.HKDFSHA256, AEADID: hpke.AES256GCM, Variant: hpke.VariantTink,
	})
}

// Key returns the key's name.
func (s *Sealer) Key() envelope.KeyName { return s.key }

// Seal seals a plaintext for this part of this merchant's envelope. Order, account and code are
// padded; a result comes from [envelope.EncodeResult] with its 4,096 bytes. The caller clears
// plaintext.
func (s *Sealer) Seal(part envelope.PartName, merchant, id string, plaintext []byte) (envelope.Part, error) {
	if !s.key.Serves(part) {
		return envelope.Part{}, fmt.Errorf("%w: %s with %s", ErrPart, part, s.key)
	}
	padded := plaintext
	if part != envelope.PartResult {
		var err error
		if padded, err = envelope.Pad(plaintext); err != nil {
			return envelope.Part{}, err
		}
		defer clear(padded)
	} else if len(plaintext) != envelope.ResultBytes {
		return envelope.Part{}, fmt.Errorf("%w: a result's plaintext has %d bytes", envelope.ErrMalformed, envelope.ResultBytes)
	}
	sealed, err := s.encrypt.Encrypt(padded, envelope.PartInfo(part, merchant, id, s.key))
	if err != nil {
		return envelope.Part{}, fmt.Errorf("seal %s: %w", part, err)
	}
	return envelope.Part{Key: s.key, Sealed: sealed}, nil
}

// Seal seals one plaintext; to seal many with one key, keep a [Sealer].
func Seal(key envelope.KeyName, public []byte, part envelope.PartName, merchant, id string, plaintext []byte) (envelope.Part, error) {
	s, err := NewSealer(key, public)
	if err != nil {
		return envelope.Part{}, err
	}
	return s.Seal(part, merchant, id, plaintext)
}

// ReplyKey reads the line KEYNAME+BASE64 of a storefront's reply key. It checks that the name's id
// is the first 4 bytes of the SHA-256 of the raw public key, and that something can be sealed to
// it: a key of the right length may still be none (a point of low order, polynomials out of range),
// and a result that cannot be sealed would block those behind it.
func ReplyKey(line string) (envelope.KeyName, []byte, error) {
	name, encoded, _ := strings.Cut(line, "+")
	key, err := envelope.ParseKeyName(name)
	if err != nil || key.Kind() != envelope.KindReply {
		return "", nil, fmt.Errorf("%w: a reply key is one line, reply-ID-SUITE+BASE64", ErrKey)
	}
	public, err := strictjson.Base64([]byte(encoded))
	if err != nil || len(public) != key.Suite().PublicBytes() {
		return "", nil, fmt.Errorf("%w: a reply key's base64 is canonical and of its suite's length", ErrKey)
	}
	if ReplyKeyName(key.Suite(), public) != key {
		return "", nil, fmt.Errorf("%w: the reply key's id is not that of its public key", ErrKey)
	}
	sealer, err := NewSealer(key, public)
	if err != nil {
		return "", nil, err
	}
	if _, err := sealer.encrypt.Encrypt(nil, nil); err != nil {
		return "", nil, fmt.Errorf("%w: nothing can be sealed to the reply key", ErrKey)
	}
	return key, public, nil
}

// ReplyKeyName returns a reply key's name: its id is the first 4 bytes of the public key's SHA-256.
func ReplyKeyName(suite envelope.Suite, public []byte) envelope.KeyName {
	sum := sha256.Sum256(public)
	return envelope.MakeKeyName(envelope.KindReply, binary.BigEndian.Uint32(sum[:]), suite)
}
