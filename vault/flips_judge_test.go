package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"nightdrop/ops/flips"
)

// judge holds what a flip came to against what came of the same picture without it. The books of
// host and bank are the truth about money.
func (p *picture) judge(o outcome, err error) (flips.Verdict, string) {
	if err != nil {
		return flips.Wrong, "the life does not come to an end: " + err.Error()
	}
	if twice := p.twice(o.truth); twice != "" {
		return flips.Wrong, "money moves twice: " + twice
	}
	for what, failed := range map[string]error{"the relay does not start": o.relayFailed,
		"the vault does not start": o.startFailed, "the unlock is refused": o.refused} {
		if failed != nil {
			return p.judgeRefusal(o, what+": "+failed.Error())
		}
	}
	differs := p.standard.Differs(o.truth, p.standard)
	told := o.tells(p.quietly)
	switch {
	case o.ended != nil:
		if !flips.Named(o.ended.Error()) {
			return flips.Unnamed, "the vault ends with: " + o.ended.Error()
		}
		return flips.Noticed, "the vault ends with: " + o.ended.Error()
	case differs == "" && told == "":
		return flips.Harmless, ""
	case told != "":
		return flips.Noticed, told + "; " + differs
	}
	return flips.Wrong, differs
}

// judgeRefusal: what refuses does nothing, and names the file.
func (p *picture) judgeRefusal(o outcome, text string) (flips.Verdict, string) {
	for _, book := range []string{atHost, atBank} {
		if d := p.rest.Differs(o.truth, flips.Truth{book: nil}); d != "" {
			return flips.Wrong, text + "; and yet: " + d
		}
	}
	if !flips.Named(text) {
		return flips.Unnamed, text
	}
	return flips.Refused, text
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
func (p *picture) twice(found flips.Truth) string {
	count := func(t flips.Truth) map[string]int {
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
