package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/durable"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/calls"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
)

// before is where the vault of 30 November 2026 lies; its README says what is in it.
const before = "../testdata/before"

// beforeStopped is when that vault was stopped: what it says of time is compared by this clock.
var beforeStopped = time.Date(2026, 11, 30, 21, 56, 0, 0, time.UTC)

// layBefore lays a copy of that vault's directory out. Its settings are the defaults.
func layBefore(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, dir: filepath.Join(t.TempDir(), "v"), book: filepath.Join(t.TempDir(), "book")}
	s.must(os.Mkdir(s.dir, 0o700))
	for _, path := range beforeFiles(t, "vault/*") {
		s.must(os.WriteFile(filepath.Join(s.dir, strings.TrimSuffix(filepath.Base(path), ".gz")), readBefore(t, path), 0o600))
	}
	s.must(durable.Create(filepath.Join(s.dir, settings.File), settings.Reference))
	s.must(os.WriteFile(s.book, readBefore(t, filepath.Join(before, "book")), 0o600))
	shares := t.TempDir()
	for _, path := range beforeFiles(t, "shares/*") {
		to := filepath.Join(shares, filepath.Base(path))
		s.must(os.WriteFile(to, readBefore(t, path), 0o600))
		s.shares = append(s.shares, to)
	}
	return s
}

func beforeFiles(t *testing.T, pattern string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(before, pattern))
	if err != nil || len(paths) < 3 {
		t.Fatalf("%s has the files %v, %v", pattern, paths, err)
	}
	return paths
}

