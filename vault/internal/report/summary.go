package report

import (
	"cmp"
	"io"
	"slices"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Summary is what a whole log came to, for the page beside its export. It names no account, no
// payment and no merchant.
type Summary struct {
	Vault     string
	Made      envelope.Time
	Entries   int64 // of the log
	Bodies    int64 // index of the first entry whose body is in the export
	Merchants int
	Auditors  int // for whom log keys are wrapped now
	Payments  int64
	Returned  []book.Total
	Days      []Day
	Outcomes  []Outcome
	Findings  []FindingCount // the most frequent first
}

// FindingCount is how often there was an integrity finding.
type FindingCount struct {
	Finding book.Finding
	Count   uint64
}

// Add fills in what the payments came to, which a Builder counted.
func (s *Summary) Add(b *Builder) {
	r := b.Report()
	s.Payments, s.Returned, s.Days, s.Outcomes = r.Payments, r.Returned, r.Days, r.Outcomes
}

// Found fills in the findings.
func (s *Summary) Found(findings map[book.Finding]uint64) {
	s.Findings = nil
	for finding, n := range findings {
		s.Findings = append(s.Findings, FindingCount{finding, n})
	}
	slices.SortFunc(s.Findings, func(x, y FindingCount) int {
		return cmp.Or(cmp.Compare(y.Count, x.Count), cmp.Compare(x.Finding, y.Finding))
	})
}

// Alarming is how many findings there are, without those about people's words.
func (s Summary) Alarming() (n uint64) {
	for _, f := range s.Findings {
		if f.Finding.Alarming() {
			n += f.Count
		}
	}
	return n
}

// HTML writes the page. It needs nothing but itself.
func (s Summary) HTML(w io.Writer) error {
	page := newSheet(w, formed("Log of %s", s.Vault))
	page.write(`<header>
<p>The log of %s, exported</p>
<h1>%s entries</h1>
<p>Made %s%s.</p>
</header>

`, s.Vault, s.Entries, s.Made, when(s.Bodies > 0, formed("; the bodies of entries before %s were left out by choice", s.Bodies)))
	verdict := markup("No integrity finding stands in this log.")
	if s.Alarming() > 0 {
		verdict = formed("%s integrity findings stand in this log.", s.Alarming())
	}
	page.write(`<p class="verdict%s">%s
The vault has signed this page, in a comment at its end. <span class="code">vault audit verify</span> checks it and the log itself, <span class="code">vault audit replay</span> does its sums again.</p>
`, when(s.Alarming() > 0, " differs"), verdict)
	page.figures([]figure{{"Payments", s.Payments}, {"Merchants", s.Merchants}, {"Auditors", s.Auditors}, {"Findings", s.Alarming()}, {"Returned", returned(s.Returned)}})
	page.volume(s.Days)
	page.outcomes(s.Outcomes)
	s.findings(page)
	return page.end("Amounts are of payments that stand in a batch, by the UTC day on which they were taken. The page names no account and no payment; " +
		"it loads nothing and runs nothing.")
}

// findings writes how often there was each.
func (s Summary) findings(page sheet) {
	counts, names := make([]int64, len(s.Findings)), make([]string, len(s.Findings))
	for i, f := range s.Findings {
		counts[i], names[i] = int64(f.Count), string(f.Finding)
	}
	page.section("Findings")
	page.beside(false, func() {
		page.bars("Integrity findings by kind", names, counts, func(int) markup { return "bad" })
	}, func() {
		page.table([]heading{words("Finding"), number("How often, ever")}, len(s.Findings), func(i int) markup {
			return formed(`<th scope="row">%s</th><td class="number">%s</td>`, s.Findings[i].Finding, s.Findings[i].Count)
		}, "None.")
	})
	page.endSection()
}
