package tidy

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// run runs a command at the repository's root and returns its standard output.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = root(t)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.String())
	}
	return string(out)
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// built is where the binaries are, once a test asked for them.
var built string

func TestMain(m *testing.M) {
	code := m.Run()
	if built != "" {
		_ = os.RemoveAll(built)
	}
	os.Exit(code)
}

// build builds the four binaries, once, and returns their directory.
func build(t *testing.T) string {
	t.Helper()
	if built == "" {
		dir, err := os.MkdirTemp("", "nightdrop-tidy-")
		if err != nil {
			t.Fatal(err)
		}
		built = dir
		run(t, "go", "build", "-o", dir, "./relay", "./vault", "./ops/storefront", "./ops/simulator")
	}
	return built
}

// sources lists the Go files that git tracks or would track, relative to the root.
func sources(t *testing.T) []string {
	t.Helper()
	files := strings.Fields(run(t, "git", "ls-files", "--cached", "--others", "--exclude-standard", "*.go"))
	files = slices.DeleteFunc(files, func(file string) bool {
		_, err := os.Stat(filepath.Join(root(t), file))
		return err != nil
	})
	if len(files) < 50 {
		t.Fatalf("only %d Go files: the list is wrong", len(files))
	}
	return files
}

// TestTopLevelIsAsGiven: two hosts, what they share and how it is operated show from the top. What
// forges look for (contributing, security) is in .github, a dot-file; changes and licence are pages
// of ops/docs.
func TestTopLevelIsAsGiven(t *testing.T) {
	given := []string{"relay", "vault", "shared", "ops", "testdata", "go.mod", "go.sum", "Makefile", "README.md"}
	for _, file := range strings.Fields(run(t, "git", "ls-files")) {
		top, _, _ := strings.Cut(file, "/")
		if !strings.HasPrefix(top, ".") && !slices.Contains(given, top) {
			t.Errorf("%s: the top level is %v and dot-files, nothing else", file, given)
		}
	}
}

func TestNoTestSkips(t *testing.T) {
	for _, file := range sources(t) {
		if !strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "ops/tidy/") {
			continue
		}
		data, err := os.ReadFile(filepath.Join(root(t), file))
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(".Skip")) {
			t.Errorf("%s: a skipped test is not a passed one: give it a build tag that the gate sets, or make it run", file)
		}
	}
}
