package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Sizes of the charts, in units: about a pixel at two charts a row of a page 1,200 pixels wide.
const (
	chartWidth   = 540.0
	chartHeight  = 200.0
	oneBarHeight = 104.0 // of a chart of a single day
	plotTop      = 12.0
	belowPlot    = 30.0 // for the days' names
	margin       = 20.0 // at the right, for half of the last day's name
	mostLabels   = 8    // days that are named below a chart
	widestBar    = 48.0 // a single day is no wall
	barStep      = 26.0
	letterWidth  = 7.2 // of the text's 11 units, in a wide font: what is measured by it is not cut
	textGap      = 8.0 // between a text and what it names
)

// volumeChart is the volume by day of one currency.
type volumeChart struct {
	Currency      string
	Width, Height float64
	Left, Right   float64 // of the plot
	Bottom        float64
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
	chart := volumeChart{Currency: currency, Width: chartWidth, Height: chartHeight, Right: chartWidth - margin}
	if len(dates) == 1 {
		chart.Height = oneBarHeight
	}
	chart.Bottom = chart.Height - belowPlot
	var most int64
	for _, t := range totals {
		most = max(most, t.Amount, t.CreditAmount)
		chart.Credits = chart.Credits || t.Credits > 0
	}
	step, top := scale(most, currency)
	if len(dates) == 1 {
		step = top // there is no room for more lines
	}
	for v := int64(0); v <= top; v += step {
		text := onAxis(v, step, currency)
		chart.Left = max(chart.Left, letterWidth*float64(len(text))+textGap)
		chart.Grid = append(chart.Grid, gridLine{Y: coordinate(chart.height(v, top)), Text: text})
	}
	slot := (chart.Right - chart.Left) / float64(len(dates))
	width := min(slot*0.72, widestBar)
	each := width
	if chart.Credits {
		each = width / 2
	}
	for i, date := range dates {
		middle := chart.Left + slot*(float64(i)+0.5)
		if i%((len(dates)+mostLabels-1)/mostLabels) == 0 {
			chart.Labels = append(chart.Labels, label{X: coordinate(middle), Text: date[5:]})
		}
		t := totals[date]
		if t.Amount > 0 {
			chart.upright(middle-width/2, each, chart.height(t.Amount, top), false,
				fmt.Sprintf("%s: %d debits, %s", date, t.Count, envelope.FormatAmount(t.Amount, currency)))
		}
		if t.CreditAmount > 0 {
			chart.upright(middle, each, chart.height(t.CreditAmount, top), true,
				fmt.Sprintf("%s: %d credits, %s", date, t.Credits, envelope.FormatAmount(t.CreditAmount, currency)))
		}
	}
	return chart
}

func (c *volumeChart) upright(x, width, y float64, credit bool, title string) {
	c.Bars = append(c.Bars, column{X: coordinate(x), Y: coordinate(y), W: coordinate(max(width, 0.5)), H: coordinate(max(c.Bottom-y, 1)),
		Credit: credit, Title: title})
}

// height is an amount's height above the ground.
func (c *volumeChart) height(amount, top int64) float64 {
	return c.Bottom - (c.Bottom-plotTop)*float64(amount)/float64(top)
}

// onAxis writes an amount beside a line of the grid, without a fraction where no line has one.
func onAxis(amount, step int64, currency string) string {
	text, known := envelope.MajorUnits(amount, currency)
	if !known {
		return fmt.Sprint(amount)
	}
	whole, fraction, _ := strings.Cut(text, ".")
	for at := len(whole) - 3; at > 0; at -= 3 {
		whole = whole[:at] + "," + whole[at:]
	}
	if each, _ := envelope.MajorUnits(step, currency); fraction == "" || strings.Trim(each[strings.Index(each, ".")+1:], "0") == "" {
		return whole
	}
	return whole + "." + fraction
}

// scale returns the distance of the grid's lines, 1, 2 or 5 times a power of ten in the currency's
// major unit where that is large enough, and the highest line.
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

// lyingBars draws counts as rows, with their share of the whole; left is where their names end.
func lyingBars(names []string, counts []int64) (bars []bar, left float64) {
	var most, all int64
	for i, n := range counts {
		most, all = max(most, n), all+n
		left = max(left, letterWidth*float64(len(names[i])))
	}
	bars = make([]bar, len(counts))
	room := 0.0 // for the longest text
	for i, n := range counts {
		bars[i].Text = fmt.Sprintf("%d (%.1f %%)", n, 100*float64(n)/float64(all))
		room = max(room, letterWidth*float64(len(bars[i].Text)))
	}
	widest := chartWidth - left - room - 2*textGap
	for i, n := range counts {
		y := barStep * float64(i)
		width := max(widest*float64(n)/float64(most), 1)
		bars[i].Y, bars[i].Middle, bars[i].W = coordinate(y+4), coordinate(y+barStep/2), coordinate(width)
		bars[i].End = coordinate(left + width + 2*textGap)
	}
	return bars, left
}

func coordinate(v float64) string { return fmt.Sprintf("%.1f", v) }
