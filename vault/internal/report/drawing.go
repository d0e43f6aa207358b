package report

import "nightdrop/vault/internal/book"

// volume writes the section of the volume by day: a chart of each currency, and the figures.
func (s sheet) volume(days []Day) {
	s.section("Volume by day")
	charts := volumeCharts(days)
	s.beside(len(charts) > 1, func() {
		for _, chart := range charts {
			s.chart(chart)
		}
	}, func() {
		headings := []heading{words("Day (UTC)"), number("Debits"), number("Credits")}
		s.table(headings, len(days), func(i int) markup {
			return formed(`<th scope="row">%s</th><td class="number">%s</td><td class="number">%s</td>`, days[i].Date,
				lines(days[i].Totals, debits), lines(days[i].Totals, credits))
		}, "No volume.")
	})
	s.endSection()
}

// beside writes charts, two a row, and a table: beside a single chart, below several.
func (s sheet) beside(several bool, charts, table func()) {
	s.write("<div class=\"charts\">\n")
	charts()
	if several {
		s.write("</div>\n")
	}
	table()
	if !several {
		s.write("</div>\n")
	}
}

// lines writes totals as text does, each currency on a line of its own.
func lines(totals []book.Total, text func([]book.Total) string) (m markup) {
	for _, t := range totals {
		if one := text([]book.Total{t}); one != "-" {
			m += when(m != "", "<br>") + formed("%s", one)
		}
	}
	if m == "" {
		return "-"
	}
	return m
}

func (s sheet) chart(chart volumeChart) {
	s.write(`<figure>
<h3>%s</h3>
<svg viewBox="0 0 %s %s" role="img" aria-label="Volume by day in %s">
`, chart.Currency, chart.Width, chart.Height, chart.Currency)
	for _, g := range chart.Grid {
		s.write(`<line class="rule" x1="%s" x2="%s" y1="%s" y2="%s"/><text x="%s" y="%s" dy="4" text-anchor="end">%s</text>
`, coordinate(chart.Left), coordinate(chart.Right), g.Y, g.Y, coordinate(chart.Left-textGap/2), g.Y, g.Text)
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
		s.write(`<text x="%s" y="%s" text-anchor="middle">%s</text>
`, l.X, coordinate(chart.Bottom+18), l.Text)
	}
	s.write("</svg>\n")
	if chart.Credits {
		s.write(`<figcaption class="quiet"><span class="key debit"></span>debits<span class="key credit"></span>credits</figcaption>
`)
	}
	s.write("</figure>\n")
}

func (s sheet) outcomes(outcomes []Outcome) {
	counts, names := make([]int64, len(outcomes)), make([]string, len(outcomes))
	for i, o := range outcomes {
		counts[i], names[i] = o.Count, string(o.Status)
	}
	s.section("Outcomes")
	s.beside(false, func() {
		s.bars("Payments by outcome", names, counts, func(i int) markup { return tone(outcomes[i].Status) })
	}, func() {
		s.table([]heading{words("Outcome"), number("Payments"), words("Codes")}, len(outcomes), func(i int) markup {
			o := outcomes[i]
			return formed(`<th scope="row" class="%s">%s</th><td class="number">%s</td><td class="code">%s</td>`, tone(o.Status), o.Status, o.Count, o.codes())
		}, "No payments.")
	})
	s.endSection()
}

// bars draws counts below one another, if there are any, each in its colour class.
func (s sheet) bars(what markup, names []string, counts []int64, class func(i int) markup) {
	if len(counts) == 0 {
		return
	}
	s.write(`<figure>
<svg viewBox="0 0 %s %s" role="img" aria-label="%s">
`, chartWidth, coordinate(barStep*float64(len(counts))), what)
	bars, left := lyingBars(names, counts)
	for i, b := range bars {
		s.write(`<text x="%s" y="%s" dy="4" text-anchor="end">%s</text><rect class="%s" x="%s" y="%s" width="%s" height="18"/><text x="%s" y="%s" dy="4">%s</text>
`, coordinate(left), b.Middle, names[i], class(i), coordinate(left+textGap), b.Y, b.W, b.End, b.Middle, b.Text)
	}
	s.write("</svg>\n</figure>\n")
}
