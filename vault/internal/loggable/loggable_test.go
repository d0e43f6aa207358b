package loggable

import (
	"strings"
	"testing"
	"time"
)

func TestWhatMayStand(t *testing.T) {
	for text, may := range map[string]bool{
		"": true, "order 17": true, "4242424242424243": true, "4242424242424242": false, "x4242424242424242y": false, "4242 4242 4242 4242": false,
		"4242-4242-4242-4242": false, "4242  4242  4242  4242": false, "4242.4242.4242.4242": false, "4242 4242 4242 4242 12 31": false,
		"ref 17 4242-4242-4242-4242": false, "4242   4242   4242   4242": true, "4242_4242_4242_4242": true, "1111 1111 1111 1112": true,
		"12 4242424242424242": false, "4242424242424242 12": false, "amex 378282246310005, gone": false, "a run of 42424242424242424242": true,
		"tab\there": false, "Grüße": false, "00000000000000000000": true,
		// Times begin no number, and hide none.
		"demo-20261129-175406": true, "RET.20261129.175406.001": true, "2026-11-29-18-00-02": true, "20261129175406.ach": true,
		"2026-11-29 4242424242424242": false, "20261129-4242424242424242": false, "20261129-175406-4242424242424242": false,
		"2026-11-29 2221 0012 3456 7896": false, "20261129 2221 0012 3456 7896": false, "20261129-2221-0012-3456-7896": false, "2026.11.29 2221001234567896": false,
		"4242 2026 1129 4244": false, "2026-1129-1234-5674": false, "20261129 1234 5674": true, "20261399175409": false, "20261129175406000002": true,
		"202611291754067": false, "19261129175409": false,
	} {
		if Text(text) != may {
			t.Errorf("%q: want %v", text, may)
		}
	}
}

// TestNamesWithTimes: no second of a day makes the name of a file or a directory one that is
// refused.
func TestNamesWithTimes(t *testing.T) {
	for _, layout := range []string{"demo-20060102-150405", "returns_20060102150405.ach", "2006-01-02T15:04", "log 2006-01-02 15.04.05", "200601021504", "log.2006.01.02-15.04"} {
		at := time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)
		for range 24 * 60 {
			if name := at.Format(layout); !Text(name) {
				t.Fatalf("%q is refused", name)
			}
			at = at.Add(61 * time.Second)
		}
	}
}

func TestFileNames(t *testing.T) {
	for name, may := range map[string]bool{"": false, "a": true, strings.Repeat("x", 100): true, strings.Repeat("x", 101): false, "5555555555554444.ach": false,
		"nightdrop-20261129-A.ach": true, "two\nlines": false} {
		if FileName(name) != may {
			t.Errorf("%q: want %v", name, may)
		}
	}
}

func FuzzHoldsNumber(f *testing.F) {
	f.Add("ref 17 ", " 12", "4242 4242 4242 4242")
	f.Add("2026-11-29-", "", "378282246310005")
	f.Fuzz(func(t *testing.T, before, after, number string) {
		n := len(strings.Map(func(r rune) rune {
			if '0' <= r && r <= '9' {
				return r
			}
			return -1
		}, number))
		if n < 12 || !HoldsNumber(number) {
			return
		}
		// Whatever stands beside a number, with something between them, hides it not.
		if !HoldsNumber(before + "/" + number + "/" + after) {
			t.Errorf("%q is hidden between %q and %q", number, before, after)
		}
	})
}
