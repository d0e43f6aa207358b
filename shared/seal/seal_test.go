package seal_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/tink-crypto/tink-go/v2/hybrid"
	tinkhpke "github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"

	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
)

const (
	merchant = "acme-shoes"
	id       = "0198c0de-0000-7000-8000-000000000001"
)

var suites = []envelope.Suite{envelope.SuiteXWing, envelope.SuiteX25519}

// partKey is a key pair of the standard library with the name of the kind that part needs.
func partKey(t *testing.T, part envelope.PartName, suite envelope.Suite) (envelope.KeyName, hpke.PrivateKey) {
	t.Helper()
	kind := map[envelope.PartName]envelope.Kind{
		envelope.PartOrder: envelope.KindDay, envelope.PartAccount: envelope.KindDay,
		envelope.PartCode: envelope.KindCode, envelope.PartResult: envelope.KindReply,
	}[part]
	private, err := kem(suite).GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return envelope.MakeKeyName(kind, 0x0a1b2c3d, suite), private
}

func kem(suite envelope.Suite) hpke.KEM {
	if suite == envelope.SuiteXWing {
		return hpke.MLKEM768X25519()
	}
	return hpke.DHKEM(ecdh.X25519())
}

// openStandard opens a part with crypto/hpke, as the vault does.
func openStandard(part envelope.PartName, merchant, id string, p envelope.Part, private hpke.PrivateKey) ([]byte, error) {
	info := envelope.PartInfo(part, merchant, id, p.Key)
	return hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), info, p.Sealed[5:])
}

// tinkDecrypter makes Tink's opener of a private key of the standard library.
func tinkDecrypter(t *testing.T, key envelope.KeyName, private hpke.PrivateKey) tink.HybridDecrypt {
	t.Helper()
	kemID := tinkhpke.X_WING
	if key.Suite() == envelope.SuiteX25519 {
		kemID = tinkhpke.DHKEM_X25519_HKDF_SHA256
	}
	params, err := tinkhpke.NewParameters(tinkhpke.ParametersOpts{
		KEMID: kemID, KDFID: tinkhpke.HKDFSHA256, AEADID: tinkhpke.AES256GCM, Variant: tinkhpke.VariantTink,
	})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	secret := secretdata.NewBytesFromData(raw, insecuresecretdataaccess.Token{})
	tinkKey, err := tinkhpke.NewPrivateKey(secret, key.ID(), params)
	if err != nil {
		t.Fatal(err)
	}
	manager := keyset.NewManager()
	keyID, err := manager.AddKey(tinkKey)
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.SetPrimary(keyID); err != nil {
		t.Fatal(err)
	}
	handle, err := manager.Handle()
	if err != nil {
		t.Fatal(err)
	}
	opener, err := hybrid.NewHybridDecrypt(handle)
	if err != nil {
		t.Fatal(err)
	}
	return opener
}

func plaintextOf(part envelope.PartName) []byte {
	if part == envelope.PartResult {
		return bytes.Repeat([]byte("r"), envelope.ResultBytes)
	}
	return []byte(`{"code":"123"}`)
}

var parts = []envelope.PartName{envelope.PartOrder, envelope.PartAccount, envelope.PartCode, envelope.PartResult}

// TestTinkAndStandardLibraryOpenEachOther: both libraries seal, both open, for every suite and
// part.
func TestTinkAndStandardLibraryOpenEachOther(t *testing.T) {
	for _, suite := range suites {
		for _, part := range parts {
			t.Run(string(suite)+"/"+string(part), func(t *testing.T) {
				key, private := partKey(t, part, suite)
				plaintext := plaintextOf(part)
				padded := plaintext
				if part != envelope.PartResult {
					padded, _ = envelope.Pad(plaintext)
				}
				byTink, err := seal.Seal(key, private.PublicKey().Bytes(), part, merchant, id, plaintext)
				if err != nil {
					t.Fatal(err)
				}
				info := envelope.PartInfo(part, merchant, id, key)
				raw, err := hpke.Seal(private.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), info, padded)
				if err != nil {
					t.Fatal(err)
				}
				prefix := binary.BigEndian.AppendUint32([]byte{1}, key.ID())
				byStandard := envelope.Part{Key: key, Sealed: append(prefix, raw...)}
				opener := tinkDecrypter(t, key, private)
				for name, p := range map[string]envelope.Part{"tink": byTink, "crypto/hpke": byStandard} {
					if err := p.CheckForm(part); err != nil {
						t.Errorf("the part of %s has not the form of a sealed part: %v", name, err)
					}
					got, err := openStandard(part, merchant, id, p, private)
					if err != nil || !bytes.Equal(got, padded) {
						t.Errorf("crypto/hpke does not open the part of %s: %v", name, err)
					}
					got, err = opener.Decrypt(p.Sealed, info)
					if err != nil || !bytes.Equal(got, padded) {
						t.Errorf("tink does not open the part of %s: %v", name, err)
					}
				}
			})
		}
	}
}

