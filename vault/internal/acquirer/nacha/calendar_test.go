package nacha_test

import (
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer/nacha"
)

func newYork(t *testing.T) *time.Location {
	t.Helper()
	location, err := time.LoadLocation("America/New_York")
	if err != nil {
		t.Fatal(err)
	}
	return location
}

// closed are the weekdays on which the Federal Reserve Banks are closed, as they publish them.
// Holidays on a Saturday are missing here: 2026-07-04, 2027-06-19, 2027-12-25, 2028-01-01 and
// 2028-11-11 leave the Friday before them open.
var closed = []string{
	"2026-01-01", "2026-01-19", "2026-02-16", "2026-05-25", "2026-06-19", "2026-09-07", "2026-10-12", "2026-11-11", "2026-11-26", "2026-12-25",
	"2027-01-01", "2027-01-18", "2027-02-15", "2027-05-31", "2027-07-05", "2027-09-06", "2027-10-11", "2027-11-11", "2027-11-25",
	"2028-01-17", "2028-02-21", "2028-05-29", "2028-06-19", "2028-07-04", "2028-09-04", "2028-10-09", "2028-11-23", "2028-12-25",
}

func TestBankingDaysOfThreeYears(t *testing.T) {
	calendar := nacha.Calendar{Location: newYork(t), Cutoff: 17 * time.Hour, Lead: 1}
	holiday := map[string]bool{}
	for _, c := range closed {
		holiday[c] = true
	}
	seen := 0
	for now := time.Date(2026, 1, 1, 9, 0, 0, 0, calendar.Location); now.Year() < 2029; now = now.AddDate(0, 0, 1) {
		date := now.Format(time.DateOnly)
		open := now.Weekday() != time.Saturday && now.Weekday() != time.Sunday && !holiday[date]
		if holiday[date] {
			seen++
		}
		if got := calendar.FileDay(now); (got.Format(time.DateOnly) == date) != open {
			t.Errorf("%s %s: a file belongs to %s, open %v", now.Weekday(), date, got.Format(time.DateOnly), open)
		}
	}
	if seen != len(closed) {
		t.Errorf("met %d holidays, want %d", seen, len(closed))
	}
}

func TestFileDayAndEffectiveDate(t *testing.T) {
	location := newYork(t)
	for _, c := range []struct {
		now, file, effective string
		lead                 int
	}{
		{"2026-11-23T09:00:00-05:00", "2026-11-23", "2026-11-24", 1}, // a Monday
		{"2026-11-23T16:29:59.999-05:00", "2026-11-23", "2026-11-24", 1},
		{"2026-11-23T16:30:00-05:00", "2026-11-24", "2026-11-25", 1},
		// 21:00 of the 23rd at the bank
		{"2026-11-24T02:00:00Z", "2026-11-24", "2026-11-25", 1},
		// over Thanksgiving and a weekend
		{"2026-11-25T17:00:00-05:00", "2026-11-27", "2026-11-30", 1},
		{"2026-11-25T09:00:00-05:00", "2026-11-25", "2026-11-30", 2},
		{"2026-11-21T09:00:00-05:00", "2026-11-23", "2026-11-24", 1}, // a Saturday
		// Independence Day is a Saturday
		{"2026-07-02T17:00:00-04:00", "2026-07-03", "2026-07-06", 1},
		// and a Sunday, kept on the Monday
		{"2027-07-02T17:00:00-04:00", "2027-07-06", "2027-07-07", 1},
		// New Year's Day is a Saturday
		{"2027-12-30T17:00:00-05:00", "2027-12-31", "2028-01-03", 1},
		{"2026-12-31T17:00:00-05:00", "2027-01-04", "2027-01-05", 1},
		// over the change to summer time
		{"2026-03-06T17:00:00-05:00", "2026-03-09", "2026-03-10", 1},
		{"2026-03-09T16:29:59-04:00", "2026-03-09", "2026-03-10", 1},
		{"2026-10-30T16:30:00-04:00", "2026-11-02", "2026-11-03", 1}, // and back
		{"2026-11-02T16:29:59-05:00", "2026-11-02", "2026-11-03", 1},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		calendar := nacha.Calendar{Location: location, Cutoff: 16*time.Hour + 30*time.Minute, Lead: c.lead}
		file, effective := calendar.FileDay(now), calendar.Effective(now)
		if file.Format(time.DateTime) != c.file+" 00:00:00" || effective.Format(time.DateTime) != c.effective+" 00:00:00" || file.Location() != location {
			t.Errorf("%s, lead %d: file %s, effective %s; want %s and %s", c.now, c.lead, file, effective, c.file, c.effective)
		}
	}
}

// On a Sunday of 23 or 25 hours the cut-off is by the clock.
func TestCutoffFollowsTheClock(t *testing.T) {
	calendar := nacha.Calendar{Location: newYork(t), Cutoff: 24 * time.Hour, Lead: 1}
	for _, now := range []string{"2026-03-08T23:59:59-04:00", "2026-11-01T23:59:59-05:00"} {
		at, err := time.Parse(time.RFC3339, now)
		if err != nil {
			t.Fatal(err)
		}
		if got := calendar.FileDay(at); got.Weekday() != time.Monday || got.Sub(at) > time.Second {
			t.Errorf("%s belongs to %s, want the next day", now, got)
		}
	}
	noCutoff := time.Date(2026, 11, 23, 23, 59, 59, 0, calendar.Location)
	if got := calendar.FileDay(noCutoff); got.Day() != 23 {
		t.Errorf("a cut-off at 24:00 moved a file to %s", got)
	}
}

func TestCalendarsThatAreRefused(t *testing.T) {
	good := nacha.Calendar{Location: time.UTC, Cutoff: 17 * time.Hour, Lead: 1}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for name, defect := range map[string]func(*nacha.Calendar){
		"no location":   func(c *nacha.Calendar) { c.Location = nil },
		"cut-off":       func(c *nacha.Calendar) { c.Cutoff = 24*time.Hour + 1 },
		"no lead":       func(c *nacha.Calendar) { c.Lead = 0 },
		"lead too long": func(c *nacha.Calendar) { c.Lead = 6 },
	} {
		bad := good
		defect(&bad)
		if bad.Check() == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
