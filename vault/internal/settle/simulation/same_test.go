package simulation

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
)

// TestSameSeedSameStory runs seeds twice: what happens, and when, is the same to the nanosecond, so
// that a seed that fails can be looked into.
func TestSameSeedSameStory(t *testing.T) {
	for seed := uint64(1); seed <= 12; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			var stories [2][]string
			for i := range stories {
				synctest.Test(t, func(t *testing.T) { stories[i] = strings.Split(simulate(t, drawn(seed)).story.settled(), "\n") })
			}
			for i, line := range stories[0] {
				if i >= len(stories[1]) || stories[1][i] != line {
					t.Fatalf("the stories differ from line %d on:\n%s\n\n%s", i, excerpt(stories[0], i), excerpt(stories[1], i))
				}
			}
		})
	}
}

// excerpt is a story around a line.
func excerpt(story []string, line int) string {
	return strings.Join(story[max(0, min(line, len(story))-5):min(line+5, len(story))], "\n")
}
