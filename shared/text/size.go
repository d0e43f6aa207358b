package text

import "fmt"

// Size writes a number of bytes for people, in MiB or GiB.
func Size(bytes int64) string {
	const mebibyte, gibibyte = float64(1 << 20), float64(1 << 30)
	if n := float64(bytes); n >= gibibyte {
		return fmt.Sprintf("%.1f GiB", n/gibibyte)
	}
	return fmt.Sprintf("%.1f MiB", float64(bytes)/mebibyte)
}
