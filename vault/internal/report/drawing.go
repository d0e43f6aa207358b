package report

// volume writes the section of the volume by day: a chart of each currency, and the figures.
func (s sheet) volume(days []Day) {
	s.section("Volume by day")
	for _, chart := range volumeCharts(days) {
		s.chart(chart)
	}
	s.table([]heading{words("Day (UTC)"), number("Debits"), number("Credits")}, len(days), func(i int) markup {
		return formed(`<th scope="row">%s</th><td class="number">%s</td><td class="number">%s</td>`, days[i].Date, debits(days[i].Totals), credits(days[i].Totals))
	}, "No volume.")
	s.endSection()
}

func (s sheet) chart(chart volumeChart) {
	s.write(`<figure>
<h3>%s</h3>
<svg viewBox="0 0 %s %s" role="img" aria-label="Volume by day in %s">
`, chart.Currency, chart.Width, chart.Height, chart.Currency)
	for _, g := range chart.Grid {
		s.write(`<line class="rule" x1="96" x2="712" y1="%s" y2="%s"/><text x="90" y="%s" dy="4" text-anchor="end">%s</text>
`, g.Y, g.Y, g.Y, g.Text)
	}
	for _, b := range chart.Bars {
		class := markup("debit")
		if b.Credit {
			class = "credit"
		}
		s.write(`<rect class="%s" x="%s" y="%s" width="%s" height="%s"><title>%s</title></rect>
`, class, b.X, b.Y, b.W, b.H, b.Title)
	}
	for _, l := range chart.Labels {
		s.write(`<text x="%s" y="206" text-anchor="middle">%s</text>
`, l.X, l.Text)
	}
	s.write("</svg>\n")
	if chart.Credits {
		s.write(`<figcaption class="quiet"><span class="key debit"></span>debits<span class="key credit"></span>credits</figcaption>
`)
	}
	s.write("</figure>\n")
}

// outcomes writes the section of the outcomes.
func (s sheet) outcomes(outcomes []Outcome) {
	counts := make([]int64, len(outcomes))
	for i, o := range outcomes {
		counts[i] = o.Count
	}
	s.section("Outcomes")
	s.bars("Payments by outcome", counts, func(i int) (markup, any) { return tone(outcomes[i].Stage), outcomes[i].Stage })
	s.table([]heading{words("Outcome"), number("Payments"), words("Codes")}, len(outcomes), func(i int) markup {
		o := outcomes[i]
		return formed(`<th scope="row" class="%s">%s</th><td class="number">%s</td><td class="code">%s</td>`, tone(o.Stage), o.Stage, o.Count, o.codes())
	}, "No payments.")
	s.endSection()
}

// bars draws counts below one another, if there are any; of tells each one's colour class and name.
func (s sheet) bars(what markup, counts []int64, of func(i int) (class markup, name any)) {
	if len(counts) == 0 {
		return
	}
	s.write(`<figure>
<svg viewBox="0 0 720 %s" role="img" aria-label="%s">
`, coordinate(barStep*float64(len(counts))), what)
	for i, b := range lyingBars(counts) {
		class, name := of(i)
		s.write(`<text x="112" y="%s" dy="4" text-anchor="end">%s</text><rect class="%s" x="120" y="%s" width="%s" height="18"/><text x="%s" y="%s" dy="4">%s</text>
`, b.Middle, name, class, b.Y, b.W, b.End, b.Middle, b.Text)
	}
	s.write("</svg>\n</figure>\n")
}
