package main

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nightdrop/ops/flips"
	"nightdrop/vault/internal/settings"
)

// TestFlipsAreJudged: what would be wrong is found wrong. The judge sees lives that nothing was
// flipped in, and then altered books, results and answers; in the end it sees what no file can
// tell, a vault and its journal that are both put back to noon, whose payments of the afternoon are
// charged again.
func TestFlipsAreJudged(t *testing.T) {
	if _, err := os.Stat(memoryDisk); err == nil {
		t.Setenv("TMPDIR", memoryDisk)
	}
	p := take(t, settings.InDirectory)
	p.settle()
	sound := func() outcome { return outcome{truth: maps.Clone(p.standard)} }
	add := func(subject, line string) outcome {
		o := sound()
		o.truth[subject] = append(slices.Clone(o.truth[subject]), line)
		return o
	}
	lose := func(subject, line string) outcome {
		o := sound()
		o.truth[subject] = slices.DeleteFunc(slices.Clone(o.truth[subject]),
			func(l string) bool { return strings.Contains(l, line) })
		return o
	}
	told := func(o outcome, text string) outcome {
		o.complaints = []string{text}
		return o
	}
	refusal := func(text string) outcome { return outcome{truth: maps.Clone(p.rest), refused: errors.New(text)} }
	acts := refusal("ledger.db: damaged")
	acts.truth[atHost] = p.standard[atHost]
	for name, c := range map[string]struct {
		o    outcome
		err  error
		want flips.Verdict
	}{
		"nothing":   {o: sound(), want: flips.Harmless},
		"a finding": {o: told(sound(), "finding"), want: flips.Noticed},
		"charged twice": {o: add(atHost,
			"sale 1001 00 reversed false captured 0 refunded 0"), want: flips.Wrong},
		"charged twice, and told": {o: told(add(atHost,
			"sale 1001 00 reversed false captured 0 refunded 0"), "finding"), want: flips.Wrong},
		"twice at the bank":                     {o: add(atBank, p.standard[atBank][0]), want: flips.Wrong},
		"a reversal that is not sent":           {o: lose(atHost, "sale 900100"), want: flips.Wrong},
		"a reversal that is not sent, and told": {o: told(lose(atHost, "sale 900100"), "finding"), want: flips.Noticed},
		"a result lost":                         {o: lose(results, "new sale"), want: flips.Wrong},
		"a payment that is not listed":          {o: lose(payments, "second sale"), want: flips.Wrong},
		"a batch of another sum":                {o: add(batches, "corner-cafe card settled"), want: flips.Wrong},
		"a life without an end":                 {o: sound(), err: errors.New("deadline"), want: flips.Wrong},
		"refused":                               {o: refusal("ledger.db: damaged"), want: flips.Refused},
		"refused without a file":                {o: refusal("something is damaged"), want: flips.Unnamed},
		"refused, and yet something was sent":   {o: acts, want: flips.Wrong},
	} {
		if got, why := p.judge(c.o, c.err); got != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got, why, c.want)
		}
	}
	dir := t.TempDir()
	p.must(p.disk.Lay(dir, flips.Flip{}))
	p.must(errors.Join(os.RemoveAll(filepath.Join(dir, "v")), os.RemoveAll(filepath.Join(dir, "journal"))))
	p.must(p.noon.Lay(dir, flips.Flip{}))
	o, err := p.resume(t.Context(), dir, patience)
	if got, why := p.judge(o, err); got != flips.Wrong || !strings.HasPrefix(why, "money moves twice") {
		t.Errorf("vault and journal of noon: %s (%s), want %s", got, why, flips.Wrong)
	}
}
