package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightdrop/shared/command"
	"nightdrop/shared/waittest"
)

// TestGivenFilesOfAnAttacker: files that come on a courier's stick beside the log make the command
// wait for nothing, nor fill its memory.
func TestGivenFilesOfAnAttacker(t *testing.T) {
	in := func(name string) string { return filepath.Join(t.TempDir(), name) }
	pipe, endless, dir, none, honest := in("pipe"), in("endless"), t.TempDir(), in("none"), in("honest")
	if err := errors.Join(unix.Mkfifo(pipe, 0o600), os.WriteFile(endless, nil, 0o600), os.Truncate(endless, 1<<40),
		os.WriteFile(honest, []byte("text"), 0o600)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if data, err := readGiven(pipe); err != nil || len(data) > 0 {
			t.Errorf("a pipe to which nobody writes: %q, %v", data, err)
		}
	}()
	waittest.Receive(t, "reading a pipe to which nobody writes to end", ended)
	for path, want := range map[string]error{endless: command.ErrUsage, dir: command.ErrUsage, none: fs.ErrNotExist} {
		if _, err := readGiven(path); !errors.Is(err, want) {
			t.Errorf("%s: %v", path, err)
		}
	}
	read, write, err := os.Pipe() // as a shell's <(command)
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	go func() {
		time.Sleep(50 * time.Millisecond)
		_, _ = write.WriteString("text")
		_ = write.Close()
	}()
	for _, path := range []string{honest, fmt.Sprint("/proc/self/fd/", read.Fd())} {
		if data, err := readGiven(path); err != nil || string(data) != "text" {
			t.Errorf("%s: %q, %v", path, data, err)
		}
	}
}
