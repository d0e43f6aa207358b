package text

import (
	"fmt"
	"strconv"
	"strings"
)

// Size writes a number of bytes for people, in MiB or GiB.
func Size(bytes int64) string {
	const mebibyte, gibibyte = float64(1 << 20), float64(1 << 30)
	if n := float64(bytes); n >= gibibyte {
		return fmt.Sprintf("%.1f GiB", n/gibibyte)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/mebibyte)
}

// Thousands writes a number for people: 1234567 is "1,234,567".
func Thousands(n int64) string { return Grouped(strconv.FormatInt(n, 10)) }

// Grouped has a comma before every three digits of a decimal number's whole part: "-1234.50" is
// "-1,234.50".
func Grouped(number string) string {
	whole, rest := number, ""
	if dot := strings.IndexByte(number, '.'); dot >= 0 {
		whole, rest = number[:dot], number[dot:]
	}
	sign := ""
	if strings.HasPrefix(whole, "-") {
		sign, whole = "-", whole[1:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + rest
}
