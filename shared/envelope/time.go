package envelope

import "time"

// timeLayout is RFC 3339, UTC, whole seconds.
const timeLayout = "2006-01-02T15:04:05Z"

// Time is a statement's time: RFC 3339, UTC, whole seconds, 'Z', years 0000 to 9999; comparable by
// ==.
type Time struct{ time.Time }

// At returns t in UTC, cut to whole seconds.
func At(t time.Time) Time { return Time{t.UTC().Truncate(time.Second)} }

// String returns the time as it stands in statements.
func (t Time) String() string { return t.UTC().Format(timeLayout) }

// DateText is the UTC date, YYYY-MM-DD. It returns likely if equal, which spares a copy.
func (t Time) DateText(likely string) string { return t.cut(len("2006-01-02"), likely) }

// MonthText is YYYY-MM likewise.
func (t Time) MonthText(likely string) string { return t.cut(len("2006-01"), likely) }

func (t Time) cut(width int, likely string) string {
	var text [len(time.RFC3339)]byte
	if date := t.UTC().AppendFormat(text[:0], time.RFC3339)[:width]; string(date) != likely {
		return string(date)
	}
	return likely
}

// MarshalText writes the time as it stands in statements; parts of a second are cut off.
func (t Time) MarshalText() ([]byte, error) {
	quoted, err := t.AppendJSON(nil)
	if err != nil {
		return nil, err
	}
	return quoted[1 : len(quoted)-1], nil
}

// MarshalJSON hides that of the embedded [time.Time], which writes fractions and offsets.
func (t Time) MarshalJSON() ([]byte, error) { return t.AppendJSON(nil) }

// AppendJSON appends what MarshalJSON returns.
func (t Time) AppendJSON(dst []byte) ([]byte, error) {
	utc := t.UTC()
	if y := utc.Year(); y < 0 || y > 9999 {
		return nil, malformed("a time outside the years 0000 to 9999")
	}
	// whose zone is Z in UTC
	return append(utc.AppendFormat(append(dst, '"'), time.RFC3339), '"'), nil
}

// UnmarshalText reads exactly the form that MarshalText writes.
func (t *Time) UnmarshalText(text []byte) error {
	// time.Parse accepts fractions that the layout does not have, so the length is checked, too.
	parsed, err := time.Parse(time.RFC3339, string(text)) // the layout that it reads fastest
	if err != nil || len(text) != len(timeLayout) || text[len(text)-1] != 'Z' {
		return malformed("a time is RFC 3339, UTC, whole seconds, Z")
	}
	t.Time = parsed
	return nil
}

// UnmarshalJSON reads the quoted form for encoding/json; strictjson uses UnmarshalText.
func (t *Time) UnmarshalJSON(data []byte) error {
	if len(data) < 2 || data[0] != '"' || data[len(data)-1] != '"' {
		return malformed("a time is a string")
	}
	return t.UnmarshalText(data[1 : len(data)-1])
}
