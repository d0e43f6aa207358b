package bagger

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightdrop/shared/durable/durabletest"
	"nightdrop/shared/envelope"
)

func TestMain(m *testing.M) {
	durabletest.Enter()
	os.Exit(m.Run())
}

func ref(number uint64) envelope.BagRef {
	return envelope.BagRef{Run: strings.Repeat("ab", 16), Number: number, Digest: strings.Repeat("cd", 32)}
}

func openHead(t *testing.T, path string, log *bytes.Buffer) *Head {
	t.Helper()
	h, err := OpenHead(path, time.Now, slog.New(slog.NewTextHandler(log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

func TestTheHeadOutlivesItsRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "head")
	var log bytes.Buffer
	h := openHead(t, path, &log)
	if h.Last() != nil || !strings.Contains(log.String(), "begins a new chain") {
		t.Errorf("a new head file: %v, log %s", h.Last(), &log)
	}
	h.Advance(ref(7))
	h.Advance(ref(12))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	h.Advance(ref(13)) // after Close: ignored
	if h = openHead(t, path, &log); h.Last() == nil || *h.Last() != ref(12) {
		t.Errorf("read back %+v", h.Last())
	}
}

// The damaged file is what a person can learn from: on a disk that fails it is not emptied for a
// copy that may never be there.
func TestADamagedHeadIsKeptUntilItsCopyIsDurable(t *testing.T) {
	if !durabletest.Alone(t, durabletest.Sync) {
		return
	}
	path := filepath.Join(t.TempDir(), "head")
	if err := os.WriteFile(path, []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if _, err := OpenHead(path, time.Now, slog.New(slog.NewTextHandler(&log, nil))); !errors.Is(err, syscall.EIO) {
		t.Errorf("on a failing disk: %v", err)
	}
	if there, err := os.ReadFile(path); err != nil || string(there) != "damaged" {
		t.Errorf("the head file holds %q, %v", there, err)
	}
}

func TestADamagedHeadRestartsTheChainAndSaysSo(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "head")
	var log bytes.Buffer
	h := openHead(t, path, &log)
	h.Advance(ref(7))
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damage := map[string]func([]byte) []byte{
		"one bit":       func(b []byte) []byte { b[12] ^= 1; return b },
		"the number":    func(b []byte) []byte { return bytes.Replace(b, []byte(`"number":7`), []byte(`"number":8`), 1) },
		"cut short":     func(b []byte) []byte { return b[:100] },
		"grown":         func(b []byte) []byte { return append(b, ' ') },
		"far too long":  func(b []byte) []byte { return bytes.Repeat(b, 9) },
		"zeros":         func(b []byte) []byte { return make([]byte, len(b)) },
		"another file":  func(b []byte) []byte { return bytes.Repeat([]byte("x"), len(b)) },
		"null for text": func(b []byte) []byte { return bytes.Replace(b, []byte(`"`+ref(7).Run+`"`), []byte(`null`), 1) },
	}
	for name, spoil := range damage {
		t.Run(name, func(t *testing.T) {
			bad := spoil(bytes.Clone(good))
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			log.Reset()
			h := openHead(t, path, &log)
			if h.Last() != nil || !strings.Contains(log.String(), "the head file is damaged") {
				t.Errorf("read %+v, log %s", h.Last(), &log)
			}
			aside, _ := filepath.Glob(path + ".damaged-*")
			if len(aside) != 1 {
				t.Fatalf("kept aside: %v", aside)
			}
			if kept, err := os.ReadFile(aside[0]); err != nil || !bytes.Equal(kept, bad) {
				t.Errorf("what was kept aside differs: %v", err)
			}
			h.Advance(ref(1))
			if err := errors.Join(h.Close(), os.Remove(aside[0])); err != nil {
				t.Fatal(err)
			}
			if h := openHead(t, path, &log); h.Last() == nil || *h.Last() != ref(1) {
				t.Errorf("afterwards: %+v", h.Last())
			} else {
				_ = h.Close()
			}
		})
	}
}

func TestOneRelayAtATimeUsesAHead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "head")
	openHead(t, path, new(bytes.Buffer))
	if _, err := OpenHead(path, time.Now, slog.New(slog.DiscardHandler)); !errors.Is(err, ErrHeadLocked) {
		t.Errorf("a second relay: %v, want ErrHeadLocked", err)
	}
}

// TestAPowerCutLeavesTheHeadWithinTheWindow checks the promise of Allow: what is synced is at most
// window bags behind.
func TestAPowerCutLeavesTheHeadWithinTheWindow(t *testing.T) {
	h := openHead(t, filepath.Join(t.TempDir(), "head"), new(bytes.Buffer))
	for window := 1; window <= envelope.MaxBagWindow; window++ {
		for range 50 {
			number := h.written + 1
			h.Allow(number, window)
			h.mu.Lock()
			if number > h.synced+uint64(window) {
				t.Fatalf("window %d: bag %d leaves while bag %d is synced", window, number, h.synced)
			}
			h.mu.Unlock()
			h.Advance(ref(number))
		}
	}
}

func TestAHeadThatCannotBeWrittenDoesNotStopBags(t *testing.T) {
	var log bytes.Buffer
	h := openHead(t, filepath.Join(t.TempDir(), "head"), &log)
	_ = h.file.Close()
	for number := uint64(1); number < 20; number++ {
		h.Allow(number, 1)
		h.Advance(ref(number))
	}
	if got := strings.Count(log.String(), "cannot be written"); got != 1 {
		t.Errorf("it was logged %d times, want once", got)
	}
}
