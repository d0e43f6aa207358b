package main

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// verdict is what a flip came to.
type verdict string

// The verdicts, from the best to the worst.
const (
	harmless verdict = "harmless" // the same money, results and states as without it, and nothing said
	noticed  verdict = "noticed"  // the vault says so while it runs, or ends with the reason
	refused  verdict = "refused"  // a clear error that names the file; nothing was sent
	unnamed  verdict = "unnamed"  // an error that does not say which file, or what to do
	wrong    verdict = "WRONG"    // something is not as it would have been, and nobody was told; or the vault hangs; or money moved twice
)

var verdicts = []verdict{harmless, noticed, refused, unnamed, wrong}

// judge holds what a flip came to against what came of the same picture without it. The books of host and bank are the truth about money.
func (p *picture) judge(o outcome, err error) (verdict, string) {
	if err != nil {
		return wrong, "the life does not come to an end: " + err.Error()
	}
	if twice := p.twice(o.truth); twice != "" {
		return wrong, "money moves twice: " + twice
	}
	for what, failed := range map[string]error{"the relay does not start": o.relayFailed, "the vault does not start": o.startFailed, "the unlock is refused": o.refused} {
		if failed != nil {
			return p.judgeRefusal(o, what+": "+failed.Error())
		}
	}
	differs := p.standard.differs(o.truth, p.standard)
	told := o.tells(p.quietly)
	switch {
	case o.ended != nil:
		if !named(o.ended.Error()) {
			return unnamed, "the vault ends with: " + o.ended.Error()
		}
		return noticed, "the vault ends with: " + o.ended.Error()
	case differs == "" && told == "":
		return harmless, ""
	case told != "":
		return noticed, told + "; " + differs
	}
	return wrong, differs
}

// judgeRefusal: what refuses does nothing, and names the file.
func (p *picture) judgeRefusal(o outcome, text string) (verdict, string) {
	for _, book := range []string{atHost, atBank} {
		if d := p.rest.differs(o.truth, truth{book: nil}); d != "" {
			return wrong, text + "; and yet: " + d
		}
	}
	if !named(text) {
		return unnamed, text
	}
	return refused, text
}

// named reports whether an error names a file, or the place where the files are.
func named(text string) bool {
	for _, name := range []string{ledgerFile, "sealing.keys", "stored.keys", "vault.key", "journal", "store", "head", "JOURNAL", "RESULTS", "ENVELOPES", "NOTICES"} {
		if strings.Contains(text, name) {
			return true
		}
	}
	return false
}

// tells returns what the vault said of itself beyond what it says in any life, "" for nothing.
func (o outcome) tells(quietly []string) string {
	var all []string
	all = append(all, o.complaints...)
	for _, f := range slices.Sorted(maps.Keys(o.findings)) {
		all = append(all, fmt.Sprintf("finding %s", f))
	}
	if o.journal != "" {
		all = append(all, "journal: "+o.journal)
	}
	for _, line := range o.said {
		if !slices.ContainsFunc(quietly, func(q string) bool { return strings.HasPrefix(line, q) }) {
			all = append(all, "logged: "+line)
		}
	}
	return strings.Join(all, "; ")
}

// twice names what stands at the host or the bank more often than it should, "" for nothing.
func (p *picture) twice(found truth) string {
	count := func(t truth) map[string]int {
		n := map[string]int{}
		for _, line := range t[atHost] {
			fields := strings.Fields(line)
			if slices.Contains(fields[2:4], "00") && !strings.Contains(line, "reversed true") {
				n[fields[0]+" "+fields[1]]++
			}
			if fields[0] == "doubled" {
				n[line]++
			}
		}
		for _, line := range t[atBank] {
			n[line]++
		}
		return n
	}
	most, all := count(p.standard), count(found)
	for what, n := range count(p.rest) {
		most[what] = max(most[what], n)
	}
	for _, what := range slices.Sorted(maps.Keys(all)) {
		if all[what] > most[what] {
			return what
		}
	}
	return ""
}

// differs names what of the subjects is not as it is here, "" for nothing.
func (t truth) differs(found, subjects truth) string {
	var all []string
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		missing, added := without(t[subject], found[subject]), without(found[subject], t[subject])
		if len(missing)+len(added) > 0 {
			all = append(all, fmt.Sprintf("%s: not %q but %q", subject, missing[:min(3, len(missing))], added[:min(3, len(added))]))
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

// table counts verdicts by group and structure.
type table map[string]map[verdict]int

func (t table) add(f bitFlip, v verdict) {
	for _, row := range []string{"all", filepath.Base(f.file) + ": " + f.what} {
		if t[row] == nil {
			t[row] = map[verdict]int{}
		}
		t[row][v]++
	}
}

func (t table) String() string {
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
