package storefront

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
	"nightdrop/shared/storefront/relaytest"
)

// bendRoot changes one character of a kept checkpoint's root.
func bendRoot(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(string(data), `\n`)
	other := "A"
	if lines[2][0] == 'A' {
		other = "B"
	}
	lines[2] = other + lines[2][1:]
	if err := os.WriteFile(path, []byte(strings.Join(lines, `\n`)), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What was damaged here accuses nobody, whatever it is held against.
func TestDamagedLogFileAccusesNobody(t *testing.T) {
	s := newStory(t)
	o := s.told(s.own())
	if _, err := s.c.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	theirs, err := s.c.Seen()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.box.dir, "log.json")
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	bendRoot(t, path)
	c := reader(t, s.relay, s.c.identity, s.box.Log())
	tiles := s.copyOf(s.relay.Log, s.relay.Log.Size())
	for name, use := range map[string]func() error{
		"results":              func() error { _, err := c.Results(t.Context(), &Chain{}, 0); return err },
		"results of one":       func() error { _, err := c.ResultsOf(t.Context(), s.s.ID); return err },
		"all results of one":   func() error { _, err := c.AllResultsOf(t.Context(), s.box, s.s.ID); return err },
		"explain":              func() error { _, err := c.Explain(t.Context(), s.box, s.s.ID); return err },
		"checkpoint":           func() error { _, err := c.Checkpoint(t.Context()); return err },
		"seen":                 func() error { _, err := c.Seen(); return err },
		"compare":              func() error { _, err := c.Compare(t.Context(), theirs); return err },
		"compare, with a copy": func() error { _, _, err := c.CompareTiles(t.Context(), theirs, tiles); return err },
		"check":                func() error { _, err := c.CheckTiles(t.Context(), tiles); return err },
		"prove":                func() error { _, err := c.ProveLater(t.Context(), tiles, o); return err },
	} {
		err := use()
		_, contradicts := errors.AsType[*proof.Contradiction](err)
		if !errors.Is(err, ErrKept) || errors.Is(err, ErrLog) || errors.Is(err, ErrUnverified) || contradicts {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.WriteFile(path, whole, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CheckTiles(t.Context(), tiles); err != nil {
		t.Errorf("after it was restored: %v", err)
	}
}

// A vault has changed its key and the old one is no longer listed: what it signed stays of use, but
// cannot be told from damage.
func TestKeptByAFormerKey(t *testing.T) {
	s := newStory(t)
	former := relaytest.Signer(t, "vault.example")
	s.relay.Log.Grow(40)
	kept := &proof.History{}
	if _, err := kept.AddCheckpoint(s.relay.Log.Sign(30, former), former.Verifier()); err != nil {
		t.Fatal(err)
	}
	if err := s.box.Log().Save(kept); err != nil {
		t.Fatal(err)
	}
	if got, err := s.c.CheckTiles(t.Context(), s.copyOf(s.relay.Log, 35)); err != nil || got.Checked != 1 {
		t.Errorf("the log that was seen: %+v, %v", got, err)
	}
	if _, err := s.c.Checkpoint(t.Context()); err != nil {
		t.Error(err)
	}
	bendRoot(t, filepath.Join(s.box.dir, "log.json"))
	c := reader(t, s.relay, s.c.identity, s.box.Log())
	_, err := c.CheckTiles(t.Context(), s.copyOf(s.relay.Log, 35))
	wrong, contradicts := errors.AsType[*proof.Contradiction](err)
	if !errors.Is(err, ErrFormerKey) || errors.Is(err, ErrLog) || !contradicts || len(wrong.Got) == 0 {
		t.Errorf("another root by it: %v", err)
	}
	// The pinned key counts, listed or not.
	pinned := &proof.History{}
	if _, err := pinned.AddCheckpoint(s.relay.Log.Sign(30, s.relay.Vault), s.relay.Vault.Verifier()); err != nil {
		t.Fatal(err)
	}
	c = reader(t, s.relay, s.c.identity, memoryOf{pinned})
	if _, err := c.Seen(); err != nil || len(c.known()) != 1 {
		t.Errorf("before any directory, by %d keys: %v", len(c.known()), err)
	}
}

// memoryOf has kept something.
type memoryOf struct{ h *proof.History }

func (m memoryOf) Load() (*proof.History, error) { return m.h.Clone(), nil }
func (memoryOf) Save(*proof.History) error       { return nil }

// cutOff is a new client of the same outbox whose relay is not reached: it counts how often it is
// told so.
func (s *story) cutOff(pinned note.Verifier) (c *Client, told *int) {
	s.t.Helper()
	told = new(int)
	c, err := New(Config{Relay: "https://127.0.0.1:1", Vault: pinned, Identity: s.c.identity, Log: s.box.Log(), Unreached: func(error) { *told++ }})
	if err != nil {
		s.t.Fatal(err)
	}
	return c, told
}

func (s *story) record() {
	s.t.Helper()
	var chain Chain
	results, err := s.c.Results(s.t.Context(), &chain, 0)
	if err == nil {
		_, err = s.box.Record(results, chain)
	}
	if err != nil || len(results) == 0 {
		s.t.Fatalf("%d results, %v", len(results), err)
	}
}

func TestProofsWithoutTheRelay(t *testing.T) {
	s := newStory(t)
	s.post()
	s.told(s.own())
	s.record()
	s.relay.Log.Grow(300)
	files := s.relay.Log.Export(300, s.relay.Vault)
	theirs, err := s.c.Seen()
	if err != nil {
		t.Fatal(err)
	}
	c, told := s.cutOff(s.relay.Vault.Verifier())
	results, err := c.AllResultsOf(t.Context(), s.box, s.s.ID)
	if err != nil || len(results) != 1 || results[0].Checkpoint.Size == 0 {
		t.Fatalf("%d results, %v", len(results), err)
	}
	tiles, err := c.OpenTiles(t.Context(), files)
	if err != nil {
		t.Fatal(err)
	}
	if later, err := c.ProveLater(t.Context(), tiles, results[0]); err != nil || later.Checkpoint.Size != 300 {
		t.Errorf("proved by a checkpoint of %d, %v", later.Checkpoint.Size, err)
	}
	if got, err := c.CheckTiles(t.Context(), tiles); err != nil || got.Common != 300 {
		t.Errorf("%+v, %v", got, err)
	}
	if _, _, err := c.CompareTiles(t.Context(), theirs, tiles); err != nil {
		t.Error(err)
	}
	if *told != 1 {
		t.Errorf("told %d times that the relay is not reached", *told)
	}
	if _, err := c.AllResultsOf(t.Context(), s.box, answer(9).ID); !errors.Is(err, ErrUnreached) {
		t.Errorf("an id of which nothing is kept: %v", err)
	}
	// New results are not read without it, and who did not ask for it is not left without the
	// relay's word.
	if _, err := c.Results(t.Context(), &Chain{}, 0); err == nil || errors.Is(err, ErrUnreached) {
		t.Errorf("new results: %v", err)
	}
	c.unreached, c.away = nil, c.away.Add(-awayTime)
	if _, err := c.OpenTiles(t.Context(), files); err == nil || errors.Is(err, ErrUnreached) {
		t.Errorf("without leave: %v", err)
	}
}

// Without the relay nobody reports that another key is the vault's; that is no fault of a copy or
// of another reader.
func TestOtherKeysWithoutTheRelay(t *testing.T) {
	s := newStory(t)
	s.told(s.own())
	s.record()
	theirs, err := s.c.Seen()
	if err != nil {
		t.Fatal(err)
	}
	c, _ := s.cutOff(relaytest.Signer(t, "vault.example").Verifier())
	size := s.relay.Log.Size()
	_, copyErr := c.OpenTiles(t.Context(), s.relay.Log.Export(size, s.relay.Vault))
	_, resultErr := c.AllResultsOf(t.Context(), s.box, s.s.ID)
	_, compareErr := c.Compare(t.Context(), theirs)
	_, checkErr := c.CheckTiles(t.Context(), s.copyOf(s.relay.Log, size))
	_, _, bothErr := c.CompareTiles(t.Context(), theirs, s.copyOf(s.relay.Log, size))
	for _, err := range []error{copyErr, resultErr, compareErr, checkErr, bothErr} {
		if !errors.Is(err, ErrUnreached) || errors.Is(err, proof.ErrDamaged) || errors.Is(err, ErrUnverified) || errors.Is(err, ErrLog) {
			t.Errorf("by another key: %v", err)
		}
	}
	// A wrong signature by the pinned key is one all the same.
	c, _ = s.cutOff(s.relay.Vault.Verifier())
	files := s.relay.Log.Export(size, s.relay.Vault)
	files[proof.CheckpointPath] = append([]byte("vault.example\n9"), files[proof.CheckpointPath][len("vault.example\n"):]...)
	if _, err := c.OpenTiles(t.Context(), files); !errors.Is(err, proof.ErrDamaged) || errors.Is(err, ErrUnreached) {
		t.Errorf("an altered copy: %v", err)
	}
}

// A relay that answers was reached, whatever it answers, unless it says itself that it is out of
// order.
func TestWhatIsNotReached(t *testing.T) {
	s := newStory(t)
	told := 0
	c, err := New(Config{Relay: s.relay.URL, Vault: s.relay.Vault.Verifier(), Identity: s.c.identity, HTTP: s.relay.Client(), Unreached: func(error) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	files := s.relay.Log.Export(3, s.relay.Vault)
	for status, reached := range map[int]bool{http.StatusForbidden: true, http.StatusNotFound: true, http.StatusServiceUnavailable: false} {
		s.relay.Get = func(w http.ResponseWriter, _ *http.Request) { relaytest.Problem(w, status, "out-of-order") }
		if _, err := c.OpenTiles(t.Context(), files); (err != nil) != reached {
			t.Errorf("after %d: %v", status, err)
		}
		c.away = time.Time{}
	}
	if told != 1 {
		t.Errorf("told %d times", told)
	}
	c, err = New(Config{Relay: s.relay.URL, Vault: s.relay.Vault.Verifier(), Identity: s.c.identity, Unreached: func(error) { told++ }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.OpenTiles(t.Context(), files); !errors.Is(err, ErrUnverified) || told != 1 {
		t.Errorf("a certificate that does not verify: %v", err)
	}
}

// A copy older than all that was seen is not kept: held against itself it would seem to be checked
// the next time.
func TestOlderCopyIsNoCheck(t *testing.T) {
	s := newStory(t)
	s.relay.Log.Grow(40)
	if _, err := s.c.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	old := s.copyOf(s.relay.Log, 30)
	for range 2 {
		if got, err := s.c.CheckTiles(t.Context(), old); !errors.Is(err, proof.ErrBehind) || got.Beyond != 1 {
			t.Errorf("got %+v, %v", got, err)
		}
	}
	history := func(text string) *proof.History {
		h := &proof.History{}
		if err := json.Unmarshal([]byte(text), h); err != nil {
			t.Fatal(err)
		}
		return h
	}
	kept := func(log *prooftest.Log, size int64) *proof.History {
		text, err := json.Marshal(map[string]any{"checkpoints": []string{string(log.Sign(size, s.relay.Vault))}})
		if err != nil {
			t.Fatal(err)
		}
		return history(string(text))
	}
	if _, _, err := s.c.CompareTiles(t.Context(), kept(s.relay.Log, 20), old); !errors.Is(err, proof.ErrBehind) || !strings.Contains(err.Error(), "seen here") {
		t.Errorf("behind us: %v", err)
	}
	fork := prooftest.Of(t, 19)
	fork.Add(prooftest.Record(1 << 40))
	if _, _, err := s.c.CompareTiles(t.Context(), kept(fork, 20), old); !errors.Is(err, ErrLog) {
		t.Errorf("behind us, and the other's is another log: %v", err)
	}
	s.c.seen = nil
	if err := s.box.Log().Save(kept(s.relay.Log, 20)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.c.CompareTiles(t.Context(), kept(s.relay.Log, 40), old); !errors.Is(err, proof.ErrBehind) || !strings.Contains(err.Error(), "other reader") {
		t.Errorf("behind the other: %v", err)
	}
}
