package main

import (
	"os/user"
	"path/filepath"
	"slices"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
)

// TestEveryEventSaysWhoAndWhy: what operators do stands in the log under their name and with their
// reason; everything else has an actor and an origin too.
func TestEveryEventSaysWhoAndWhy(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	s.wait("the line to the acquirer", func() bool {
		var st control.Status
		s.json(&st, "status")
		return st.Acquirer == "ready" && st.Channel == "connected"
	})
	s.post(1999)
	s.wait("an approval", func() bool {
		var payments []control.Payment
		s.json(&payments, "payment", "list", "--status", "approved")
		return len(payments) == 1
	})
	for _, args := range [][]string{{"merchant", "suspend", "shop-1"}, {"merchant", "resume", "shop-1"}, {"directory", "publish"},
		{"batch", "close", "--all"}, {"batch", "settle", "--all"}, {"results", "resend", "shop-1"}} {
		if code, _ := s.command(append(args, "--reason", "why "+args[0]+" "+args[1])...); code != 0 {
			t.Errorf("vault %v: exit code %d", args, code)
		}
	}
	stop()

	me, err := user.Current()
	s.must(err)
	want := map[string]string{"merchant-added": "contract 17", "merchant-suspended": "why merchant suspend", "merchant-resumed": "why merchant resume",
		"directory-issued": "why directory publish", "batch-closing": "why batch close", "batch-closed": "why batch close",
		"results-resent": "why results resend", "reconciliation-intended": "why batch settle", "payment-settled": "why batch settle", "batch-settled": "why batch settle"}
	for _, e := range s.readLog().events {
		kind := e.Body.Kind()
		if e.Actor == "" || e.Origin == "" {
			t.Errorf("%s has actor %q and origin %q", kind, e.Actor, e.Origin)
		}
		if e.Actor != "user:"+me.Username {
			continue
		}
		if e.Origin != "socket" || e.Purpose != want[kind] {
			t.Errorf("%s has origin %q and purpose %q, want %q", kind, e.Origin, e.Purpose, want[kind])
		}
		delete(want, kind)
	}
	if len(want) > 0 {
		t.Errorf("the log has nothing of %v", want)
	}
	s.checkLedger()
}

// told is what a stopped vault's log tells.
type told struct {
	vault  book.Vault
	events []book.Event
}

// destroyed are the keys of whose end the log tells, sorted.
func (l told) destroyed() (names []envelope.KeyName) {
	for _, e := range l.events {
		if body, ok := e.Body.(book.KeysChanged); ok {
			names = append(names, body.Destroyed...)
		}
	}
	return sorted(names)
}

func (l told) find(f book.Finding) (found []book.Event) {
	for _, e := range l.events {
		if body, ok := e.Body.(book.IntegrityFound); ok && body.Finding == f {
			found = append(found, e)
		}
	}
	return found
}

func sorted(names []envelope.KeyName) []envelope.KeyName { return slices.Sorted(slices.Values(names)) }

func (s *site) readLog() (all told) {
	s.t.Helper()
	ring := s.unlockedRing(keyring.Options{})
	defer ring.Close()
	l, err := ledger.Open(filepath.Join(s.dir, settings.LedgerFile), ring, ledger.Options{})
	s.must(err)
	defer l.Close()
	s.must(l.View(func(tx *ledger.Tx) (err error) {
		if all.vault, err = tx.Vault(); err != nil {
			return err
		}
		size, err := tx.TreeSize()
		if err != nil {
			return err
		}
		for index := range uint64(size) {
			e, err := tx.LogEntry(index)
			if err != nil {
				return err
			}
			all.events = append(all.events, e.Event)
		}
		return nil
	}))
	return all
}
