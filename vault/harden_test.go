package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/settings"
)

// nobody is a user without rights: a process of root's looks the same whether it may be dumped or
// not.
const nobody = 65534

// held is a program that stands still: with nothing on its standard input and no room on its
// standard output.
type held struct {
	*exec.Cmd
	input io.Closer
	errs  bytes.Buffer
}

// hold starts the program with arguments in a directory of nobody's.
func hold(t *testing.T, dir string, args ...string) *held {
	t.Helper()
	h := &held{Cmd: exec.Command(filepath.Join(dir, "vault"), args...)}
	h.Dir, h.Stderr = dir, &h.errs
	if os.Getuid() == 0 {
		h.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, input, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	fill(t, write)
	h.Stdin, h.Stdout, h.input = in, write, input
	if err := h.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = h.Process.Kill() // it may have ended
		_ = h.Wait()
		for _, f := range []*os.File{read, write, in, input} {
			_ = f.Close()
		}
	})
	return h
}

// fill leaves no room in a pipe.
func fill(t *testing.T, pipe *os.File) {
	t.Helper()
	if err := pipe.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := pipe.Write(make([]byte, 4096)); err != nil {
			return
		}
	}
}

// kept reports whether a process's memory is kept from core files and from others of its user.
func (h *held) kept(t *testing.T) bool {
	t.Helper()
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", h.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(fmt.Sprintf("/proc/%d/status", h.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	owner := info.Sys().(*syscall.Stat_t).Uid // root's where the process may not be dumped
	return regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) && owner == 0
}

// TestNoCoreFilesOfSecrets: the commands that read or make a share or an auditor's key leave no
// core file, and no other process of their user reads their memory. A command that has no secret is
// the control.
func TestNoCoreFilesOfSecrets(t *testing.T) {
	dir := t.TempDir()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "vault"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{".", "a", "b", "c"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if os.Getuid() == 0 {
			if err := os.Chown(filepath.Join(dir, name), nobody, nobody); err != nil {
				t.Fatal(err)
			}
		}
	}
	// else nobody does not come as far
	for path := filepath.Dir(dir); path != "/tmp" && path != "/"; path = filepath.Dir(path) {
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	control := hold(t, dir, "audit", "verify", "--help")
	time.Sleep(300 * time.Millisecond)
	if control.kept(t) {
		t.Fatal("a command without secrets looks the same: the test sees nothing")
	}
	unlock := hold(t, dir, "unlock", "--dir", filepath.Join(dir, "none"))
	waittest.For(t, "unlock to keep its memory to itself", func() bool { return unlock.kept(t) })
	made := hold(t, dir, "init", "--dir", filepath.Join(dir, "v"), "--name", "vault.example.com", "--shares", "3", "--threshold", "2", "--shares-to",
		strings.Join([]string{filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "c")}, ","), "--shares-on-own-disk")
	waittest.For(t, "init to make the vault", func() bool {
		_, err := os.Stat(filepath.Join(dir, "v", settings.File))
		return err == nil
	})
	if !made.kept(t) {
		t.Errorf("init, which has made the shares, may be dumped: %s", made.errs.String())
	}
}
