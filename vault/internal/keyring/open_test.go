package keyring

import (
	"bytes"
	stdhpke "crypto/hpke"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tink-crypto/tink-go/v2/hybrid"

	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
)

func sealed(t testing.TB, key envelope.DirectoryKey, part envelope.PartName, merchant, id, plaintext string) envelope.Part {
	t.Helper()
	p, err := seal.Seal(key.Name, key.Public, part, merchant, id, []byte(plaintext))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestOpenPart(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	r := openVault(t, dir, h, newVault(t, dir, h, 1, 1))
	tick(t, r, h)
	for _, suite := range suites() {
		day, code := current(t, r, envelope.KindDay, suite, h.wall), current(t, r, envelope.KindCode, suite, h.wall)
		account := sealed(t, day, envelope.PartAccount, testMerchant, testID, `{"account"}`)
		alter := func(f func(p *envelope.Part)) envelope.Part {
			p := envelope.Part{Key: account.Key, Sealed: bytes.Clone(account.Sealed)}
			f(&p)
			return p
		}
		raw := func(part envelope.PartName, key envelope.DirectoryKey, padded []byte) envelope.Part {
			return sealRaw(t, key, part, padded)
		}
		for _, c := range []struct {
			name     string
			part     envelope.PartName
			merchant string
			id       string
			p        envelope.Part
			want     error
		}{
			{"account", envelope.PartAccount, testMerchant, testID, account, nil},
			{"order", envelope.PartOrder, testMerchant, testID, sealed(t, day, envelope.PartOrder, testMerchant, testID, `{"account"}`), nil},
			{"code", envelope.PartCode, testMerchant, testID, sealed(t, code, envelope.PartCode, testMerchant, testID, `{"account"}`), nil},
			{"ahead of its time", envelope.PartOrder, testMerchant, testID, sealed(t, r.Directory(h.wall)[4], envelope.PartOrder, testMerchant, testID, `{"account"}`), nil},
			{"as another part", envelope.PartOrder, testMerchant, testID, account, ErrCannotOpen},
			{"of another merchant", envelope.PartAccount, "shop-2", testID, account, ErrCannotOpen},
			{"of another envelope", envelope.PartAccount, testMerchant, strings.Replace(testID, "a1", "a2", 1), account, ErrCannotOpen},
			{"day key as code", envelope.PartCode, testMerchant, testID, raw(envelope.PartCode, day, make([]byte, 256)), ErrCannotOpen},
			{"code key as account", envelope.PartAccount, testMerchant, testID, raw(envelope.PartAccount, code, make([]byte, 256)), ErrCannotOpen},
			{"as a result", envelope.PartResult, testMerchant, testID, account, ErrCannotOpen},
			{"length not padded", envelope.PartAccount, testMerchant, testID, raw(envelope.PartAccount, day, make([]byte, 255)), ErrCannotOpen},
			{"too long", envelope.PartAccount, testMerchant, testID, raw(envelope.PartAccount, day, make([]byte, 2304)), ErrCannotOpen},
			{"empty", envelope.PartAccount, testMerchant, testID, alter(func(p *envelope.Part) { p.Sealed = nil }), ErrCannotOpen},
			{"prefix altered", envelope.PartAccount, testMerchant, testID, alter(func(p *envelope.Part) { p.Sealed[4] ^= 1 }), ErrCannotOpen},
			{"encapsulation altered", envelope.PartAccount, testMerchant, testID, alter(func(p *envelope.Part) { p.Sealed[9] ^= 1 }), ErrCannotOpen},
			{"encapsulation of zeros", envelope.PartAccount, testMerchant, testID, alter(func(p *envelope.Part) { clear(p.Sealed[5 : suite.Overhead()-16]) }), ErrCannotOpen},
			{"tag altered", envelope.PartAccount, testMerchant, testID, alter(func(p *envelope.Part) { p.Sealed[len(p.Sealed)-1] ^= 1 }), ErrCannotOpen},
			{"a key there never was", envelope.PartAccount, testMerchant, testID, alter(func(p *envelope.Part) { p.Key = envelope.MakeKeyName("day", p.Key.ID()^1, suite) }), ErrKeyDead},
			{"a reply key", envelope.PartResult, testMerchant, testID, alter(func(p *envelope.Part) { p.Key = envelope.MakeKeyName("reply", p.Key.ID(), suite) }), ErrKeyDead},
			{"no key name", envelope.PartAccount, testMerchant, testID, alter(func(p *envelope.Part) { p.Key = "" }), ErrKeyDead},
		} {
			got, err := r.OpenPart(c.part, c.merchant, c.id, c.p)
			if !errors.Is(err, c.want) {
				t.Errorf("%s %s: %v, want %v", suite, c.name, err, c.want)
			}
			if c.want == nil && string(got) != `{"account"}` || c.want != nil && got != nil {
				t.Errorf("%s %s: opened %d bytes", suite, c.name, len(got))
			}
		}
	}
}

// sealRaw seals bytes as they are, by crypto/hpke, for what shared/seal refuses to make.
func sealRaw(t testing.TB, key envelope.DirectoryKey, part envelope.PartName, padded []byte) envelope.Part {
	t.Helper()
	public, err := suiteKEM(key.Suite).NewPublicKey(key.Public)
	if err != nil {
		t.Fatal(err)
	}
	ciphertext, err := stdhpke.Seal(public, stdhpke.HKDFSHA256(), stdhpke.AES256GCM(), envelope.PartInfo(part, testMerchant, testID, key.Name), padded)
	if err != nil {
		t.Fatal(err)
	}
	id := key.Name.ID()
	return envelope.Part{Key: key.Name, Sealed: append([]byte{1, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)}, ciphertext...)}
}