// readBefore reads a file, and uncompresses one that is compressed.
func readBefore(t *testing.T, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestLogOfBeforeReplays: an auditor's replay of the older log finds what it found then.
func TestLogOfBeforeReplays(t *testing.T) {
	s := &site{t: t, dir: t.TempDir()}
	in := func(name string) string { return filepath.Join(before, name) }
	verifier := strings.TrimSpace(string(readBefore(t, in("verifier"))))
	if code, out := s.command("audit", "verify", in("log"), "--verifier", verifier); code != 0 {
		t.Fatalf("verify: exit code %d\n%s", code, out)
	}
	identity := filepath.Join(s.dir, "anna.key") // whose mode a clone does not keep
	s.must(os.WriteFile(identity, readBefore(t, in("anna.key")), 0o600))
	code, out := s.command("audit", "replay", in("log"), "--verifier", verifier, "--identity", identity, "--from", in("anna.state"), "--json")
	if code != 0 {
		t.Fatalf("replay: exit code %d\n%s", code, out)
	}
	wantSame(t, "replay", []byte(out), readBefore(t, in("replay.json")))
}

// rebuildBefore rebuilds the older ledger, as the daemon does at its unlock.
func (s *site) rebuildBefore() ledger.Rebuilt {
	s.t.Helper()
	now := func() time.Time { return beforeStopped }
	ring := s.unlockedRing(keyring.Options{Now: now})
	defer ring.Close()
	done, err := ledger.Rebuild(s.t.Context(), filepath.Join(s.dir, settings.LedgerFile), ring, ledger.RebuildOptions{Options: ledger.Options{Now: now}})
	s.must(err)
	return done
}

// openedLedger is a daemon of which only the ledger can be asked.
type openedLedger struct {
	calls.Daemon
	l *ledger.Ledger
}

// Parts implements calls.Daemon.
func (o openedLedger) Parts() (calls.Parts, error) { return calls.Parts{Ledger: o.l}, nil }

// TestLedgerOfBeforeOpens: the older ledger is rebuilt, every invariant holds, and each of its
// payments and batches reads as it did.
func TestLedgerOfBeforeOpens(t *testing.T) {
	s := layBefore(t)
	s.rebuildBefore()
	s.checkLedger()
	ring := s.unlockedRing(keyring.Options{Now: func() time.Time { return beforeStopped }})
	defer ring.Close()
	l, err := ledger.Open(filepath.Join(s.dir, settings.LedgerFile), ring, ledger.Options{Now: func() time.Time { return beforeStopped }})
	s.must(err)
	defer func() { s.must(l.Close()) }()
	asked := calls.New(calls.Config{Daemon: openedLedger{l: l}})
	page, err := asked.Payments(t.Context(), control.PaymentQuery{Oldest: true, Limit: control.MaxPage})
	s.must(err)
	batches, err := asked.Batches(t.Context(), control.BatchQuery{})
	s.must(err)
	for name, now := range map[string]any{"payments.json": page.Payments, "batches.json": batches} {
		text, err := json.Marshal(now)
		s.must(err)
		wantSame(t, name, text, readBefore(t, filepath.Join(before, name)))
	}
}

// TestVaultOfBeforeGoesOn: the older directory is served and unlocked, its ledger is rebuilt from
// its log, which stays what it was, and what it holds can be listed.
func TestVaultOfBeforeGoesOn(t *testing.T) {
	s := layBefore(t)
	path := filepath.Join(s.dir, settings.LedgerFile)
	old, err := os.ReadFile(path)
	s.must(err)
	s.surround(strings.TrimSpace(string(readBefore(t, filepath.Join(before, "vault", "channel.nkey.pub")))))
	stop := s.serve()
	kept, err := filepath.Glob(path + ".v2-*")
	s.must(err)
	if len(kept) != 1 {
		t.Fatalf("kept are %v", kept)
	}
	if now, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(now, old) {
		t.Errorf("the ledger of before is not kept as it was (%v)", err)
	}
	var payments []control.Payment
	s.json(&payments, "payment", "list", "--all")
	if len(payments) != 38 {
		t.Errorf("it lists %d payments, want 38", len(payments))
	}
	var status control.Status
	s.json(&status, "status")
	if status.Findings[book.FindingLedgerRebuilt] != 1 {
		t.Errorf("the log tells of the rebuild %d times", status.Findings[book.FindingLedgerRebuilt])
	}
	s.verifyLog()
	stop()
	s.checkLedger()
	s.wantLogOfBefore()
	// The second unlock has nothing to rebuild, and nothing to tell.
	stop = s.serve()
	s.json(&status, "status")
	if status.Findings[book.FindingLedgerRebuilt] != 1 {
		t.Errorf("the log tells of the rebuild %d times", status.Findings[book.FindingLedgerRebuilt])
	}
	stop()
}

// wantLogOfBefore holds the root of the log's first entries, as many as were exported then, against
// the checkpoint of that export.
func (s *site) wantLogOfBefore() {
	s.t.Helper()
	lines := strings.Split(string(readBefore(s.t, filepath.Join(before, "log", "checkpoint"))), "\n")
	size, err := strconv.ParseInt(lines[1], 10, 64)
	s.must(err)
	ring := s.unlockedRing(keyring.Options{})
	defer ring.Close()
	l, err := ledger.Open(filepath.Join(s.dir, settings.LedgerFile), ring, ledger.Options{})
	s.must(err)
	defer func() { s.must(l.Close()) }()
	s.must(l.View(func(tx *ledger.Tx) error {
		root, err := tx.RootAt(size)
		if err == nil && root.String() != lines[2] {
			s.t.Errorf("the root of the first %d entries is %s, was %s", size, root, lines[2])
		}
		return err
	}))
}

// wantSame fails where a member that stood in the older text is missing or another now. Members
// that are new may stand beside them.
func wantSame(t *testing.T, what string, now, then []byte) {
	t.Helper()
	var a, b any
	if err := json.Unmarshal(now, &a); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	if err := json.Unmarshal(then, &b); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	switch b := b.(type) {
	case []any:
		for _, one := range b {
			renamed(one.(map[string]any))
		}
	case map[string]any: // of a replay
		b["messages"] = b["notCompared"]
		delete(b, "notCompared")
	}
	if where := differs(a, b, what); where != "" {
		t.Error(where)
	}
}

// renamed gives a payment or batch as it was printed then the names of today: status for stage, and
// other payments and batches as commands take them.
func renamed(of map[string]any) {
	of["status"] = of["stage"]
	delete(of, "stage")
	batch := func(number any) string {
		return book.BatchID(book.Method(of["method"].(string)), uint32(number.(float64)))
	}
	if number, there := of["batch"]; there {
		of["batch"] = batch(number)
	}
	for _, name := range []string{"of", "void"} {
		if id, there := of[name]; there {
			of[name] = book.Key{Merchant: of["merchant"].(string), ID: id.(string)}.String()
		}
	}
	if file, there := of["file"].(map[string]any); there {
		file["status"] = file["stage"]
		delete(file, "stage")
		for i, number := range file["batches"].([]any) {
			file["batches"].([]any)[i] = batch(number)
		}
	}
}

// differs names the first place where now is not what it was then.
func differs(now, then any, path string) string {
	switch then := then.(type) {
	case map[string]any:
		now, ok := now.(map[string]any)
		if !ok {
			return path + " is no object now"
		}
		for name, was := range then {
			if where := differs(now[name], was, path+"."+name); where != "" {
				return where
			}
		}
		return ""
	case []any:
		now, ok := now.([]any)
		if !ok || len(now) != len(then) {
			return path + " has another number of elements now"
		}
		for i := range then {
			if where := differs(now[i], then[i], path); where != "" {
				return where
			}
		}
		return ""
	}
	if !reflect.DeepEqual(now, then) {
		text, _ := json.Marshal([]any{now, then})
		return path + " is now, and was then: " + string(text)
	}
	return ""
}
