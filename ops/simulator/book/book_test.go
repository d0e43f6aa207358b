package book

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBook(t *testing.T) {
	path := filepath.Join(t.TempDir(), "book")
	for _, noSync := range []bool{false, true} {
		if err := os.WriteFile(path, []byte("{\"one\":1}\n{\"tor"), 0o600); err != nil {
			t.Fatal(err)
		}
		var read []string
		take := func(line []byte) error { read = append(read, string(line)); return nil }
		b, err := Open(path, noSync, take)
		if err != nil || len(read) != 1 || read[0] != "{\"one\":1}\n" {
			t.Fatalf("read %q, error %v", read, err)
		}
		if _, err := Open(path, noSync, take); !errors.Is(err, ErrLocked) {
			t.Errorf("opened twice: %v, want ErrLocked", err)
		}
		if err := b.Append([]byte("{\"two\":2}\n")); err != nil {
			t.Error(err)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
		if err := b.Append([]byte("{\"three\":3}\n")); err == nil {
			t.Error("appended to a closed book")
		}
		if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, []byte("{\"one\":1}\n{\"two\":2}\n")) {
			t.Errorf("the file is %q, error %v", got, err)
		}
		refused := errors.New("refused")
		if err := Read(path, func(line []byte) error {
			if bytes.Contains(line, []byte("two")) {
				return refused
			}
			return nil
		}); !errors.Is(err, refused) || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("a line that is refused: %v, want an error that names line 2", err)
		}
	}
}
