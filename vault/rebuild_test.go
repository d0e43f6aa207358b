package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
)

// start runs the laid vault's daemon as a program of its own, locked, until it is killed.
func (s *site) start() *exec.Cmd {
	s.t.Helper()
	cmd := exec.Command("vault", "serve", "--dir", s.dir)
	cmd.Stderr = s.t.Output()
	s.must(cmd.Start())
	client := control.NewClient(filepath.Join(s.dir, "vault.sock"), "")
	s.wait("the daemon", func() bool { _, err := client.Status(s.t.Context()); return err == nil })
	return cmd
}

// kill ends a daemon as a power cut does.
func (s *site) kill(cmd *exec.Cmd) {
	s.t.Helper()
	s.must(cmd.Process.Signal(syscall.SIGKILL))
	_ = cmd.Wait()
}

// unlockBy unlocks by the command line and returns its exit code and what it said.
func (s *site) unlockBy(more ...string) (code int, said string) {
	args := append([]string{"unlock", "--dir", s.dir, "--share", s.shares[0], "--share", s.shares[1]}, more...)
	out, err := exec.CommandContext(s.t.Context(), "vault", args...).CombinedOutput()
	if err == nil {
		return 0, string(out)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode(), string(out)
	}
	s.t.Fatal(err)
	return 0, ""
}

// offline names a channel and an acquirer that are not there.
func (s *site) offline() {
	s.configure(map[string]string{`url = ""`: `url = "tls://127.0.0.1:9"`, `address = ""`: `address = "127.0.0.1:9"`})
}

// stamp writes another format into the stopped vault's ledger.
func (s *site) stamp(format string) {
	s.t.Helper()
	s.edit(func(b *bbolt.Tx) error { return b.Bucket([]byte("meta")).Put([]byte("format"), []byte(format)) })
}

// edit changes the stopped vault's ledger behind its back.
func (s *site) edit(how func(b *bbolt.Tx) error) {
	s.t.Helper()
	db, err := bbolt.Open(filepath.Join(s.dir, settings.LedgerFile), 0o600, nil)
	s.must(err)
	s.must(db.Update(how))
	s.must(db.Close())
}

// TestUnlockRefusesWhatItCannotRebuild: a newer ledger is refused by name, one of a build too old
// by name, and a damaged older one with what to do; each stays as it is, and the vault is locked
// again.
func TestUnlockRefusesWhatItCannotRebuild(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(s *site)
		code int
		says []string
	}{
		{"a newer build's", func(s *site) { s.stamp("nightdrop/ledger/v4") }, 6,
			[]string{"nightdrop/ledger/v4", "written by a newer build: open it with that build"}},
		{"too old", func(s *site) { s.stamp("nightdrop/ledger/v1") }, 6,
			[]string{"nightdrop/ledger/v1", "older build"}},
		{"damaged", func(s *site) {
			s.edit(func(b *bbolt.Tx) error {
				k, _ := b.Bucket([]byte("stored")).Cursor().First()
				return b.Bucket([]byte("stored")).Delete(bytes.Clone(k))
			})
		}, 7, []string{settings.LedgerFile + ", which is as it was", "put a sound copy in its place"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := layBefore(t)
			s.offline()
			c.harm(s)
			path := filepath.Join(s.dir, settings.LedgerFile)
			was, err := os.ReadFile(path)
			s.must(err)
			daemon := s.start()
			defer s.kill(daemon)
			code, said := s.unlockBy()
			for _, part := range c.says {
				if code != c.code || !strings.Contains(said, part) {
					t.Errorf("exit code %d, want %d with %q: %s", code, c.code, part, said)
				}
			}
			if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, was) {
				t.Errorf("the ledger was changed (%v)", err)
			}
		})
	}
}

// TestRebuildAtUnlockIsKilled kills the daemon at any moment while it rebuilds the older ledger:
// the next unlock makes it whole.
func TestRebuildAtUnlockIsKilled(t *testing.T) {
	s := layBefore(t)
	s.offline()
	for round := range 6 {
		daemon := s.start()
		unlocked := make(chan string, 1)
		go func() {
			code, said := s.unlockBy()
			unlocked <- fmt.Sprint(code, " ", said)
		}()
		time.Sleep(time.Duration(rand.IntN(250)) * time.Millisecond)
		s.kill(daemon)
		t.Logf("round %d: the unlock ended with %s", round, <-unlocked)
	}
	daemon := s.start()
	if code, said := s.unlockBy(); code != 0 {
		t.Fatalf("exit code %d: %s", code, said)
	}
	var status control.Status
	s.json(&status, "status")
	if n := status.Findings[book.FindingLedgerRebuilt]; n == 0 || status.LogSize < 246 {
		t.Errorf("the log has %d entries and tells of the rebuild %d times", status.LogSize, n)
	}
	s.kill(daemon)
	s.checkLedger()
	s.wantLogOfBefore()
	for _, left := range []string{settings.LedgerFile + ".rebuild", settings.LedgerFile + ".rebuilt"} {
		if _, err := os.Lstat(filepath.Join(s.dir, left)); err == nil {
			t.Errorf("%s is left", left)
		}
	}
}

// TestUnlockRebuildsWhenAsked: --rebuild makes a ledger of the current format anew, says where the
// one before is and tells the log.
func TestUnlockRebuildsWhenAsked(t *testing.T) {
	s := layBefore(t)
	s.offline()
	s.rebuildBefore()
	daemon := s.start()
	code, said := s.unlockBy("--rebuild")
	if code != 0 || !strings.Contains(said, "was rebuilt from its log; the file before is "+filepath.Join(s.dir, settings.LedgerFile)+".v3-") {
		t.Errorf("exit code %d: %s", code, said)
	}
	if code, said := s.unlockBy("--rebuild"); code != 6 || !strings.Contains(said, "lock it") {
		t.Errorf("an unlocked vault: exit code %d: %s", code, said)
	}
	s.kill(daemon)
	s.checkLedger()
	ring := s.unlockedRing(keyring.Options{})
	defer ring.Close()
	if _, found, err := ledger.UntoldRebuild(filepath.Join(s.dir, settings.LedgerFile)); found || err != nil {
		t.Errorf("the rebuild is not told (%v)", err)
	}
}
