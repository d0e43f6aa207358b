package keyring

import (
	"bytes"
	stdhpke "crypto/hpke"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/seal"
)

var update = flag.Bool("update", false, "rewrite the vector of a wrapped log key")

func TestAuditorsKeyIsKept(t *testing.T) {
	a, err := NewAuditor("anna")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "anna.key")
	if err := a.Save(path); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if err := a.Save(path); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	again, err := LoadAuditor(path)
	if err != nil || again.Line() != a.Line() || again.Name() != "anna" {
		t.Errorf("read again: %v, %v", again, err)
	}
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("\ufeff"), saved...), 0o600); err != nil {
		t.Fatal(err)
	}
	if again, err := LoadAuditor(path); err != nil || again.Line() != a.Line() {
		t.Errorf("with a byte order mark: %v", err)
	}
	if text := fmt.Sprintf("%v %+v %#v", a, a, a); strings.Contains(text, "private") || !strings.Contains(text, "[redacted]") {
		t.Errorf("it prints as %s", text)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadAuditor(path); !errors.Is(err, ErrMode) {
		t.Errorf("a file that others read: %v", err)
	}
	for name, text := range map[string]string{"empty": "", "another format": `{"format":"x"}`, "a short key": `{"format":"nightdrop/auditor/v1","name":"anna","private":"AAAA"}`} {
		if err := errors.Join(os.Chmod(path, 0o600), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadAuditor(path); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := NewAuditor("An na"); !errors.Is(err, seal.ErrKey) {
		t.Errorf("a name that is none: %v", err)
	}
}

// wrapVector is a wrapped log key and an entry that is sealed under it.
type wrapVector struct {
	About   string `json:"about"`
	Origin  string `json:"origin"`
	Number  uint32 `json:"number"`
	Auditor string `json:"auditor"` // the line
	Private []byte `json:"private"` // X-Wing's seed
	Key     []byte `json:"key"`     // the log key
	Info    []byte `json:"info"`
	Wrap    []byte `json:"wrap"`
	Index   uint64 `json:"index"`
	Ad      []byte `json:"associatedData"`
	Entry   []byte `json:"sealedEntry"` // without the number of the log key before it
	Text    string `json:"text"`
}

const wrapFile = "../../../testdata/vectors/log/wrap.json"

func TestWrapVector(t *testing.T) {
	if *update {
		writeWrapVector(t)
	}
	data, err := os.ReadFile(wrapFile)
	if err != nil {
		t.Fatal(err)
	}
	var v wrapVector
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	private, err := stdhpke.MLKEM768X25519().NewPrivateKey(v.Private)
	if err != nil {
		t.Fatal(err)
	}
	a, err := auditorOf("anna", private)
	if err != nil || a.Line() != v.Auditor || !bytes.Equal(seal.LogKeyInfo(v.Origin, v.Number, "anna", a.public.KeyName()), v.Info) {
		t.Fatalf("%v, %v", a, err)
	}
	box, err := a.OpenLogKey(v.Origin, v.Number, v.Wrap)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := box.Open(v.Entry, v.Ad); err != nil || string(text) != v.Text {
		t.Errorf("the entry opens as %q, %v", text, err)
	}
	for name, try := range map[string]func() (Box, error){
		"another origin": func() (Box, error) { return a.OpenLogKey("other.example", v.Number, v.Wrap) },
		"another number": func() (Box, error) { return a.OpenLogKey(v.Origin, v.Number+1, v.Wrap) },
		"a bit":          func() (Box, error) { return a.OpenLogKey(v.Origin, v.Number, flipped(v.Wrap, 700)) },
		"the prefix":     func() (Box, error) { return a.OpenLogKey(v.Origin, v.Number, flipped(v.Wrap, 2)) },
		"cut":            func() (Box, error) { return a.OpenLogKey(v.Origin, v.Number, v.Wrap[:len(v.Wrap)-1]) },
		"nothing":        func() (Box, error) { return a.OpenLogKey(v.Origin, v.Number, nil) },
	} {
		if _, err := try(); !errors.Is(err, ErrNotYours) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func flipped(data []byte, at int) []byte {
	data = bytes.Clone(data)
	data[at] ^= 1
	return data
}

func writeWrapVector(t *testing.T) {
	t.Helper()
	private, err := stdhpke.MLKEM768X25519().NewPrivateKey(vector.Seed("anna"))
	if err != nil {
		t.Fatal(err)
	}
	a, err := auditorOf("anna", private)
	if err != nil {
		t.Fatal(err)
	}
	v := wrapVector{
		About: "A log key, wrapped for an auditor (HPKE base mode, X-Wing, HKDF-SHA256, AES-256-GCM, after Tink's prefix of 5 bytes), and an entry sealed " +
			"under it. The entry's key is HKDF-Expand-SHA256(log key, \"nightdrop/keyring/v1/box/seal\", 32); XAES-256-GCM. Wrapping is random, so the file is made once.",
		Origin: "vault.example", Number: 7, Auditor: a.Line(), Private: vector.Seed("anna"), Key: vector.Seed("a log key"), Index: 9,
		Ad:   append([]byte("nightdrop/log/v1\x00vault.example\x00"), 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 7),
		Text: `{"salt":"AAECAwQFBgcICQoLDA0ODw==","event":{"kind":"vault-locked","time":"2026-11-20T10:00:00Z","actor":"user:root","origin":"socket","body":{}}}`,
	}
	v.Info = seal.LogKeyInfo(v.Origin, v.Number, "anna", a.public.KeyName())
	if v.Wrap, err = a.public.WrapLogKey(v.Origin, v.Number, v.Key); err != nil {
		t.Fatal(err)
	}
	box, err := newBox(v.Key)
	if err != nil {
		t.Fatal(err)
	}
	v.Entry = box.Seal([]byte(v.Text), v.Ad)
	text, err := json.MarshalIndent(v, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.MkdirAll(filepath.Dir(wrapFile), 0o755), os.WriteFile(wrapFile, append(text, '\n'), 0o644)); err != nil {
		t.Fatal(err)
	}
}

func TestAnAuditorVouchesForItself(t *testing.T) {
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	a, err := NewAuditor("anna")
	check(err)
	b, err := NewAuditor("anna")
	check(err)
	path := filepath.Join(t.TempDir(), "anna.key")
	check(a.Save(path))
	loaded, err := LoadAuditor(path)
	check(err)
	mac := func(who *Auditor, kind, text string) string {
		code, err := who.Vouch(kind, []byte(text))
		check(err)
		return string(code)
	}
	code := mac(a, "state", "text")
	again := path + ".again"
	check(a.Save(again))
	if first, err := os.ReadFile(path); err != nil {
		t.Fatal(err)
	} else if second, err := os.ReadFile(again); err != nil || !bytes.Equal(first, second) {
		t.Errorf("saved twice, it is two keys (%v)", err)
	}
	if len(code) != 32 || mac(loaded, "state", "text") != code {
		t.Error("the key does not know its own code")
	}
	if mac(b, "state", "text") == code || mac(a, "kind", "text") == code || mac(a, "state", "texts") == code {
		t.Error("one code stands for two")
	}
}
