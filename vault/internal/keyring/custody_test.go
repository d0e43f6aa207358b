package keyring

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestCreateNeverOverwrites(t *testing.T) {
	h := &manualClock{wall: start}
	for _, left := range []string{custodyFile, sealingFile} {
		dir := t.TempDir()
		newVault(t, dir, h, 2, 3)
		other := map[string]string{custodyFile: sealingFile, sealingFile: custodyFile}[left]
		if err := os.Remove(filepath.Join(dir, other)); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadFile(filepath.Join(dir, left))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := Create(dir, CreateOptions{Name: testVault, Shares: 3, Threshold: 2}); !errors.Is(err, ErrExists) {
			t.Errorf("create beside %s: %v", left, err)
		}
		if after, err := os.ReadFile(filepath.Join(dir, left)); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s changed: %v", left, err)
		}
	}
}

func TestCreateRefusesBadOptions(t *testing.T) {
	for name, o := range map[string]CreateOptions{
		"name":            {Name: "Not A Name", Shares: 3, Threshold: 2},
		"no threshold":    {Name: testVault, Shares: 3},
		"too few shares":  {Name: testVault, Shares: 2, Threshold: 3},
		"too many shares": {Name: testVault, Shares: 33, Threshold: 3},
	} {
		dir := filepath.Join(t.TempDir(), "vault")
		if _, _, err := Create(dir, o); err == nil {
			t.Errorf("%s: taken", name)
		}
		if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: something was written", name)
		}
	}
}

func TestCreatedFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	newVault(t, dir, &manualClock{wall: start}, 2, 3)
	for name, want := range map[string]os.FileMode{"": 0o700, custodyFile: 0o600, sealingFile: 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != want {
			t.Errorf("%q: %v %v", name, info.Mode(), err)
		}
	}
	for _, name := range []string{custodyFile, sealingFile} {
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s readable by the group: %v", name, err)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func TestUnlockNamesWhatIsWrongWithShares(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 3, 5)
	strangers, _, err := Create(t.TempDir(), CreateOptions{Name: "other.example.com", Shares: 3, Threshold: 2})
	if err != nil {
		t.Fatal(err)
	}
	namesakes := newVault(t, t.TempDir(), h, 3, 5)
	altered := shares[1]
	value := *altered.value
	value[7] ^= 1
	altered.value = &value
	sixth := shares[1]
	sixth.number = 6

	r, err := Open(dir, h.options())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, c := range []struct {
		name   string
		shares []Share
		want   error
		says   string
	}{
		{"none", nil, ErrFewShares{0, 3}, "3 more custodians"},
		{"too few", shares[:2], ErrFewShares{2, 3}, "2 of 3 shares given; 1 more"},
		{"the same twice", []Share{shares[0], shares[1], shares[0]}, ErrSameShare, "number 1"},
		{"the same twice beside enough", []Share{shares[0], shares[1], shares[2], shares[1]}, ErrSameShare, "number 2"},
		{"of another vault", []Share{shares[0], shares[1], strangers[2]}, ErrWrongShare, "share 3 belongs to vault other.example.com"},
		{"of a vault of the same name", []Share{shares[0], namesakes[1], shares[2]}, ErrWrongShare, "share 2 is of another sharing"},
		{"altered", []Share{shares[0], altered, shares[2]}, ErrWrongShare, "share 2 does not have the value"},
		{"a number there is not", []Share{shares[0], shares[2], sixth}, ErrWrongShare, "shares 1 to 5, not 6"},
	} {
		err := r.Unlock(c.shares)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", c.name, err)
		}
		if !r.Locked() || r.Signer() != nil {
			t.Fatalf("%s: unlocked", c.name)
		}
	}
	if err := r.CheckShare(altered); !errors.Is(err, ErrWrongShare) {
		t.Errorf("an altered share passes alone: %v", err)
	}
	if err := r.CheckShare(shares[4]); err != nil {
		t.Errorf("a good share fails alone: %v", err)
	}
	if err := r.Unlock([]Share{shares[4], shares[0], shares[2], shares[1]}); err != nil {
		t.Fatalf("more shares than needed: %v", err)
	}
	if err := r.Unlock(shares[:2]); !errors.Is(err, ErrFewShares{2, 3}) {
		t.Errorf("an unlocked ring takes too few shares for a confirmation: %v", err)
	}
	if err := r.Unlock(shares[:3]); err != nil {
		t.Errorf("an unlocked ring refuses good shares: %v", err)
	}
}

