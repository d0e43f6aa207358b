package daemon

import (
	"errors"
	"strings"
	"testing"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/publisher"
)

// Ten thousand payments a day fill 2 GiB of RESULTS in fifteen days: that is said, with the size
// that would do.
func TestStreamsThatAreTooSmall(t *testing.T) {
	busy := load{results: 20_000, envelopes: 65e6, merchants: 20}
	results := control.Stream{Name: "RESULTS", MaxBytes: 2 << 30}
	notes := noteResults(busy, results, publisher.Shares{Share: 9830})
	if len(notes) != 1 || !strings.Contains(notes[0], "too small for 30 days at 20000 results a day: give it 6.1 GiB at the relay") {
		t.Errorf("results: %q", notes)
	}
	results.MaxBytes = 7 << 30
	if notes := noteResults(busy, results, publisher.Shares{Share: 9830}); len(notes) != 0 {
		t.Errorf("large enough: %q", notes)
	}
	crowd := load{merchants: 7000}
	notes = noteResults(crowd, control.Stream{MaxBytes: 2 << 30}, publisher.Shares{Share: 28})
	if len(notes) != 1 || !strings.Contains(notes[0], "7000 merchants: the share of each is 28 results: give it 7.1 GiB") {
		t.Errorf("many merchants: %q", notes)
	}
	if notes := noteResults(busy, results, publisher.Shares{Error: errors.New("no answer")}); len(notes) != 1 || !strings.Contains(notes[0], "no answer") {
		t.Errorf("not seen: %q", notes)
	}
	notes = noteEnvelopes(busy, control.Stream{MaxBytes: 256 << 20}, nil, 5, 4)
	if len(notes) != 3 || !strings.Contains(notes[0], "7 days of bags at 62.0 MiB a day: give it 578.6 MiB") || !strings.Contains(notes[1], "4 committed bags") ||
		!strings.Contains(notes[2], "bag 5 has to stay") {
		t.Errorf("envelopes: %q", notes)
	}
	if notes := noteEnvelopes(load{}, control.Stream{}, nil, 0, 0); len(notes) != 0 {
		t.Errorf("nothing seen, and nothing came: %q", notes)
	}
}
