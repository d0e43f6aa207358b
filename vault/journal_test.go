package main

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/daemon"
	"nightdrop/vault/internal/settings"
)

// snapshot copies the vault's directory, as a snapshot of the host's disk does while the vault
// runs, without the relay's and the socket's files.
func (s *site) snapshot() (files map[string][]byte) {
	s.t.Helper()
	files = map[string][]byte{}
	entries, err := os.ReadDir(s.dir)
	s.must(err)
	for _, e := range entries {
		if info, err := e.Info(); err != nil || !info.Mode().IsRegular() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(s.dir, e.Name()))
		s.must(err)
		files[e.Name()] = data
	}
	return files
}

func (s *site) restore(files map[string][]byte) {
	s.t.Helper()
	for name, data := range files {
		s.must(os.WriteFile(filepath.Join(s.dir, name), data, 0o600))
	}
}

// failing runs the daemon until its unlock fails, and returns the exit code of that command, with
// what it said. A daemon whose unlock fails executes itself again; here it only says that it would.
func (s *site) failing() (code int, said string) {
	s.t.Helper()
	config, err := settings.Load(s.dir)
	s.must(err)
	d, err := daemon.New(daemonConfig(config, time.Now, slog.New(slog.NewTextHandler(s.t.Output(), nil))))
	s.must(err)
	ended := make(chan error, 1)
	go func() { ended <- d.Run(s.t.Context()) }()
	s.wait("the socket", func() bool { code, _ := s.command("status"); return code == 0 })
	var out, errOut bytes.Buffer
	code = run(s.t.Context(), []string{"unlock", "--dir", s.dir, "--share", s.shares[0], "--share", s.shares[1]},
		console{in: strings.NewReader(""), out: &out, errOut: &errOut, now: time.Now})
	if err := <-ended; !errors.Is(err, daemon.ErrRelock) {
		s.t.Errorf("the daemon ended with %v", err)
	}
	return code, errOut.String()
}

// TestRollbackWithinTheMinute: the whole vault's disk is put back to how it was a payment ago.
// Nothing on that disk can tell; the journal does, at the unlock.
func TestRollbackWithinTheMinute(t *testing.T) {
	second := t.TempDir()
	for _, place := range []string{settings.OnChannel, settings.InDirectory} {
		t.Run(place, func(t *testing.T) {
			s := newSite(t)
			if place == settings.InDirectory {
				s.configure(map[string]string{`place = "channel"`: `place = "directory"`, `directory = ""`: fmt.Sprintf("directory = %q", second)})
			}
			stop := s.serve()
			s.enrol()
			stop()
			older := s.snapshot()
			stop = s.serve()
			s.post(1999)
			var payments []control.Payment
			s.wait("an approval", func() bool {
				s.json(&payments, "payment", "list", "--status", string(book.StageApproved))
				return len(payments) == 1
			})
			var st control.Status
			s.json(&st, "status")
			if !strings.HasPrefix(st.Journal, "ready; ") {
				t.Errorf("journal: %s", st.Journal)
			}
			stop()
			newest := s.snapshot()
			s.restore(older)
			if code, said := s.failing(); code != 7 || !strings.Contains(said, "older copy of the ledger") {
				t.Errorf("unlock of the older disk: exit code %d, %s", code, said)
			}
			s.restore(newest)
			s.serve()()
		})
	}
}

// TestStatusSaysWhyNothingIsSent: a vault whose journal cannot be had unlocks, takes commands,
// sends nothing and says why; one without a journal says what that means.
func TestStatusSaysWhyNothingIsSent(t *testing.T) {
	s := newSite(t)
	s.must(s.broker.Close(t.Context()))
	for config, want := range map[[2]string]string{
		{`place = "channel"`, `place = "channel"`}: "nothing is sent to an acquirer: ",
		{`place = "channel"`, `place = "off"`}:     "OFF: ",
	} {
		s.configure(map[string]string{config[0]: config[1]})
		stop := s.serve()
		var st control.Status
		s.json(&st, "status")
		if !strings.Contains(st.Journal, want) {
			t.Errorf("with %s the status says %q", config[1], st.Journal)
		}
		if _, out := s.command("status"); !strings.Contains(unfolded(out), unfolded(st.Journal)) {
			t.Errorf("the table says\n%s", out)
		}
		stop()
		s.configure(map[string]string{config[1]: config[0]})
	}
}
