package simulation

import (
	"strings"
	"testing"
	"testing/synctest"
)

func TestSame(t *testing.T) {
	var first string
	for range 12 {
		t.Run("x", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, plan{seed: 1, shops: 1, outstanding: 4})
				w.start(0)
				aDay(w)
				s := w.story.settled()
				if first == "" {
					first = s
				}
				if s != first {
					a, b := strings.Split(first, "\n"), strings.Split(s, "\n")
					for i := range a {
						if a[i] != b[i] {
							t.Fatalf("line %d\n%s\n--\n%s", i, strings.Join(a[max(0, i-15):min(i+8, len(a))], "\n"), strings.Join(b[max(0, i-3):min(i+8, len(b))], "\n"))
						}
					}
				}
			})
		})
	}
}
