package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCompletion: the shell is given the ids of an outbox, files by their extension, and the values
// of flags that take only some.
func TestCompletion(t *testing.T) {
	const pending, answered = "0198c0de-0000-7000-8000-000000000001", "0198c0de-0000-7000-8000-000000000002"
	outbox := t.TempDir()
	for _, file := range []string{"pending/" + pending + ".note", "answered/" + answered + ".note", "pending/part.tmp"} {
		path := filepath.Join(outbox, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct{ line, want string }{
		{"results --outbox " + outbox + " --id ", pending + "\n" + answered + "\n:4\n"},
		{"results --outbox " + outbox + " --explain ", pending + "\n" + answered + "\n:4\n"},
		{"results --outbox " + outbox + " --prove ", pending + "\n" + answered + "\n:4\n"},
		{"results --outbox " + outbox + "/none --id ", ":4\n"},
		{"post --csv ", "csv\n:8\n"},
		{"post ", "note\n:8\n"},
		{"seal --suite ", "xwing\nx25519\n:4\n"},
	} {
		var out, errOut bytes.Buffer
		words := append([]string{"__complete"}, strings.Split(c.line, " ")...)
		if code := run(t.Context(), words, strings.NewReader(""), &out, &errOut); code != 0 || out.String() != c.want {
			t.Errorf("%s: exit code %d, %q, want %q", c.line, code, &out, c.want)
		}
	}
}
