package tidy

import (
	"regexp"
	"strings"
	"testing"
)

// named finds a test in the tables of a page.
var named = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")

// TestNamedTestsExist: a bound, or an answer to a crash, whose test is gone is a sentence and no
// more.
func TestNamedTestsExist(t *testing.T) {
	tests := strings.Fields(run(t, "git", "grep", "-hoE", `^func Test[A-Za-z0-9]+\(t`, "--", "*_test.go"))
	exists := map[string]bool{}
	for _, word := range tests {
		exists[strings.TrimSuffix(word, "(t")] = true
	}
	for _, page := range []string{"threat-model.md", "architecture.md"} {
		mentioned := named.FindAllStringSubmatch(read(t, "ops/docs/"+page), -1)
		if len(mentioned) < 20 {
			t.Errorf("%s names fewer than twenty tests: the search is blind", page)
		}
		for _, m := range mentioned {
			if !exists[m[1]] {
				t.Errorf("%s: there is no %s", page, m[1])
			}
		}
	}
}
