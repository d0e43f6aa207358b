package keyring

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"sync"

	"github.com/tink-crypto/tink-go/v2/tink"
)

// Box seals records and log entries under one random key. It is safe for concurrent use and prints
// as "[redacted]".
type Box interface {
	// Seal returns nonce (24 random bytes), ciphertext and tag (16): XAES-256-GCM. ad binds what is
	// sealed to its position; without one a record may be moved unnoticed.
	Seal(plaintext, ad []byte) []byte
	// Open returns the plaintext, which the caller clears where it is secret. It fails on anything
	// that Seal did not return with the same ad.
	Open(sealed, ad []byte) ([]byte, error)
	// MAC returns HMAC-SHA-256 of data under a key of its own, by which the box's holder compares
	// data. Callers separate domains.
	MAC(data []byte) [32]byte
}

var errBox = errors.New("the record does not open: altered, moved or of another key")

type box struct {
	secret
	aead tink.AEAD
	macs sync.Pool // of hash.Hash, keyed once
}

var _ Box = (*box)(nil)

// newBox derives a box's two keys from key, 32 bytes.
func newBox(key []byte) (*box, error) {
	sealing, err := expand(key, "box/seal")
	if err != nil {
		return nil, err
	}
	defer clear(sealing)
	macKey, err := expand(key, "box/mac")
	if err != nil {
		return nil, err
	}
	a, err := newXAES(sealing)
	if err != nil {
		return nil, err
	}
	b := &box{aead: a}
	b.macs.New = func() any { return hmac.New(sha256.New, macKey) }
	return b, nil
}

func (b *box) Seal(plaintext, ad []byte) []byte {
	sealed, err := b.aead.Encrypt(plaintext, ad)
	if err != nil {
		// Tink refuses only a plaintext of nearly the size of the address space.
		panic("keyring: seal a record: " + err.Error())
	}
	return sealed
}

func (b *box) Open(sealed, ad []byte) ([]byte, error) {
	plaintext, err := b.aead.Decrypt(sealed, ad)
	if err != nil {
		return nil, errBox
	}
	return plaintext, nil
}

func (b *box) MAC(data []byte) (sum [32]byte) {
	h := b.macs.Get().(hash.Hash)
	defer b.macs.Put(h)
	h.Reset()
	h.Write(data)
	h.Sum(sum[:0])
	return sum
}

// NewBox makes a box with a fresh random key and returns that key wrapped under the key-encryption
// key, bound to purpose ("merchant/shop-1", "log/7", "vault"). Destroying every copy of wrapped
// destroys what the box sealed. It fails with [ErrLocked].
func (r *Ring) NewBox(purpose string) (wrapped []byte, b Box, err error) {
	keys := r.keys.Load()
	if keys == nil {
		return nil, nil, ErrLocked
	}
	key := make([]byte, boxKeyBytes)
	defer clear(key)
	_, _ = rand.Read(key) // never fails (crypto/rand)
	if wrapped, err = keys.wrap.Encrypt(key, boxAD(purpose)); err != nil {
		return nil, nil, fmt.Errorf("wrap a key: %w", err)
	}
	if b, err = newBox(key); err != nil {
		return nil, nil, err
	}
	return wrapped, b, nil
}

// OpenBox unwraps what [Ring.NewBox] returned for the same purpose. It fails with [ErrLocked], or
// when wrapped is not a key of this vault and purpose.
func (r *Ring) OpenBox(purpose string, wrapped []byte) (Box, error) {
	keys := r.keys.Load()
	if keys == nil {
		return nil, ErrLocked
	}
	key, err := keys.wrap.Decrypt(wrapped, boxAD(purpose))
	if err != nil || len(key) != boxKeyBytes {
		return nil, fmt.Errorf("unwrap the key of %q: altered, or of another vault or purpose; restore the ledger from a backup", purpose)
	}
	defer clear(key)
	return newBox(key)
}

func boxAD(purpose string) []byte { return []byte("nightdrop/box/v1\x00" + purpose) }

// wrapping are the keys expanded from the key-encryption key, one per use.
type wrapping struct {
	secret
	wrap   tink.AEAD // keys of boxes
	own    tink.AEAD // the vault's secrets in vault.key
	slots  tink.AEAD // sealing keys
	stored tink.AEAD // keys of stored accounts
	// HMAC key of the headers of sealing.keys and stored.keys, which their magics separate
	table []byte
	check []byte // not a key: checks that the key-encryption key is the right one
}

// deriveWrapping derives the keys by HKDF-SHA256 (RFC 5869) of the shared secret.
func deriveWrapping(secretValue, salt []byte) (*wrapping, error) {
	kek, err := hkdf.Extract(sha256.New, secretValue, salt)
	if err != nil {
		return nil, fmt.Errorf("derive the key-encryption key: %w", err)
	}
	defer clear(kek)
	w := &wrapping{}
	for _, use := range []struct {
		label string
		to    *tink.AEAD
	}{{"wrap", &w.wrap}, {"own", &w.own}, {"slots", &w.slots}, {"stored", &w.stored}} {
		key, err := expand(kek, use.label)
		if err != nil {
			return nil, err
		}
		if *use.to, err = newXAES(key); err != nil {
			return nil, err
		}
		clear(key)
	}
	if w.table, err = expand(kek, "table"); err != nil {
		return nil, err
	}
	if w.check, err = expand(kek, "check"); err != nil {
		return nil, err
	}
	w.check = w.check[:checkBytes]
	return w, nil
}

// expand derives 32 bytes for one use.
func expand(key []byte, label string) ([]byte, error) {
	out, err := hkdf.Expand(sha256.New, key, "nightdrop/keyring/v1/"+label, boxKeyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive the %s key: %w", label, err)
	}
	return out, nil
}
