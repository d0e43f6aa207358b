package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// promptly bounds the end of a vault that does not know what its disk holds.
const promptly = time.Second

// failWrites has every write of this process to an open file fail, from now on, as on a disk that
// is gone.
func failWrites(t *testing.T, path string) {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	broken := 0
	for _, entry := range open {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			t.Fatal(err)
		}
		if target, err := os.Readlink("/proc/self/fd/" + entry.Name()); err != nil || target != path {
			continue
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0); err != nil || flags&unix.O_ACCMODE != unix.O_RDWR {
			continue
		}
		reading, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			err = errors.Join(unix.Dup3(reading, fd, unix.O_CLOEXEC), unix.Close(reading))
		}
		if err != nil {
			t.Fatal(err)
		}
		broken++
	}
	if broken == 0 {
		t.Fatalf("%s is not open", path)
	}
}

// running runs the daemon, unlocked; its exit code comes when it ends by itself.
func (s *site) running() (ended <-chan int) {
	s.t.Helper()
	code := make(chan int, 1)
	ctx, cancel := context.WithCancel(context.Background())
	s.t.Cleanup(cancel)
	go func() {
		code <- run(ctx, []string{"serve", "--dir", s.dir}, console{in: strings.NewReader(""), out: io.Discard, errOut: s.t.Output(), now: time.Now})
	}()
	s.wait("the socket", func() bool { code, _ := s.command("status"); return code == 0 })
	var unlocked control.Unlocked
	s.json(&unlocked, "unlock", "--share", s.shares[0], "--share", s.shares[2])
	return code
}

// endsWith fails unless the daemon ends within a second, with this exit code, and answers no status
// meanwhile.
func (s *site) endsWith(ended <-chan int, want int) {
	s.t.Helper()
	select {
	case code := <-ended:
		if code != want {
			s.t.Errorf("the daemon ended with exit code %d, want %d", code, want)
		}
	case <-time.After(promptly):
		code, out := s.command("status")
		s.t.Fatalf("the daemon did not end within %s; status: exit code %d\n%s", promptly, code, out)
	}
}

// TestFailedWriteEndsTheDaemon: whichever file it is that could not be written, and whoever wrote
// it, the process ends within a second though an answer of the host is outstanding; the next one
// knows what is true.
func TestFailedWriteEndsTheDaemon(t *testing.T) {
	stored := draft{order: `{"operation":"store","reference":"keep"}`, account: `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`}
	for _, c := range []struct {
		name, file string
		cause      func(s *site)
	}{
		{"a call's commit", settings.LedgerFile, func(s *site) {
			if code, _ := s.command("merchant", "suspend", "shop-1", "--reason", "a test"); code == 0 {
				t.Error("a call whose commit failed was told that it succeeded")
			}
		}},
		{"an envelope", settings.LedgerFile, func(s *site) { s.post(200) }},
		{"the clock's confirmation", "sealing.keys", func(s *site) {
			if code, _ := s.command("unlock", "--confirm-clock", "--share", s.shares[0], "--share", s.shares[1]); code != 1 {
				t.Errorf("a confirmation that was not written: exit code %d", code)
			}
		}},
		{"a stored account", "stored.keys", func(s *site) { s.send(stored) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			s.configure(map[string]string{`stop_grace = "10s"`: `stop_grace = "1m"`})
			ended := s.running()
			s.enrol()
			var merchant control.Merchant
			s.json(&merchant, "merchant", "policy", "shop-1", "--storage", "on", "--reason", "a test")
			s.post(900100) // is never answered
			s.wait("an outstanding answer", func() bool { return s.status().Working[book.StageAuthorising] == 1 })
			failWrites(t, filepath.Join(s.dir, c.file))
			c.cause(s)
			s.endsWith(ended, 1)

			stop := s.serve()
			s.wait("the outstanding one to be known as unknown", func() bool { return s.status().Working[book.StageAuthorising] == 0 })
			s.post(300)
			s.wait("the next sale", func() bool {
				stages, _ := s.stages()
				return stages[book.StageApproved] > 0
			})
			stop()
			s.checkLedger()
		})
	}
}

// TestDamageFoundWhileItRuns: a ledger that is found to be damaged ends the process with the exit
// code of integrity, whoever found it.
func TestDamageFoundWhileItRuns(t *testing.T) {
	s := newSite(t)
	ended := s.running()
	s.enrol()
	f, err := os.OpenFile(filepath.Join(s.dir, settings.LedgerFile), os.O_WRONLY, 0)
	s.must(err)
	info, err := f.Stat()
	s.must(err)
	_, err = f.WriteAt(make([]byte, info.Size()-2*pageOfKeys), 2*pageOfKeys)
	s.must(errors.Join(err, f.Close()))
	if code, _ := s.command("merchant", "list"); code != 7 && code != 8 {
		t.Errorf("a call that met the damage: exit code %d", code)
	}
	s.endsWith(ended, 7)
}
