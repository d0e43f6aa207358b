package settings

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/durable"
	"nightdrop/vault/internal/journal"
)

// TestReferenceConfigurationSaysTheDefaults: the file that init writes is what the daemon does without it.
func TestReferenceConfigurationSaysTheDefaults(t *testing.T) {
	dir := t.TempDir()
	if err := durable.Create(dir+"/"+File, Reference); err != nil {
		t.Fatal(err)
	}
	written, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	empty := t.TempDir()
	if err := durable.Create(empty+"/"+File, nil); err != nil {
		t.Fatal(err)
	}
	defaults, err := Load(empty)
	if err != nil {
		t.Fatal(err)
	}
	if len(written.Bank.AnswersFrom) == 0 && len(written.Bank.AnswersTo) == 0 {
		written.Bank.AnswersFrom, written.Bank.AnswersTo = nil, nil // an empty list is none
	}
	if written.Keys != defaults.Keys || written.DirectoryLifetime != defaults.DirectoryLifetime || written.StopGrace != defaults.StopGrace ||
		!reflect.DeepEqual(written.Bank, defaults.Bank) || len(written.Batches.CloseAt) != len(defaults.Batches.CloseAt) || written.Acquirer.Dialect != defaults.Acquirer.Dialect ||
		written.Acquirer.Outstanding != defaults.Acquirer.Outstanding || written.Acquirer.Terminals[0] != defaults.Acquirer.Terminals[0] {
		t.Errorf("the reference says %+v, the defaults are %+v", written, defaults)
	}
}

func TestTimesOfDay(t *testing.T) {
	for text, want := range map[string]time.Duration{"00:00": 0, "16:45": 16*time.Hour + 45*time.Minute, "23:59": 24*time.Hour - time.Minute} {
		if got, err := clockTime(text); err != nil || got != want {
			t.Errorf("%s: %v %v", text, got, err)
		}
	}
	for _, text := range []string{"", "24:00", "9:00", "16:60", "4 pm", "16:45:00", " 16:45"} {
		if got, err := clockTime(text); err == nil {
			t.Errorf("%q was read as %v", text, got)
		}
	}
	b := Batches{CloseAt: []string{"12:00", "22:00"}}
	if times, err := b.Times(); err != nil || len(times) != 2 || times[1] != 22*time.Hour {
		t.Errorf("closing times %v %v", times, err)
	}
}

func TestJournalSettings(t *testing.T) {
	for name, c := range map[string]struct {
		journal Journal
		wrong   string // "" where nothing is
	}{
		"the channel":            {Journal{Place: "channel", MaxBytes: journal.DefaultLimit}, ""},
		"a directory":            {Journal{Place: "directory", Directory: t.TempDir(), MaxBytes: journal.DefaultLimit}, ""},
		"both":                   {Journal{Place: "both", Directory: t.TempDir(), MaxBytes: journal.DefaultLimit}, ""},
		"both without a disk":    {Journal{Place: "both", MaxBytes: journal.DefaultLimit}, "journal.directory"},
		"off":                    {Journal{Place: "off", MaxBytes: journal.DefaultLimit}, ""},
		"nowhere":                {Journal{MaxBytes: journal.DefaultLimit}, "journal.place"},
		"an unmounted disk":      {Journal{Place: "directory", Directory: t.TempDir() + "/none", MaxBytes: journal.DefaultLimit}, "journal.directory"},
		"no directory":           {Journal{Place: "directory", MaxBytes: journal.DefaultLimit}, "journal.directory"},
		"a directory beside":     {Journal{Place: "channel", Directory: "x", MaxBytes: journal.DefaultLimit}, "journal.directory"},
		"a limit that is none":   {Journal{Place: "channel", MaxBytes: journal.MinLimit - 1}, "journal.max_bytes"},
		"a file for a directory": {Journal{Place: "directory", Directory: "settings_test.go", MaxBytes: journal.DefaultLimit}, "journal.directory"},
	} {
		var got []string
		c.journal.check(func(key, _ string) { got = append(got, key) })
		if strings.Join(got, " ") != c.wrong {
			t.Errorf("%s: wrong are %v, want %q", name, got, c.wrong)
		}
	}
	dir := t.TempDir()
	if text := (Journal{Place: "directory", Directory: dir}).Warning(dir); !strings.Contains(text, "same disk") {
		t.Errorf("the ledger's own disk: %q", text)
	}
	if text := (Journal{Place: "both", Directory: dir}).Warning(t.TempDir()); !strings.Contains(text, "same disk") {
		t.Errorf("one disk for both: %q", text)
	}
	if text := (Journal{Place: "channel"}).Warning(dir); !strings.Contains(text, "relay's disk only") {
		t.Errorf("the channel: %q", text)
	}
}

func TestReserveBelowNothingIsRefused(t *testing.T) {
	s := Settings{Limits: Limits{DiskReserve: -1}}
	if err := s.Check(time.Now()); err == nil || !strings.Contains(err.Error(), File+": limits") {
		t.Errorf("a reserve below nothing: %v", err)
	}
}
