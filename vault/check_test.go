package main

import (
	"strings"
	"testing"

	"nightdrop/vault/internal/control"
)

// TestCheckOnDemand: the whole ledger is checked while the vault works; of a locked one nobody can.
func TestCheckOnDemand(t *testing.T) {
	s := newSite(t)
	stop := s.serveLocked()
	if code, _ := s.command("check"); code != 3 {
		t.Errorf("locked: exit code %d", code)
	}
	var unlocked control.Unlocked
	s.json(&unlocked, "unlock", "--share", s.shares[0], "--share", s.shares[2])
	s.enrol()
	s.post(100, 200, 300)
	s.wait("approvals", func() bool { return s.sales() == 3 })
	var checked control.Checked
	if s.json(&checked, "check"); checked.Payments != 3 || checked.Entries < 10 || checked.Seconds <= 0 {
		t.Errorf("checked: %+v", checked)
	}
	if _, out := s.command("check"); !strings.HasPrefix(out, "sound: ") {
		t.Errorf("the table says %q", out)
	}
	stop()
}
