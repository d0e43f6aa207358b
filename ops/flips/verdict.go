package flips

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// Truth is what a run came to, as those see it who are outside of the vault, and as the vault
// reports it: lines by subject.
type Truth map[string][]string

// Verdict is what a flip came to.
type Verdict string

// The verdicts, from the best to the worst.
const (
	// the same money, results and states as without it, and nothing said
	Harmless Verdict = "harmless"
	Noticed  Verdict = "noticed" // the vault says so while it runs, or ends with the reason
	Refused  Verdict = "refused" // a clear error that names the file; nothing was sent
	Unnamed  Verdict = "unnamed" // an error that does not say which file, or what to do
	// something differs and nobody was warned, or the vault hangs, or money moved twice
	Wrong Verdict = "WRONG"
)

var verdicts = []Verdict{Harmless, Noticed, Refused, Unnamed, Wrong}

// Named reports whether an error names a file, or the place where the files are.
func Named(text string) bool {
	for _, name := range []string{"ledger.db", "sealing.keys", "stored.keys", "vault.key", "journal",
		"store", "head", "JOURNAL", "RESULTS", "ENVELOPES", "NOTICES"} {
		if strings.Contains(text, name) {
			return true
		}
	}
	return false
}

// Differs names what of the subjects is not as it is here, "" for nothing.
func (t Truth) Differs(found, subjects Truth) string {
	var all []string
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		missing, added := without(t[subject], found[subject]), without(found[subject], t[subject])
		if len(missing)+len(added) > 0 {
			all = append(all, fmt.Sprintf("%s: not %q but %q", subject, missing[:min(3, len(missing))],
				added[:min(3, len(added))]))
		}
	}
	return strings.Join(all, "; ")
}

// without returns the lines of a that are not in b, each as often as it is too many.
func without(a, b []string) (left []string) {
	n := map[string]int{}
	for _, line := range b {
		n[line]++
	}
	for _, line := range a {
		if n[line]--; n[line] < 0 {
			left = append(left, line)
		}
	}
	return left
}

// Table counts verdicts by group and structure.
type Table map[string]map[Verdict]int

// Add counts a flip.
func (t Table) Add(f Flip, v Verdict) {
	for _, row := range []string{"all", filepath.Base(f.File) + ": " + f.What} {
		if t[row] == nil {
			t[row] = map[Verdict]int{}
		}
		t[row][v]++
	}
}

// String is the table as text.
func (t Table) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%-60s", "")
	for _, v := range verdicts {
		fmt.Fprintf(&b, " %9s", v)
	}
	for _, row := range slices.Sorted(maps.Keys(t)) {
		fmt.Fprintf(&b, "\n%-60s", row)
		for _, v := range verdicts {
			fmt.Fprintf(&b, " %9d", t[row][v])
		}
	}
	return b.String()
}