// TestPartOpensOnlyInItsPlace: a part moved to another envelope, merchant, part or key name does
// not open.
func TestPartOpensOnlyInItsPlace(t *testing.T) {
	const otherID = "0198c0de-0000-7000-8000-000000000002"
	for _, suite := range suites {
		key, private := partKey(t, envelope.PartOrder, suite)
		p, err := seal.Seal(key, private.PublicKey().Bytes(), envelope.PartOrder, merchant, id, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		renamed := envelope.Part{Key: envelope.MakeKeyName(envelope.KindDay, 0x0a1b2c3e, suite), Sealed: p.Sealed}
		if _, err := openStandard(envelope.PartOrder, merchant, id, p, private); err != nil {
			t.Fatalf("%s: the part does not open in its own place: %v", suite, err)
		}
		for name, open := range map[string]func() ([]byte, error){
			"other envelope": func() ([]byte, error) { return openStandard(envelope.PartOrder, merchant, otherID, p, private) },
			"other merchant": func() ([]byte, error) { return openStandard(envelope.PartOrder, "other-shop", id, p, private) },
			"other part":     func() ([]byte, error) { return openStandard(envelope.PartAccount, merchant, id, p, private) },
			"other key name": func() ([]byte, error) { return openStandard(envelope.PartOrder, merchant, id, renamed, private) },
		} {
			if _, err := open(); err == nil {
				t.Errorf("%s: a part opened in the place of an %s", suite, name)
			}
		}
	}
}

func TestSealRefuses(t *testing.T) {
	key, private := partKey(t, envelope.PartOrder, envelope.SuiteX25519)
	public := private.PublicKey().Bytes()
	reply, replyPrivate := partKey(t, envelope.PartResult, envelope.SuiteX25519)
	for name, c := range map[string]struct {
		err  error
		seal func() (envelope.Part, error)
	}{
		"a key name of no form": {seal.ErrKey, func() (envelope.Part, error) {
			return seal.Seal("day-1-x25519", public, envelope.PartOrder, merchant, id, nil)
		}},
		"a public key of another length": {seal.ErrKey, func() (envelope.Part, error) {
			return seal.Seal(key, public[1:], envelope.PartOrder, merchant, id, nil)
		}},
		"a code with a day key": {seal.ErrPart, func() (envelope.Part, error) {
			return seal.Seal(key, public, envelope.PartCode, merchant, id, nil)
		}},
		"a result with a day key": {seal.ErrPart, func() (envelope.Part, error) {
			return seal.Seal(key, public, envelope.PartResult, merchant, id, make([]byte, envelope.ResultBytes))
		}},
		"an order over 2,048 bytes": {envelope.ErrMalformed, func() (envelope.Part, error) {
			return seal.Seal(key, public, envelope.PartOrder, merchant, id, make([]byte, envelope.MaxPadded+1))
		}},
		"a result of another length": {envelope.ErrMalformed, func() (envelope.Part, error) {
			return seal.Seal(reply, replyPrivate.PublicKey().Bytes(), envelope.PartResult, merchant, id, make([]byte, 256))
		}},
	} {
		if _, err := c.seal(); !errors.Is(err, c.err) {
			t.Errorf("%s: got %v, want %v", name, err, c.err)
		}
	}
}

func TestReplyKey(t *testing.T) {
	for _, suite := range suites {
		private, err := kem(suite).GenerateKey()
		if err != nil {
			t.Fatal(err)
		}
		public := private.PublicKey().Bytes()
		name := seal.ReplyKeyName(suite, public)
		encoded := base64.StdEncoding.EncodeToString(public)
		got, raw, err := seal.ReplyKey(string(name) + "+" + encoded)
		if err != nil || got != name || !bytes.Equal(raw, public) {
			t.Errorf("%s: a good reply key is refused: %v", suite, err)
		}
		for defect, line := range map[string]string{
			"no base64":             string(name),
			"another id":            string(envelope.MakeKeyName(envelope.KindReply, name.ID()+1, suite)) + "+" + encoded,
			"a day key":             string(envelope.MakeKeyName(envelope.KindDay, name.ID(), suite)) + "+" + encoded,
			"a short public key":    string(name) + "+" + base64.StdEncoding.EncodeToString(public[1:]),
			"base64 with a newline": string(name) + "+" + encoded + "\n",
		} {
			if _, _, err := seal.ReplyKey(line); !errors.Is(err, seal.ErrKey) {
				t.Errorf("%s: %s: got %v, want ErrKey", suite, defect, err)
			}
		}
	}
}

// A merchant could enrol a key of the right form that nothing can be sealed to, and so block every
// result behind its own.
func TestReplyKeyThatTakesNothingIsRefused(t *testing.T) {
	for defect, key := range map[string]struct {
		suite  envelope.Suite
		public []byte
	}{
		"a point of low order":               {envelope.SuiteX25519, make([]byte, 32)},
		"polynomials out of range":           {envelope.SuiteXWing, bytes.Repeat([]byte{0xff}, 1216)},
		"a point of low order in the hybrid": {envelope.SuiteXWing, make([]byte, 1216)},
	} {
		line := string(seal.ReplyKeyName(key.suite, key.public)) + "+" + base64.StdEncoding.EncodeToString(key.public)
		if _, _, err := seal.ReplyKey(line); !errors.Is(err, seal.ErrKey) {
			t.Errorf("%s: got %v, want ErrKey", defect, err)
		}
	}
}
