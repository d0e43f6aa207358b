package keyring

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha3"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"sync"
	"testing"
)

// The vectors of c2sp.org/XAES-256-GCM. Ours puts the nonce before the ciphertext.
func TestXAESVectors(t *testing.T) {
	nonce := []byte("ABCDEFGHIJKLMNOPQRSTUVWX")
	for _, c := range []struct {
		key          byte
		ad, expected string
	}{
		{0x01, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"},
		{0x03, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"},
	} {
		a, err := newXAES(bytes.Repeat([]byte{c.key}, 32))
		if err != nil {
			t.Fatal(err)
		}
		sealed, err := hex.DecodeString(c.expected)
		if err != nil {
			t.Fatal(err)
		}
		got, err := a.Decrypt(append(bytes.Clone(nonce), sealed...), []byte(c.ad))
		if err != nil || string(got) != "XAES-256-GCM" {
			t.Errorf("key %x: %q %v", c.key, got, err)
		}
	}
}

// seal256 is XAES-256-GCM from its specification, with a given nonce.
func seal256(key, nonce, plaintext, ad []byte) []byte {
	outer, _ := aes.NewCipher(key)
	var k1 [16]byte
	outer.Encrypt(k1[:], k1[:])
	msb := byte(0)
	for i := 15; i >= 0; i-- {
		k1[i], msb = k1[i]<<1|msb, k1[i]>>7
	}
	k1[15] ^= msb * 0b10000111
	var derived [32]byte
	for i := range 2 {
		m := append([]byte{0, byte(i + 1), 'X', 0}, nonce[:12]...)
		subtle.XORBytes(m, m, k1[:])
		outer.Encrypt(derived[16*i:], m)
	}
	inner, _ := aes.NewCipher(derived[:])
	gcm, _ := cipher.NewGCM(inner)
	return gcm.Seal(nil, nonce[12:], plaintext, ad)
}

// The accumulated vector of c2sp.org/XAES-256-GCM: 10,000 inputs drawn from SHAKE128.
func TestXAESAccumulated(t *testing.T) {
	draw, sum := sha3.NewSHAKE128(), sha3.NewSHAKE128()
	read := func(n int) []byte {
		b := make([]byte, n)
		_, _ = draw.Read(b)
		return b
	}
	for i := range 10_000 {
		key, nonce := read(32), read(24)
		plaintext := read(int(read(1)[0]))
		ad := read(int(read(1)[0]))
		sealed := seal256(key, nonce, plaintext, ad)
		_, _ = sum.Write(sealed)
		if i%20 != 0 {
			continue
		}
		a, err := newXAES(key)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.Decrypt(append(nonce, sealed...), ad); err != nil || !bytes.Equal(got, plaintext) {
			t.Fatalf("input %d: %v", i, err)
		}
	}
	got := make([]byte, 32)
	_, _ = sum.Read(got)
	if hex.EncodeToString(got) != "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939" {
		t.Errorf("the accumulated hash is %x", got)
	}
}

func TestBoxOpensOnlyWhatAndWhereItSealed(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 2, 3)
	r := openVault(t, dir, h, shares[:2])
	_, b, err := r.NewBox("merchant/shop-1")
	if err != nil {
		t.Fatal(err)
	}
	_, other, err := r.NewBox("merchant/shop-1")
	if err != nil {
		t.Fatal(err)
	}
	sealed := b.Seal([]byte("a record"), []byte("payments/1"))
	if bytes.Equal(sealed, b.Seal([]byte("a record"), []byte("payments/1"))) {
		t.Error("two seals are equal: the nonce is not fresh")
	}
	altered := bytes.Clone(sealed)
	altered[30] ^= 1
	for name, open := range map[string]func() ([]byte, error){
		"another place": func() ([]byte, error) { return b.Open(sealed, []byte("payments/2")) },
		"another box":   func() ([]byte, error) { return other.Open(sealed, []byte("payments/1")) },
		"altered":       func() ([]byte, error) { return b.Open(altered, []byte("payments/1")) },
		"cut":           func() ([]byte, error) { return b.Open(sealed[:39], []byte("payments/1")) },
		"empty":         func() ([]byte, error) { return b.Open(nil, []byte("payments/1")) },
	} {
		if got, err := open(); err == nil || got != nil {
			t.Errorf("%s: opened", name)
		}
	}
	sum := b.MAC([]byte("x"))
	if sum != b.MAC([]byte("x")) || sum == b.MAC([]byte("y")) || sum == other.MAC([]byte("x")) {
		t.Error("MAC is not a keyed function of its data")
	}
}

func TestWrappedKeyOpensAfterARestartForItsPurpose(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 2, 3)
	r := openVault(t, dir, h, shares[:2])
	wrapped, b, err := r.NewBox("merchant/shop-1")
	if err != nil {
		t.Fatal(err)
	}
	sealed := b.Seal([]byte("a record"), []byte("payments/1"))
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.OpenBox("merchant/shop-1", wrapped); !errors.Is(err, ErrLocked) {
		t.Errorf("a closed ring unwraps: %v", err)
	}
	r = openVault(t, dir, h, shares[1:])
	again, err := r.OpenBox("merchant/shop-1", wrapped)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := again.Open(sealed, []byte("payments/1")); err != nil || string(got) != "a record" {
		t.Errorf("after a restart: %v", err)
	}
	if again.MAC([]byte("x")) != b.MAC([]byte("x")) {
		t.Error("MAC differs after a restart")
	}
	if _, err := r.OpenBox("merchant/shop-2", wrapped); err == nil {
		t.Error("a wrapped key opens for another purpose")
	}
	if _, err := r.OpenBox("merchant/shop-1", append(bytes.Clone(wrapped), 0)); err == nil {
		t.Error("an altered wrapped key opens")
	}
	strange := t.TempDir()
	if _, err := openVault(t, strange, h, newVault(t, strange, h, 1, 1)).OpenBox("merchant/shop-1", wrapped); err == nil {
		t.Error("another vault unwraps the key")
	}
}

func TestBoxIsSafeForConcurrentUse(t *testing.T) {
	b, err := newBox(make([]byte, boxKeyBytes))
	if err != nil {
		t.Fatal(err)
	}
	want := b.MAC([]byte("same"))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 100 {
				got, err := b.Open(b.Seal([]byte("x"), nil), nil)
				if err != nil || string(got) != "x" || b.MAC([]byte("same")) != want {
					t.Error("concurrent use gives another answer")
					return
				}
			}
		})
	}
	wg.Wait()
}
