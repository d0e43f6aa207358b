package tidy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// citation finds what cites the specification: "specification 7", "specification 1 to 5, 7 and
// 11.2", and as a link's text.
var citation = regexp.MustCompile(`\bspecification ([0-9]+(?:\.[0-9]+)?(?:(?:, | and | to )[0-9]+(?:\.[0-9]+)?)*)`)

var (
	sectionNumber = regexp.MustCompile(`[0-9]+(?:\.[0-9]+)?`)
	sectionHead   = regexp.MustCompile(`(?m)^###? ([0-9]+(?:\.[0-9]+)?)\.? `)
	oldCitation   = regexp.MustCompile(`\bINTERFACES\b|(?:^|[^-\w])format\.md\b`)
)

// TestCitedSectionsExist: a comment that sends its reader to a section which is not there explains
// nothing.
func TestCitedSectionsExist(t *testing.T) {
	page := read(t, "ops/docs/specification.md")
	sections := map[string]bool{}
	for _, head := range sectionHead.FindAllStringSubmatch(page, -1) {
		sections[head[1]] = true
	}
	if len(sections) < 16 {
		t.Fatalf("the specification has %d sections: the search is blind", len(sections))
	}
	cited := 0
	for _, file := range texts(t) {
		text := read(t, file)
		if old := oldCitation.FindString(text); old != "" {
			t.Errorf("%s cites %s, which is not in the repository: cite ops/docs/specification.md, as specification N", file, old)
		}
		for _, m := range citation.FindAllStringSubmatch(text, -1) {
			for _, number := range sectionNumber.FindAllString(m[1], -1) {
				cited++
				if !sections[number] {
					t.Errorf("%s: there is no specification %s", file, number)
				}
			}
		}
	}
	if cited < 80 {
		t.Errorf("%d citations: the search is blind", cited)
	}
}

// TestDocumentsLinksLead: each link of a page in ops/docs, .github and the README leads to a file
// that is there, and to a heading of it.
func TestDocumentsLinksLead(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:\s]*)(?:#([a-z0-9-]+))?\)`)
	seen := 0
	for _, file := range texts(t) {
		if !strings.HasSuffix(file, ".md") || strings.HasPrefix(file, "testdata/") {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			seen++
			target := file
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(filepath.Join(root(t), target)); err != nil {
				t.Errorf("%s: %s is not there", file, m[1])
			} else if m[2] != "" && !headings(read(t, target))[m[2]] {
				t.Errorf("%s: %s has no heading #%s", file, target, m[2])
			}
		}
	}
	if seen < 40 {
		t.Errorf("%d links: the search is blind", seen)
	}
}

// headings returns the anchors of a page's headings, as forges make them.
func headings(page string) map[string]bool {
	anchors := map[string]bool{}
	for _, line := range strings.Split(page, "\n") {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			title = strings.ReplaceAll(strings.ToLower(title), " ", "-")
			anchors[regexp.MustCompile(`[^a-z0-9_-]`).ReplaceAllString(title, "")] = true
		}
	}
	return anchors
}

// texts lists the files in which people cite pages: Go, scripts and documents, but this test.
func texts(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, file := range strings.Fields(run(t, "git", "ls-files", "--cached", "--others", "--exclude-standard", "--",
		"*.go", "*.md", "*.sh", "*.yaml", "*.txtar", "*.py", "Makefile", ".ci/run")) {
		_, err := os.Stat(filepath.Join(root(t), file))
		if err == nil && file != "ops/tidy/citations_test.go" {
			files = append(files, file)
		}
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root(t), file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
