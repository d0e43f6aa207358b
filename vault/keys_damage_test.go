package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// Where slots of sealing.keys begin, and how far apart the two copies of one stand
// (vault/internal/keyring).
const (
	pageOfKeys   = 4096
	slotsOfKeys  = 2 * 5 * pageOfKeys
	secondOfKeys = 512 * pageOfKeys
)

// flip alters one bit of a file of the vault's directory at each place.
func (s *site) flip(name string, places ...int) {
	s.t.Helper()
	path := filepath.Join(s.dir, name)
	content, err := os.ReadFile(path)
	s.must(err)
	for _, at := range places {
		content[at] ^= 1
	}
	s.must(os.WriteFile(path, content, 0o600))
}

// TestOneFlippedBitInSealingKeys: one bit costs nothing and is told; one in each copy of a key
// costs that key, and the vault goes on selling.
func TestOneFlippedBitInSealingKeys(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	var before []control.Key
	s.json(&before, "key", "list")
	stop()

	s.flip("sealing.keys", slotsOfKeys+60)
	stop = s.serve()
	var st control.Status
	if s.json(&st, "status"); st.Findings[book.FindingKeyMended] != 1 || st.Findings[book.FindingKeyLost] != 0 {
		t.Errorf("after one bit: findings %v", st.Findings)
	}
	stop()

	s.flip("sealing.keys", slotsOfKeys+60, slotsOfKeys+secondOfKeys+61)
	stop = s.serve()
	var after []control.Key
	s.json(&after, "key", "list")
	if s.json(&st, "status"); st.Findings[book.FindingKeyMended] != 1 || st.Findings[book.FindingKeyLost] != 1 {
		t.Errorf("after one bit in each copy: findings %v", st.Findings)
	}
	if len(after) != len(before) {
		t.Errorf("%d keys are published, before it were %d", len(after), len(before))
	}
	s.post(1250)
	s.wait("a payment", func() bool { s.json(&st, "status"); return st.Open[book.MethodCard] == 1 })
	stop()
	// It is told once.
	s.serve()()
	told := s.readLog()
	lost := told.find(book.FindingKeyLost)
	if len(lost) != 1 {
		t.Fatalf("the log tells of %+v", lost)
	}
	if detail := lost[0].Body.(book.IntegrityFound).Detail; !strings.HasPrefix(detail, "sealing.keys: day-") && !strings.HasPrefix(detail, "sealing.keys: code-") {
		t.Errorf("it names %q", detail)
	}
	s.checkLedger()
}

// TestKeyFilesOfANewerVersionAreRefused: by name, and untouched.
func TestKeyFilesOfANewerVersionAreRefused(t *testing.T) {
	for name, header := range map[string]int{"sealing.keys": slotsOfKeys / 2, "stored.keys": pageOfKeys} {
		s := newSite(t)
		path := filepath.Join(s.dir, name)
		content, err := os.ReadFile(path)
		s.must(err)
		content[bytes.IndexByte(content, 0)-1] = '9'
		content[header+bytes.IndexByte(content[header:], 0)-1] = '9'
		s.must(os.WriteFile(path, content, 0o600))
		stop := s.serveLocked()
		var said bytes.Buffer
		code := run(t.Context(), []string{"unlock", "--dir", s.dir, "--share", s.shares[0], "--share", s.shares[1]},
			console{in: strings.NewReader(""), out: io.Discard, errOut: &said, now: time.Now})
		if code == 0 || !strings.Contains(said.String(), name) || !strings.Contains(said.String(), "/v9: a newer version of the vault wrote it") {
			t.Errorf("%s of a newer version: exit code %d, %s", name, code, &said)
		}
		stop()
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, content) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
}
