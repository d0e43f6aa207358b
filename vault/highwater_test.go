package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// TestDamagedMarkIsMendedByTheJournal: where the journal shows that the ledger is the newest, a
// high-water mark that does not open is written anew by itself, and the log reports it.
func TestDamagedMarkIsMendedByTheJournal(t *testing.T) {
	s := newSite(t)
	s.serve()()
	path := filepath.Join(s.dir, settings.LedgerFile+".high-water")
	mark, err := os.ReadFile(path)
	s.must(err)
	mark[len(mark)/2] ^= 1
	s.must(os.WriteFile(path, mark, 0o600))
	stop := s.serve()
	var status control.Status
	s.json(&status, "status")
	if n := status.Findings[book.FindingMarkMended]; n != 1 {
		t.Errorf("the log tells of the mark %d times", n)
	}
	if now, err := os.ReadFile(path); err != nil || bytes.Equal(now, mark) {
		t.Errorf("the mark is as it was (%v)", err)
	}
	stop()
	stop = s.serve()
	s.json(&status, "status")
	if n := status.Findings[book.FindingMarkMended]; n != 1 {
		t.Errorf("after another unlock the log tells of the mark %d times", n)
	}
	stop()
	s.checkLedger()
}
