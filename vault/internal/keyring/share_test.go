package keyring

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"nightdrop/shared/redacted"
)

func TestAnyThresholdOfSharesRecoversTheSecretAndOneLessDoesNot(t *testing.T) {
	for _, c := range []struct{ k, n int }{{1, 1}, {1, 3}, {2, 3}, {3, 3}, {3, 5}, {7, 32}} {
		want, shares, err := split(testVault, c.k, c.n)
		if err != nil {
			t.Fatal(err)
		}
		for first := range c.n {
			some := make([]Share, 0, c.k)
			for i := range c.k {
				some = append(some, shares[(first+i*3)%c.n])
			}
			if c.n%3 == 0 && c.k > 1 {
				some = append(append(some[:0], shares[first:]...), shares[:first]...)[:c.k]
			}
			got, err := recombine(c.k, some)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d of %d from share %d: %v", c.k, c.n, first+1, err)
			}
			if c.k == 1 {
				continue
			}
			if _, err := recombine(c.k, some[1:]); err == nil {
				t.Fatalf("%d shares were taken for %d", c.k-1, c.k)
			}
			if got, err := recombine(c.k-1, some[1:]); err != nil || bytes.Equal(got, want) {
				t.Fatalf("%d of %d shares gave the secret: %v", c.k-1, c.k, err)
			}
		}
	}
}

func TestShareLine(t *testing.T) {
	_, shares, err := split(testVault, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	line := shares[1].Encode()
	if !bytes.HasPrefix(line, []byte("nightdrop-share-v1:vault.example.com:")) || bytes.ContainsAny(line, " \n") {
		t.Fatal("the line has not its form")
	}
	s, err := ParseShare(append([]byte("  "), append(line, "\r\n"...)...))
	if err != nil {
		t.Fatal(err)
	}
	if s.Number() != 2 || s.Vault() != testVault || *s.value != *shares[1].value || !bytes.Equal(s.Encode(), line) {
		t.Fatal("decode then encode differs")
	}
	s.Clear()
	if *s.value != [scalarBytes]byte{} {
		t.Fatal("Clear left the value")
	}
}

func TestShareLineRejections(t *testing.T) {
	_, shares, err := split(testVault, 2, 3)
	if err != nil {
		t.Fatal(err)
	}
	line := string(shares[0].Encode())
	digit := len(line) - 20
	for name, bad := range map[string]string{
		"empty":                     "",
		"other text":                "vault.example.com+0a1b2c3d+AbCd",
		"other version":             strings.Replace(line, "v1", "v2", 1),
		"a digit of the value":      line[:digit] + string('0'+(line[digit]-'0'+1)%10) + line[digit+1:],
		"another number":            strings.Replace(line, ":1:", ":2:", 1),
		"another vault":             strings.Replace(line, "vault", "fault", 1),
		"cut off":                   line[:len(line)-1],
		"a field missing":           line[:strings.LastIndexByte(line, ':')],
		"something added":           line + ":x",
		"number 0":                  string(Share{vault: testVault, sharing: shares[0].sharing, number: 0, value: shares[0].value}.Encode()),
		"number 33":                 string(Share{vault: testVault, sharing: shares[0].sharing, number: 33, value: shares[0].value}.Encode()),
		"value too long":            string(resumLine(strings.Replace(line, ":1:", ":1:00", 1))),
		"value not hex":             string(resumLine(line[:digit] + "x" + line[digit+1:])),
		"vault name of wrong form":  string(Share{vault: "Vault", sharing: shares[0].sharing, number: 1, value: shares[0].value}.Encode()),
		"sharing of another length": string(Share{vault: testVault, sharing: "0a", number: 1, value: shares[0].value}.Encode()),
		"far too long":              line + strings.Repeat("0", maxShareBytes),
	} {
		_, err := ParseShare([]byte(bad))
		if !errors.Is(err, ErrWrongShare) {
			t.Errorf("%s: %v", name, err)
		} else if value := strings.Split(line, ":")[4]; strings.Contains(err.Error(), value[8:40]) {
			t.Errorf("%s: the error repeats the value", name)
		}
	}
}

// resumLine gives an altered line a valid check.
func resumLine(line string) []byte {
	body := line[:strings.LastIndexByte(line, ':')]
	sum := sha256.Sum256([]byte(body))
	return fmt.Appendf([]byte(body), ":%x", sum[:lineCheck])
}

func FuzzShareLine(f *testing.F) {
	_, shares, err := split(testVault, 2, 3)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(shares[0].Encode())
	f.Add([]byte("nightdrop-share-v1:a.b:0011223344556677:1::"))
	f.Fuzz(func(t *testing.T, line []byte) {
		s, err := ParseShare(line)
		if err != nil {
			if !errors.Is(err, ErrWrongShare) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(bytes.ToLower(s.Encode()[:len(s.Encode())-9]), bytes.ToLower(bytes.TrimSpace(line))[:len(s.Encode())-9]) {
			t.Fatal("decode then encode differs")
		}
	})
}

func TestSecretsPrintRedacted(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	r := openVault(t, dir, h, shares)
	tick(t, r, h)
	_, b, err := r.NewBox("vault")
	if err != nil {
		t.Fatal(err)
	}
	var key *sealingKey
	for _, key = range r.opened {
		break
	}
	for _, v := range []any{shares[0], &shares[0], shares, r, b, key, r.keys.Load(), r.Signer()} {
		var out bytes.Buffer
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%p"} {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatalf("%T: %v", v, err)
		}
		out.Write(text)
		slog.New(slog.NewJSONHandler(&out, nil)).Info("", "v", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("", "v", v)
		if _, list := v.([]Share); !list && strings.Count(out.String(), redacted.Text) < 11 {
			t.Errorf("%T prints something else than [redacted]: %s", v, out.String())
		}
		for _, form := range []string{"%x", "%X", "%d", "%q"} {
			if leak := strings.Trim(fmt.Sprintf(form, shares[0].value[4:20]), "[]\""); strings.Contains(out.String(), leak) {
				t.Errorf("%T prints a share's value", v)
			}
		}
	}
}
