package tidy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// named finds a test in the threat model's tables.
var named = regexp.MustCompile("`(Test[A-Za-z0-9]+)`")

// TestThreatModelsTestsExist: a bound whose test is gone is a sentence, and no bound.
func TestThreatModelsTestsExist(t *testing.T) {
	model, err := os.ReadFile(filepath.Join(root(t), "ops", "docs", "threat-model.md"))
	if err != nil {
		t.Fatal(err)
	}
	tests := strings.Fields(run(t, "git", "grep", "-hoE", `^func Test[A-Za-z0-9]+\(t`, "--", "*_test.go"))
	exists := map[string]bool{}
	for _, word := range tests {
		exists[strings.TrimSuffix(word, "(t")] = true
	}
	mentioned := named.FindAllStringSubmatch(string(model), -1)
	if len(mentioned) < 10 {
		t.Error("the threat model names fewer than ten tests: the search is blind")
	}
	for _, m := range mentioned {
		if !exists[m[1]] {
			t.Errorf("threat model: there is no %s", m[1])
		}
	}
}