// Tink and crypto/hpke open each other's parts and refuse the same alterations.
func TestOpeningAgreesWithTink(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	r := openVault(t, dir, h, newVault(t, dir, h, 1, 1))
	tick(t, r, h)
	for _, suite := range suites() {
		key := current(t, r, envelope.KindDay, suite, h.wall)
		handle, _, err := r.store.keyset(r.opened[key.Name].slot)
		if err != nil {
			t.Fatal(err)
		}
		tink, err := hybrid.NewHybridDecrypt(handle)
		if err != nil {
			t.Fatal(err)
		}
		info := envelope.PartInfo(envelope.PartOrder, testMerchant, testID, key.Name)
		for i := range 64 {
			text := fmt.Appendf(nil, `{"n":"%0*d"}`, i*27, i)
			padded, err := envelope.Pad(text)
			if err != nil {
				t.Fatal(err)
			}
			p := sealed(t, key, envelope.PartOrder, testMerchant, testID, string(text))
			if i%2 == 1 {
				p = sealRaw(t, key, envelope.PartOrder, padded)
			}
			if i%4 >= 2 {
				p.Sealed[5+(i*7919)%(len(p.Sealed)-5)] ^= 1 << (i % 8)
			}
			theirs, theirErr := tink.Decrypt(p.Sealed, info)
			ours, ourErr := r.OpenPart(envelope.PartOrder, testMerchant, testID, p)
			if (theirErr == nil) != (ourErr == nil) || (ourErr == nil) != (i%4 < 2) {
				t.Fatalf("%s part %d: Tink says %v, we say %v", suite, i, theirErr, ourErr)
			}
			if ourErr == nil && (!bytes.Equal(theirs, padded) || !bytes.Equal(ours, text)) {
				t.Fatalf("%s part %d: the plaintexts differ", suite, i)
			}
		}
	}
}

func TestOpenPartWhileKeysRotate(t *testing.T) {
	h := &manualClock{wall: start}
	var mu sync.Mutex
	now := func() time.Time { mu.Lock(); defer mu.Unlock(); return h.wall }
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	r, err := Open(dir, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Unlock(shares); err != nil {
		t.Fatal(err)
	}
	tick(t, r, h)
	code := current(t, r, envelope.KindCode, envelope.SuiteX25519, h.wall)
	p := sealed(t, code, envelope.PartCode, testMerchant, testID, "{}")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for {
				got, err := r.OpenPart(envelope.PartCode, testMerchant, testID, p)
				if errors.Is(err, ErrKeyDead) {
					return
				}
				if err != nil || string(got) != "{}" {
					t.Errorf("%q %v", got, err)
					return
				}
			}
		})
	}
	for now().Before(code.Dies.Time) {
		mu.Lock()
		h.wall = h.wall.Add(time.Hour)
		mu.Unlock()
		if _, err := r.Tick(now()); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
}

// Rules on imports exempt this package from the ban on Tink's access to raw keys; only one file
// uses it.
func TestOneFileTouchesRawKeys(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 10 {
		t.Fatal("no sources found", err)
	}
	var users []string
	for _, name := range files {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range f.Imports {
			if strings.Contains(spec.Path.Value, "insecure") {
				users = append(users, name)
			}
		}
	}
	if len(users) != 1 || users[0] != "tink.go" {
		t.Fatalf("raw keys are touched in %v", users)
	}
}

// The vault opens tens of thousands of parts a minute: the overhead must stay small.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	shares, _, err := Create(dir, CreateOptions{Name: testVault, Shares: 1, Threshold: 1})
	if err != nil {
		b.Fatal(err)
	}
	r, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	if err := r.Unlock(shares); err != nil {
		b.Fatal(err)
	}
	if _, err := r.Tick(time.Now()); err != nil {
		b.Fatal(err)
	}
	for _, suite := range suites() {
		var key envelope.DirectoryKey
		for _, key = range r.Directory(time.Now()) {
			if key.Suite == suite && key.Name.Kind() == envelope.KindDay {
				break
			}
		}
		p := sealed(b, key, envelope.PartOrder, testMerchant, testID, `{"operation":"sale"}`)
		info := envelope.PartInfo(envelope.PartOrder, testMerchant, testID, key.Name)
		private := r.opened[key.Name].private
		b.Run("part/"+string(suite), func(b *testing.B) {
			for b.Loop() {
				if _, err := r.OpenPart(envelope.PartOrder, testMerchant, testID, p); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("bare/"+string(suite), func(b *testing.B) {
			for b.Loop() {
				if _, err := stdhpke.Open(private, stdhpke.HKDFSHA256(), stdhpke.AES256GCM(), info, p.Sealed[prefixBytes:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// A record of the ledger is about 300 bytes.
func BenchmarkBox(b *testing.B) {
	bx, err := newBox(make([]byte, boxKeyBytes))
	if err != nil {
		b.Fatal(err)
	}
	record, ad := make([]byte, 300), []byte("payments/shop-1/1")
	sealedRecord := bx.Seal(record, ad)
	b.Run("seal", func(b *testing.B) {
		for b.Loop() {
			bx.Seal(record, ad)
		}
	})
	b.Run("open", func(b *testing.B) {
		for b.Loop() {
			if _, err := bx.Open(sealedRecord, ad); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("mac", func(b *testing.B) {
		for b.Loop() {
			bx.MAC(record)
		}
	})
}
