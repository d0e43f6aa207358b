package command

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLine(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name, content, label, want, problem string
	}{
		{"one line", "shop+1234+AbC\n", "verifier", "shop+1234+AbC", ""},
		{"a mark and blank lines", "\ufeff\n  shop+1234+AbC \r\n\n", "verifier", "shop+1234+AbC", ""},
		{"what keygen printed", "verifier shop+1+A\nreply-key reply-2+B\n", "reply-key", "reply-2+B", ""},
		{"the other of it", "verifier shop+1+A\nreply-key reply-2+B\n", "verifier", "shop+1+A", ""},
		{"two of a kind", "verifier a\nverifier b\n", "verifier", "", "2 lines that begin"},
		{"none", "first\nsecond\n", "verifier", "", "none begins"},
		{"nothing", "", "verifier", "", "0 lines"},
		{"too long", strings.Repeat("x", maxLineFile+1), "verifier", "", "65536"},
	} {
		path := filepath.Join(dir, strings.ReplaceAll(c.name, " ", "-"))
		if err := os.WriteFile(path, []byte(c.content), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Line("@"+path, c.label)
		if c.problem == "" && (err != nil || got != c.want) {
			t.Errorf("%s: %q (%v), want %q", c.name, got, err, c.want)
		}
		if c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)) {
			t.Errorf("%s: %v, want an error with %q", c.name, err, c.problem)
		}
	}
	if got, err := Line(" shop+1234+AbC\n", "verifier"); err != nil || got != "shop+1234+AbC" {
		t.Errorf("a line itself: %q (%v)", got, err)
	}
	if _, err := Line("@"+filepath.Join(dir, "absent"), "verifier"); !os.IsNotExist(err) {
		t.Errorf("a file that is not there: %v", err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Line("@"+pipe, "verifier"); err == nil || !strings.Contains(err.Error(), "0 lines") {
		t.Errorf("a pipe without a writer: %v, want it taken as empty", err)
	}
}
