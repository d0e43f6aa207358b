package report

import (
	"cmp"
	_ "embed" // the page
	"io"
	"slices"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/payment"
)

// Summary is what a whole log came to, for the page beside its export. It names no account, no payment and no merchant.
type Summary struct {
	Vault     string
	Made      envelope.Time
	Entries   int64 // of the log
	Bodies    int64 // index of the first entry whose body is in the export
	Merchants int
	Auditors  int // for whom log keys are wrapped now
	Payments  int64
	Returned  []payment.Total
	Days      []Day
	Outcomes  []Outcome
	Findings  []FindingCount // the most frequent first
}

// FindingCount tells how often there was an integrity finding.
type FindingCount struct {
	Finding payment.Finding
	Count   uint64
}

// Take fills in what the payments came to, which a Builder counted.
func (s *Summary) Take(b *Builder) {
	r := b.Report()
	s.Payments, s.Returned, s.Days, s.Outcomes = r.Payments, r.Returned, r.Days, r.Outcomes
}

// Found fills in the findings.
func (s *Summary) Found(findings map[payment.Finding]uint64) {
	s.Findings = nil
	for finding, n := range findings {
		s.Findings = append(s.Findings, FindingCount{finding, n})
	}
	slices.SortFunc(s.Findings, func(x, y FindingCount) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Finding, y.Finding))
	})
}

// Alarming is how many findings there are, those left out that tell of people's words.
func (s Summary) Alarming() (n uint64) {
	for _, f := range s.Findings {
		if f.Finding != payment.FindingClockConfirmed {
			n += f.Count
		}
	}
	return n
}

//go:embed summary.html
var summary string

// findingBar is the bar of one finding.
type findingBar struct {
	bar
	Name payment.Finding
}

// HTML writes the page. It needs nothing but itself.
func (s Summary) HTML(w io.Writer) error {
	t, err := parsePage("summary", summary)
	if err != nil {
		return err
	}
	counts := make([]int64, len(s.Findings))
	for i, f := range s.Findings {
		counts[i] = int64(f.Count)
	}
	findings := make([]findingBar, len(s.Findings))
	for i, lying := range lyingBars(counts) {
		findings[i] = findingBar{lying, s.Findings[i].Finding}
	}
	return t.Execute(w, struct {
		Summary
		Volumes     []volumeChart
		Stages      []outcomeBar
		FindingBars []findingBar
	}{s, volumeCharts(s.Days), outcomeBars(s.Outcomes), findings})
}
