package seal_test

import (
	"bytes"
	"crypto/hpke"
	"encoding/hex"
	"errors"
	"flag"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/seal"
)

var update = flag.Bool("update", false, "write testdata/vectors")

const vectorsDir = "../../testdata/vectors"

// anna is a fixed auditor's private key.
func anna(t testing.TB) hpke.PrivateKey {
	t.Helper()
	private, err := hpke.MLKEM768X25519().NewPrivateKey(vector.Seed("anna"))
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func auditorCorpus(t testing.TB) vector.File {
	t.Helper()
	a, err := seal.NewAuditor("anna", anna(t).PublicKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	line := a.Line()
	f := vector.File{Format: "auditor", About: "An auditor's line NAME+KEYNAME+BASE64: the name, the name of its X-Wing public key, whose id is the first 4 bytes of its SHA-256, " +
		"and the raw key. The private key is X-Wing's seed, SHA-256(\"nightdrop test vector key: anna\")."}
	accepted := vector.New("anna's", vector.Accepted, "a line as it is printed", []byte(line))
	accepted.Exact = true
	f.Vectors = append(f.Vectors, accepted)
	encoded := line[strings.LastIndexByte(line[:40], '+')+1:]
	for _, bad := range []struct{ defect, line string }{
		{"nothing", ""},
		{"no name", strings.TrimPrefix(line, "anna+")},
		{"a name in upper case", "A" + line[1:]},
		{"a key name of another kind", strings.Replace(line, "auditor-", "reply-", 1)},
		{"another suite", strings.Replace(line, "-xwing+", "-x25519+", 1)},
		{"an id that is not the key's", strings.Replace(line, a.KeyName(), "auditor-00000000-xwing", 1)},
		{"a key cut", line[:len(line)-4]},
		{"base64 with spare bits", line[:len(line)-1] + "!"},
		{"a newline after it", line + "\n"},
		{"a key of zeros", "anna+" + a.KeyName() + "+" + strings.Repeat("A", len(encoded))},
	} {
		f.Vectors = append(f.Vectors, vector.New(bad.defect, vector.Malformed, bad.defect, []byte(bad.line)))
	}
	return f
}

func TestAuditorVectors(t *testing.T) {
	for _, v := range vector.Corpus(t, vectorsDir, auditorCorpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			a, err := seal.ParseAuditor(string(v.Bytes()))
			if v.Want != vector.Accepted {
				if !errors.Is(err, seal.ErrKey) {
					t.Errorf("got %v, want ErrKey: %s", err, v.Defect)
				}
				return
			}
			if err != nil || a.Line() != string(v.Bytes()) || a.Name() != "anna" {
				t.Errorf("reads as %v, %v", a, err)
			}
		})
	}
}

// TestLogKeysOpenWithTheStandardLibrary: what is wrapped opens with the private key, under the info
// of its place and no other.
func TestLogKeysOpenWithTheStandardLibrary(t *testing.T) {
	private := anna(t)
	a, err := seal.NewAuditor("anna", private.PublicKey().Bytes())
	if err != nil {
		t.Fatal(err)
	}
	key := vector.Seed("a log key")
	wrap, err := a.WrapLogKey("vault.example", 7, key)
	if err != nil || len(wrap) != seal.WrapBytes {
		t.Fatalf("%d bytes, %v", len(wrap), err)
	}
	open := func(origin string, number uint32, auditor, name string) ([]byte, error) {
		return hpke.Open(private, hpke.HKDFSHA256(), hpke.AES256GCM(), seal.LogKeyInfo(origin, number, auditor, name), wrap[seal.WrapPrefixBytes:])
	}
	if got, err := open("vault.example", 7, "anna", a.KeyName()); err != nil || !bytes.Equal(got, key) {
		t.Errorf("in its place: %x, %v", got, err)
	}
	for name, try := range map[string]func() ([]byte, error){
		"origin":   func() ([]byte, error) { return open("vault.example.com", 7, "anna", a.KeyName()) },
		"number":   func() ([]byte, error) { return open("vault.example", 8, "anna", a.KeyName()) },
		"auditor":  func() ([]byte, error) { return open("vault.example", 7, "bert", a.KeyName()) },
		"key name": func() ([]byte, error) { return open("vault.example", 7, "anna", "auditor-00000000-xwing") },
	} {
		if _, err := try(); err == nil {
			t.Errorf("it opens with another %s", name)
		}
	}
	if _, err := a.WrapLogKey("vault.example", 7, key[:31]); !errors.Is(err, seal.ErrKey) {
		t.Errorf("a log key of 31 bytes: %v", err)
	}
}

// TestLogKeyInfoBytes pins the HPKE info to bytes made by hand from PASETO's definition of PAE.
func TestLogKeyInfoBytes(t *testing.T) {
	want := "0500000000000000" + "1300000000000000" + hex.EncodeToString([]byte("nightdrop/logkey/v1")) + "0100000000000000" + hex.EncodeToString([]byte("v")) +
		"0200000000000000" + hex.EncodeToString([]byte("10")) + "0400000000000000" + hex.EncodeToString([]byte("anna")) + "0100000000000000" + hex.EncodeToString([]byte("k"))
	if got := hex.EncodeToString(seal.LogKeyInfo("v", 10, "anna", "k")); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}