// resum gives an altered vault.key a valid checksum.
func resum(text []byte) []byte {
	body := text[:bytes.LastIndex(text, []byte("\n"+custodySum))+1]
	return fmt.Appendf(bytes.Clone(body), "%s%x\n", custodySum, sha256.Sum256(body))
}

func TestDamagedVaultKeyIsNamed(t *testing.T) {
	h := &manualClock{wall: start}
	origin := t.TempDir()
	shares := newVault(t, origin, h, 2, 3)
	good, err := os.ReadFile(filepath.Join(origin, custodyFile))
	if err != nil {
		t.Fatal(err)
	}
	swap := func(from, to string) func([]byte) []byte {
		return func(b []byte) []byte { return resum(bytes.Replace(b, []byte(from), []byte(to), 1)) }
	}
	signer := bytes.Index(good, []byte(`"signer":"`)) + 40
	for name, alter := range map[string]func([]byte) []byte{
		"empty":                     func([]byte) []byte { return nil },
		"cut":                       func(b []byte) []byte { return b[:len(b)-10] },
		"a bit of the header":       func(b []byte) []byte { b[60] ^= 4; return b },
		"a bit of the sealed":       func(b []byte) []byte { b[signer] ^= 1; return b },
		"something added":           func(b []byte) []byte { return append(b, '\n') },
		"other type":                func(b []byte) []byte { return resum(bytes.Replace(b, []byte("/v1"), []byte("/v2"), 1)) },
		"an unknown member":         swap(`{"header"`, `{"x":1,"header"`),
		"another vault's name":      swap(`"vault":"vault`, `"vault":"fault`),
		"threshold above shares":    swap(`"threshold":2`, `"threshold":4`),
		"threshold lowered by hand": swap(`"threshold":2`, `"threshold":1`),
		"created altered by hand":   swap(`"created":"2027`, `"created":"2026`),
		"signer altered by hand": func(b []byte) []byte {
			b[signer] = map[bool]byte{true: 'B', false: 'A'}[b[signer] == 'A']
			return resum(b)
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			bad := alter(bytes.Clone(good))
			if bytes.Equal(bad, good) {
				t.Fatal("nothing was altered")
			}
			if err := os.WriteFile(filepath.Join(dir, custodyFile), bad, 0o600); err != nil {
				t.Fatal(err)
			}
			r, err := Open(dir, h.options())
			if err == nil {
				defer r.Close()
				err = r.Unlock(shares[:2])
			}
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), custodyFile) || !strings.Contains(err.Error(), "restore it from a backup") {
				t.Fatalf("%v", err)
			}
		})
	}
}

func TestMissingVault(t *testing.T) {
	if _, err := Open(t.TempDir(), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an empty directory: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no directory: %v", err)
	}
}

func TestOneProcessAtATime(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	r := openVault(t, dir, h, shares)
	if _, err := Open(dir, h.options()); !errors.Is(err, ErrInUse) {
		t.Fatalf("a second ring on the same directory: %v", err)
	}
	if _, _, err := Create(dir, CreateOptions{Name: testVault, Shares: 1, Threshold: 1}); !errors.Is(err, ErrInUse) {
		t.Fatalf("create in a directory in use: %v", err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil {
		t.Fatal(err)
	}
	if err := r.Unlock(shares); err == nil || !r.Locked() {
		t.Fatal("a closed ring unlocks")
	}
	if _, err := r.Tick(h.wall.Add(time.Hour)); !errors.Is(err, ErrLocked) {
		t.Fatalf("a closed ring ticks: %v", err)
	}
	openVault(t, dir, h, shares)
}
