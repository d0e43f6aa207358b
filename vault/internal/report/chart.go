package report

import (
	"fmt"
	"math"
	"slices"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Sizes of the charts, in units of their own coordinates.
const (
	chartWidth, chartHeight = 720.0, 220.0
	plotLeft, plotRight     = 96.0, 712.0
	plotTop, plotBottom     = 12.0, 188.0
	mostLabels              = 10   // days that are named below a chart
	widestBar               = 48.0 // a single day is no wall
	barLeft, barRight       = 120.0, 620.0
	barStep                 = 26.0
)

// volumeChart is the volume by day of one currency.
type volumeChart struct {
	Currency      string
	Width, Height float64
	Bars          []column
	Grid          []gridLine
	Labels        []label
	Credits       bool // there are credits: the chart needs its legend
}

// column is one upright bar.
type column struct {
	X, Y, W, H string
	Credit     bool
	Title      string // shown where the pointer rests, and read aloud
}

type gridLine struct{ Y, Text string }

type label struct{ X, Text string }

// bar is one lying bar.
type bar struct {
	Y, Middle, W, End string
	Text              string
}

// volumeCharts draws one chart for each currency, days without volume included.
func volumeCharts(days []Day) []volumeChart {
	if len(days) == 0 {
		return nil
	}
	byCurrency := map[string]map[string]book.Total{}
	for _, d := range days {
		for _, t := range d.Totals {
			if byCurrency[t.Currency] == nil {
				byCurrency[t.Currency] = map[string]book.Total{}
			}
			byCurrency[t.Currency][d.Date] = t
		}
	}
	var order []string
	for currency := range byCurrency {
		order = append(order, currency)
	}
	slices.Sort(order)
	dates := calendar(days[0].Date, days[len(days)-1].Date)
	var charts []volumeChart
	for _, currency := range order {
		charts = append(charts, draw(currency, dates, byCurrency[currency]))
	}
	return charts
}

// calendar lists the dates from the first to the last.
func calendar(first, last string) []string {
	day, err := time.Parse(dayLayout, first)
	if err != nil {
		return nil
	}
	dates := []string{first}
	for dates[len(dates)-1] < last {
		day = day.AddDate(0, 0, 1)
		dates = append(dates, day.Format(dayLayout))
	}
	return dates
}

func draw(currency string, dates []string, totals map[string]book.Total) volumeChart {
	chart := volumeChart{Currency: currency, Width: chartWidth, Height: chartHeight}
	var most int64
	for _, t := range totals {
		most = max(most, t.Amount, t.CreditAmount)
		chart.Credits = chart.Credits || t.Credits > 0
	}
	step, top := scale(most, currency)
	for v := int64(0); v <= top; v += step {
		chart.Grid = append(chart.Grid, gridLine{Y: coordinate(height(v, top)), Text: envelope.FormatAmount(v, currency)})
	}
	slot := (plotRight - plotLeft) / float64(len(dates))
	width := min(slot*0.72, widestBar)
	each := width
	if chart.Credits {
		each = width / 2
	}
	for i, date := range dates {
		middle := plotLeft + slot*(float64(i)+0.5)
		if i%((len(dates)+mostLabels-1)/mostLabels) == 0 {
			chart.Labels = append(chart.Labels, label{X: coordinate(middle), Text: date[5:]})
		}
		t := totals[date]
		if t.Amount > 0 {
			chart.Bars = append(chart.Bars, upright(middle-width/2, each, height(t.Amount, top), false,
				fmt.Sprintf("%s: %d debits, %s", date, t.Count, envelope.FormatAmount(t.Amount, currency))))
		}
		if t.CreditAmount > 0 {
			chart.Bars = append(chart.Bars, upright(middle, each, height(t.CreditAmount, top), true,
				fmt.Sprintf("%s: %d credits, %s", date, t.Credits, envelope.FormatAmount(t.CreditAmount, currency))))
		}
	}
	return chart
}

func upright(x, width, y float64, credit bool, title string) column {
	return column{X: coordinate(x), Y: coordinate(y), W: coordinate(max(width, 0.5)), H: coordinate(max(plotBottom-y, 1)), Credit: credit, Title: title}
}

// height is where an amount lies above the ground.
func height(amount, top int64) float64 {
	return plotBottom - (plotBottom-plotTop)*float64(amount)/float64(top)
}

// scale chooses the distance of the grid's lines, 1, 2 or 5 times a power of ten in the currency's major unit where that is large enough,
// and the highest line.
func scale(most int64, currency string) (step, top int64) {
	step = int64(math.Pow10(int(math.Floor(math.Log10(max(float64(most)/4, 1))))))
	for _, times := range []int64{1, 2, 5, 10} {
		if step*times*4 >= most {
			step *= times
			break
		}
	}
	if known, ok := envelope.KnownCurrency(currency); ok {
		unit := int64(math.Pow10(known.Exponent))
		if step < unit && most >= unit {
			step = unit
		}
	}
	top = max((most+step-1)/step, 1) * step
	return step, top
}

// lyingBars draws counts below one another, with their share of the whole.
func lyingBars(counts []int64) []bar {
	var most, all int64
	for _, n := range counts {
		most, all = max(most, n), all+n
	}
	bars := make([]bar, len(counts))
	for i, n := range counts {
		y := barStep * float64(i)
		width := max((barRight-barLeft)*float64(n)/float64(most), 1)
		bars[i] = bar{Y: coordinate(y + 4), Middle: coordinate(y + barStep/2), W: coordinate(width), End: coordinate(barLeft + width + 8),
			Text: fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(all))}
	}
	return bars
}

func coordinate(v float64) string { return fmt.Sprintf("%.1f", v) }
