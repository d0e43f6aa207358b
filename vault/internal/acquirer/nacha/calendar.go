package nacha

import (
	"errors"
	"time"

	"github.com/moov-io/base"
)

// maxLead bounds how many banking days ahead a file is dated. (banks accept debits from one and
// credits from one or two days ahead)
const maxLead = 5

// Calendar has the banking days of the Federal Reserve: Monday to Friday without its holidays. A
// holiday on a Sunday moves to the Monday after it; one on a Saturday does not move. (Federal
// Reserve Banks, holiday schedules)
type Calendar struct {
	Location *time.Location // the bank's
	// on the bank's clock, from 0:00 to 24:00: from then on a file belongs to the next banking day
	Cutoff time.Duration
	Lead   int // banking days from a file's day to the day its money moves, 1 to 5
}

// Check returns an error that names the first field that is not as its comment requires.
func (c Calendar) Check() error {
	switch {
	case c.Location == nil:
		return errors.New("banking calendar: name the bank's time zone, such as America/New_York")
	case c.Cutoff < 0 || c.Cutoff > 24*time.Hour:
		return errors.New("banking calendar: the cut-off is a time of day, from 00:00 to 24:00")
	case c.Lead < 1 || c.Lead > maxLead:
		return errors.New("banking calendar: the lead is 1 to 5 banking days")
	}
	return nil
}

// FileDay returns the banking day, at 0:00 of the calendar's location, of a file made now: today
// before the cut-off where today is a banking day, else the next one.
func (c Calendar) FileDay(now time.Time) time.Time {
	now = now.In(c.Location)
	day := c.noon(now, 0)
	// The clock's own reading: right on days of 23 or 25 hours too.
	clock := time.Duration(now.Hour())*time.Hour + time.Duration(now.Minute())*time.Minute +
		time.Duration(now.Second())*time.Second + time.Duration(now.Nanosecond())
	if clock >= c.Cutoff {
		day = c.noon(day, 1)
	}
	for !isBankingDay(day) {
		day = c.noon(day, 1)
	}
	return c.midnight(day)
}

// Effective returns the banking day, at 0:00 of the calendar's location, on which the money of a
// file made now moves.
func (c Calendar) Effective(now time.Time) time.Time {
	day := c.FileDay(now)
	for range c.Lead {
		day = c.noon(day, 1)
		for !isBankingDay(day) {
			day = c.noon(day, 1)
		}
	}
	return c.midnight(day)
}

// noon returns 12:00 some days after a day: no change of clocks moves it to another date.
func (c Calendar) noon(day time.Time, days int) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day()+days, 12, 0, 0, 0, c.Location)
}

func (c Calendar) midnight(day time.Time) time.Time {
	return time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, c.Location)
}

func isBankingDay(day time.Time) bool { return base.NewTime(day).IsBankingDay() }
