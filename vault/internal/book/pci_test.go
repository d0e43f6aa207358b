package book

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryKindIsInThePCIMap: the page names no kind that is not there, and leaves none out.
func TestEveryKindIsInThePCIMap(t *testing.T) {
	text, err := os.ReadFile("../../../ops/docs/pci.md")
	if err != nil {
		t.Fatal(err)
	}
	page, _, ok := strings.Cut(string(text), "## What each event says")
	if !ok {
		t.Fatal("the page has not its second table")
	}
	named := map[string]bool{}
	for _, quoted := range regexp.MustCompile("`([a-z]+(?:-[a-z]+)+)`").FindAllStringSubmatch(page, -1) {
		named[quoted[1]] = true
		if decoders[quoted[1]].body == nil {
			t.Errorf("%s is no kind of event", quoted[1])
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(decoders)) {
		if !named[kind] {
			t.Errorf("%s is not in the map", kind)
		}
	}
	for _, requirement := range []string{"10.2.1.1", "10.2.1.2", "10.2.1.3", "10.2.1.4", "10.2.1.5", "10.2.1.6", "10.2.1.7"} {
		if !strings.Contains(page, "| "+requirement+" |") {
			t.Errorf("%s has no row", requirement)
		}
	}
}
