package envelope

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
)

const specificationPage = "../../ops/docs/specification.md"

// example is a fenced block that follows a comment naming its vector.
var example = regexp.MustCompile("(?m)^<!-- vector: ([a-z0-9-]+) / (.+) -->\n```\n((?s:.*?))```$")

// TestSpecificationShowsRealBytes: the examples of ops/docs/specification.md are vectors, and every
// statement has one.
func TestSpecificationShowsRealBytes(t *testing.T) {
	page, err := os.ReadFile(specificationPage)
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	want := example.ReplaceAllFunc(page, func(block []byte) []byte {
		m := example.FindSubmatch(block)
		format, name := string(m[1]), string(m[2])
		shown[format] = true
		text, err := vectorText(format, name)
		if err != nil {
			t.Error(err)
			return block
		}
		return fmt.Appendf(nil, "<!-- vector: %s / %s -->\n```\n%s```", format, name, shorten(text))
	})
	if *update {
		if err := os.WriteFile(specificationPage, want, 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(page) != string(want) {
		t.Error("an example is not its vector: run the test with -update and look at the difference")
	}
	for _, format := range []string{"note", "vkey", "json", "envelope", "receipt", "bag-note", "result", "directory", "members", "position", "order", "result-plaintext", "checkpoint", "tlog-proof", "auditor"} {
		if !shown[format] {
			t.Errorf("the page shows no example of %s", format)
		}
	}
}

func vectorText(format, name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(vectorsDir, format+".json"))
	if err != nil {
		return "", err
	}
	var f vector.File
	if err := json.Unmarshal(data, &f); err != nil {
		return "", err
	}
	for _, v := range f.Vectors {
		if v.Name == name {
			return strings.TrimSuffix(v.Text, "\n") + "\n", nil
		}
	}
	return "", fmt.Errorf("there is no vector %q of %s", name, format)
}

var (
	longBase64 = regexp.MustCompile(`[A-Za-z0-9+/]{121,}={0,2}`)
	manyLines  = regexp.MustCompile(`((?:A{43}=\n){2})(?:A{43}=\n)+((?:A{43}=\n){1})`)
)

// shorten leaves out the middle of long base64 and of many like lines.
func shorten(text string) string {
	text = longBase64.ReplaceAllStringFunc(text, func(s string) string { return s[:40] + "[...]" + s[len(s)-20:] })
	return manyLines.ReplaceAllString(text, "$1[...]\n$2")
}

// TestSpecificationNamesStatusesAndCodes: whoever reads results by the page alone finds there what
// each may say.
func TestSpecificationNamesStatusesAndCodes(t *testing.T) {
	page, err := os.ReadFile(specificationPage)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("facts.go")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?m)^\t(?:Status|Code)[A-Za-z]+ +(?:Status|Code) += "([a-z-]+)"`).FindAllSubmatch(source, -1)
	if len(named) < 40 {
		t.Fatalf("facts.go names %d statuses and codes", len(named))
	}
	for _, one := range named {
		if row := regexp.MustCompile("(?m)^\\| [^|]*`" + string(one[1]) + "`[^|]*\\| "); !row.Match(page) {
			t.Errorf("the specification has no row that tells what %s means", one[1])
		}
	}
}
