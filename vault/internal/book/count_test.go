package book

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestFindingsToldTogether: an event may stand for several findings; one that says nothing of it,
// as every one before 2026-11-30, is one, and is written as it was.
func TestFindingsToldTogether(t *testing.T) {
	b := newBook(t)
	b.must("", IntegrityFound{Finding: FindingBagAltered})
	b.must("", IntegrityFound{Finding: FindingBagAltered, Count: 16})
	b.must("", IntegrityFound{Finding: FindingUnknownRelay, Count: 1})
	if v := b.vault(); v.Findings[FindingBagAltered] != 17 || v.Findings[FindingUnknownRelay] != 1 {
		t.Errorf("findings %v", v.Findings)
	}
	for count, want := range map[uint64]bool{0: false, 16: true} {
		text, err := json.Marshal(Event{Body: IntegrityFound{Finding: FindingBagAltered, Count: count}})
		if err != nil || strings.Contains(string(text), `"count"`) != want {
			t.Errorf("a count of %d is written as %s, %v", count, text, err)
		}
	}
}
