package book

import (
	"fmt"
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
		if register[quoted[1]].body == nil {
			t.Errorf("%s is no kind of event", quoted[1])
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(register)) {
		if !named[kind] {
			t.Errorf("%s is not in the map", kind)
		}
	}
	for n := 1; n <= 7; n++ {
		_, row, ok := strings.Cut(page, fmt.Sprintf("| 10.2.1.%d |", n))
		if !ok {
			t.Errorf("10.2.1.%d has no row", n)
		}
		row, _, _ = strings.Cut(row, "\n")
		for kind, r := range register {
			if strings.Contains(row, "`"+kind+"`") != slices.Contains(r.pci, n) {
				t.Errorf("the row of 10.2.1.%d and the register differ about %s", n, kind)
			}
		}
	}
}
