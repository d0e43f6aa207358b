package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// loseJournal deletes what the channel holds of the journal, as whoever owns the relay's host can.
func (s *site) loseJournal() {
	s.t.Helper()
	s.must(s.broker.Close(context.Background()))
	found, err := filepath.Glob(filepath.Join(s.channel.Dir, "jetstream", "*", "streams", "JOURNAL", "msgs", "*"))
	s.must(err)
	if len(found) == 0 {
		s.t.Fatal("the channel has no journal")
	}
	for _, file := range found {
		s.must(os.RemoveAll(file))
	}
	s.runBroker()
}

// inBoth has the journal in the channel and in a directory, and returns that.
func (s *site) inBoth() (dir string) {
	s.t.Helper()
	dir = s.t.TempDir()
	s.configure(map[string]string{`place = "channel"`: `place = "both"`, "directory = \"\"\n": fmt.Sprintf("directory = %q\n", dir)})
	return dir
}

func (s *site) sales() (n int) {
	s.t.Helper()
	var payments []control.Payment
	s.json(&payments, "payment", "list")
	for _, p := range payments {
		if p.Status == book.StageApproved {
			n++
		}
	}
	return n
}

// TestOldCopyWithoutItsJournal: with an old copy of the vault's directory and the journal gone, the
// unlock is no way to have a sale charged twice: nothing is taken or sent before custodians say
// that the ledger is the newest.
func TestOldCopyWithoutItsJournal(t *testing.T) {
	for name, lose := range map[string]func(*site, string){
		settings.OnChannel:   func(s *site, _ string) { s.loseJournal() },
		settings.InDirectory: func(s *site, dir string) { s.must(os.RemoveAll(filepath.Join(dir, "generation-1"))) },
		settings.InBoth: func(s *site, dir string) {
			s.loseJournal()
			s.must(os.RemoveAll(filepath.Join(dir, "generation-1")))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			dir := ""
			switch name {
			case settings.InDirectory:
				dir = t.TempDir()
				s.configure(map[string]string{`place = "channel"`: `place = "directory"`, "directory = \"\"\n": fmt.Sprintf("directory = %q\n", dir)})
			case settings.InBoth:
				dir = s.inBoth()
			}
			stop := s.serve()
			s.enrol()
			stop()
			s.serve()() // its head knows now what was journalled
			older := s.snapshot()
			stop = s.serve()
			s.post(1999)
			s.wait("an approval", func() bool { return s.sales() == 1 })
			stop()
			s.restore(older)
			lose(s, dir)
			stop = s.serve()
			var st control.Status
			s.wait("the doubt", func() bool {
				s.json(&st, "status")
				return st.Findings[book.FindingJournalDoubted] > 0
			})
			if st.Ready.Journal || !strings.Contains(st.Journal, "--confirm-ledger") || !strings.Contains(st.Journal, "bags wait") {
				t.Errorf("status: %s", st.Journal)
			}
			for _, p := range st.Journals {
				if p.Problem == "" {
					t.Errorf("the %s is in order: %+v", p.Place, p)
				}
			}
			if n := s.sales(); n != 0 || s.acquirer.Statement().Charged != 1 {
				t.Errorf("%d sales here, %d at the acquirer", n, s.acquirer.Statement().Charged)
			}
			var unlocked control.Unlocked
			s.json(&unlocked, "unlock", "--confirm-ledger", "--share", s.shares[1], "--share", s.shares[2], "--reason", "the acquirer has nothing later")
			if !unlocked.LedgerConfirmed {
				t.Errorf("%+v", unlocked)
			}
			s.wait("the journal to be in order", func() bool {
				s.json(&st, "status")
				return strings.HasPrefix(st.Journal, "ready") && !strings.Contains(st.Journal, "wait")
			})
			stop()
			told := s.readLog()
			confirmed := told.find(book.FindingLedgerConfirmed)
			if len(confirmed) != max(1, len(st.Journals)) || !strings.Contains(confirmed[0].Body.(book.IntegrityFound).Detail, "by shares [2 3]") ||
				confirmed[0].Purpose != "the acquirer has nothing later" {
				t.Errorf("the log tells %+v", confirmed)
			}
			s.serve()()
			s.checkLedger()
		})
	}
}

// TestStoredAccountsAfterAnUnlockWithoutTheJournal: what was left undone while the journal was away
// is done when it is back, and no order of a shop's ends the daemon meanwhile.
func TestStoredAccountsAfterAnUnlockWithoutTheJournal(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	var merchant control.Merchant
	s.json(&merchant, "merchant", "policy", "shop-1", "--storage", "on", "--reason", "a test")
	stop()
	s.must(s.broker.Close(t.Context()))
	stop = s.serve()
	var st control.Status
	if s.json(&st, "status"); !strings.Contains(st.Journal, "bags wait in the channel until the journal shows") {
		t.Errorf("status without the channel: %s", st.Journal)
	}
	s.runBroker()
	account := `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`
	s.send(draft{order: `{"operation":"store","reference":"keep"}`, account: account})
	var payments []control.Payment
	stored := func() bool {
		s.json(&payments, "payment", "list", "--status", string(book.StageDone))
		return len(payments) == 1
	}
	s.wait("the account to be stored", stored)
	s.send(draft{order: fmt.Sprintf(`{"operation":"forget","reference":"drop","token":%q}`, payments[0].Token)})
	s.wait("the account to be forgotten", func() bool {
		s.json(&payments, "payment", "list", "--status", string(book.StageDone))
		return len(payments) == 2
	})
	// A connection to a broker that has just begun may be lost once more.
	s.wait("the journal to be in order", func() bool {
		s.json(&st, "status")
		return st.Ready.Journal && strings.HasPrefix(st.Journal, "ready") && !strings.Contains(st.Journal, "wait")
	})
	stop()
	s.checkLedger()
}

// TestWhatIsForeignInTheJournalEndsByItself: once somebody has cleared it away, the vault goes on
// without a restart.
func TestWhatIsForeignInTheJournalEndsByItself(t *testing.T) {
	s := newSite(t)
	dir := s.inBoth()
	s.serve()()
	segment := filepath.Join(dir, "generation-1", "99999999.seg")
	other := newSite(t)
	theirs := other.inBoth()
	other.serve()()
	found, err := filepath.Glob(filepath.Join(theirs, "generation-1", "*.seg"))
	s.must(err)
	data, err := os.ReadFile(found[len(found)-1])
	s.must(err)
	s.must(os.WriteFile(segment, data, 0o600))
	stop := s.serve()
	var st control.Status
	if s.json(&st, "status"); st.Ready.Journal || !strings.Contains(st.Journal, "did not write") || !strings.Contains(st.Journal, "bags wait") {
		t.Errorf("status: %s", st.Journal)
	}
	s.must(os.Remove(segment))
	s.wait("the journal to be in order", func() bool {
		s.json(&st, "status")
		return strings.HasPrefix(st.Journal, "ready") && !strings.Contains(st.Journal, "wait")
	})
	stop()
	s.checkLedger()
}
