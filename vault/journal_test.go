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
	"nightdrop/vault/internal/journal"
)

// snapshot copies the vault's directory, as a snapshot of the host's disk does while the vault runs, without the relay's and the socket's files.
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

// failing runs the daemon until its unlock fails, and returns the exit code of that command, with what it said. A daemon whose unlock fails
// executes itself again; here it only says that it would.
func (s *site) failing() (code int, said string) {
	s.t.Helper()
	settings, err := loadSettings(s.dir)
	s.must(err)
	d, err := newDaemon(settings, time.Now, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
	s.must(err)
	ended := make(chan error, 1)
	go func() { ended <- d.run(s.t.Context()) }()
	s.wait("the socket", func() bool { code, _ := s.command("status"); return code == 0 })
	var out, errOut bytes.Buffer
	code = run(s.t.Context(), []string{"unlock", "--dir", s.dir, "--share", s.shares[0], "--share", s.shares[1]},
		console{in: strings.NewReader(""), out: &out, errOut: &errOut, now: time.Now})
	if err := <-ended; !errors.Is(err, errRelock) {
		s.t.Errorf("the daemon ended with %v", err)
	}
	return code, errOut.String()
}

// TestRollbackWithinTheMinute: the whole vault's disk is put back to how it was a payment ago. Nothing on that disk can tell; the journal does, at
// the unlock.
func TestRollbackWithinTheMinute(t *testing.T) {
	second := t.TempDir()
	for _, place := range []string{journalOnChannel, journalInDirectory} {
		t.Run(place, func(t *testing.T) {
			s := newSite(t)
			if place == journalInDirectory {
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
				s.json(&payments, "payment", "list", "--stage", string(book.StageApproved))
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

// TestStatusSaysWhyNothingIsSent: a vault whose journal cannot be had unlocks, takes commands, sends nothing and says why; one without a
// journal says what that means.
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
		if _, out := s.command("status"); !strings.Contains(out, st.Journal) {
			t.Errorf("the table says\n%s", out)
		}
		stop()
		s.configure(map[string]string{config[1]: config[0]})
	}
}

func TestJournalSettings(t *testing.T) {
	for name, c := range map[string]struct {
		settings journalSettings
		wrong    string // "" where nothing is
	}{
		"the channel":            {journalSettings{Place: "channel", MaxBytes: journal.DefaultLimit}, ""},
		"a directory":            {journalSettings{Place: "directory", Directory: t.TempDir(), MaxBytes: journal.DefaultLimit}, ""},
		"both":                   {journalSettings{Place: "both", Directory: t.TempDir(), MaxBytes: journal.DefaultLimit}, ""},
		"both without a disk":    {journalSettings{Place: "both", MaxBytes: journal.DefaultLimit}, "journal.directory"},
		"off":                    {journalSettings{Place: "off", MaxBytes: journal.DefaultLimit}, ""},
		"nowhere":                {journalSettings{MaxBytes: journal.DefaultLimit}, "journal.place"},
		"an unmounted disk":      {journalSettings{Place: "directory", Directory: t.TempDir() + "/none", MaxBytes: journal.DefaultLimit}, "journal.directory"},
		"no directory":           {journalSettings{Place: "directory", MaxBytes: journal.DefaultLimit}, "journal.directory"},
		"a directory beside":     {journalSettings{Place: "channel", Directory: "x", MaxBytes: journal.DefaultLimit}, "journal.directory"},
		"a limit that is none":   {journalSettings{Place: "channel", MaxBytes: journal.MinLimit - 1}, "journal.max_bytes"},
		"a file for a directory": {journalSettings{Place: "directory", Directory: "journal_test.go", MaxBytes: journal.DefaultLimit}, "journal.directory"},
	} {
		var got []string
		c.settings.check(func(key, _ string) { got = append(got, key) })
		if strings.Join(got, " ") != c.wrong {
			t.Errorf("%s: wrong are %v, want %q", name, got, c.wrong)
		}
	}
	dir := t.TempDir()
	if text := (journalSettings{Place: "directory", Directory: dir}).warning(dir); !strings.Contains(text, "same disk") {
		t.Errorf("the ledger's own disk: %q", text)
	}
	if text := (journalSettings{Place: "both", Directory: dir}).warning(t.TempDir()); !strings.Contains(text, "same disk") {
		t.Errorf("one disk for both: %q", text)
	}
	if text := (journalSettings{Place: "channel"}).warning(dir); !strings.Contains(text, "relay's disk only") {
		t.Errorf("the channel: %q", text)
	}
}
