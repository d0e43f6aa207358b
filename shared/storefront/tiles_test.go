package storefront

import (
	"errors"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
	"nightdrop/shared/storefront/relaytest"
)

// copyOf opens a copy of the vault's log of size entries.
func (s *story) copyOf(log *prooftest.Log, size int64) *proof.Tiles {
	s.t.Helper()
	tiles, err := s.c.OpenTiles(s.t.Context(), log.Export(size, s.relay.Vault))
	if err != nil {
		s.t.Fatal(err)
	}
	return tiles
}

// told makes the vault answer and returns the result.
func (s *story) told(a relaytest.Answer) Opened {
	s.t.Helper()
	s.answers(a)
	results, err := s.c.ResultsOf(s.t.Context(), a.ID)
	if err != nil || len(results) != 1 {
		s.t.Fatalf("%d results, %v", len(results), err)
	}
	return results[0]
}

func without(int64, int64) []byte { return nil }

func TestResultProvedLater(t *testing.T) {
	s := newStory(t)
	bare := s.own()
	bare.Prove = without
	for name, a := range map[string]relaytest.Answer{"with a proof of its own": s.own(), "without": bare} {
		t.Run(name, func(t *testing.T) {
			o := s.told(a)
			s.relay.Log.Grow(s.relay.Log.Size() + 1000)
			size := s.relay.Log.Size()
			// What a storefront kept of it is enough.
			kept := Opened{FactsLine: o.FactsLine, Place: o.Place}
			for _, o := range []Opened{o, kept} {
				later, err := s.c.ProveLater(t.Context(), s.copyOf(s.relay.Log, size), o)
				if err != nil || later.Checkpoint.Size != size {
					t.Fatalf("by a checkpoint of %d: %v", later.Checkpoint.Size, err)
				}
				p, err := proof.DecodeProof(later.Proof)
				if err != nil {
					t.Fatal(err)
				}
				leaf, err := o.Leaf()
				if err != nil {
					t.Fatal(err)
				}
				if _, err := p.Verify(leaf, s.relay.Vault.Verifier()); err != nil {
					t.Error(err)
				}
			}
			seen, err := s.c.Seen()
			if newest, _ := seen.Newest(); err != nil || newest.Size != size {
				t.Errorf("seen up to %d, %v", newest.Size, err)
			}
			if _, err := s.c.Checkpoint(t.Context()); err != nil {
				t.Errorf("the relay's checkpoint, afterwards: %v", err)
			}
		})
	}
}

func TestResultNotProvedByACopy(t *testing.T) {
	for name, c := range map[string]struct {
		prove func(s *story) error
		want  error
		kept  bool // two statements of the vault contradict each other
	}{
		"that ends before it": {func(s *story) error {
			o := s.told(s.own())
			_, err := s.c.ProveLater(t.Context(), s.copyOf(s.relay.Log, int64(o.Place.Index)), o)
			return err
		}, proof.ErrBehind, false},
		"of a log that does not hold it": {func(s *story) error {
			a := s.own()
			a.Prove = without
			a.Bend = func(leaf *[proof.LeafBytes]byte) { leaf[3] ^= 1 }
			o := s.told(a)
			_, err := s.c.ProveLater(t.Context(), s.copyOf(s.relay.Log, s.relay.Log.Size()), o)
			return err
		}, ErrLog, true},
		"of another log than that of its own checkpoint": {func(s *story) error {
			o := s.told(s.own())
			fork := prooftest.Of(t, 50)
			_, err := s.c.ProveLater(t.Context(), s.copyOf(fork, 50), o)
			return err
		}, ErrLog, true},
		"of another log than was seen": {func(s *story) error {
			a := s.own()
			a.Prove = without
			fork := s.relay.Log.Fork()
			o := s.told(a)
			leaf, _ := o.Leaf()
			if int64(o.Place.Index) != fork.Add(leaf) {
				t.Fatal("the fork does not hold the leaf at its place")
			}
			fork.Grow(s.relay.Log.Size() - 1)
			fork.Add(prooftest.Record(1 << 40))
			if _, err := s.c.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			_, err := s.c.ProveLater(t.Context(), s.copyOf(fork, fork.Size()), o)
			return err
		}, ErrLog, true},
		"with a tile altered": {func(s *story) error {
			o := s.told(s.own())
			files := s.relay.Log.Export(s.relay.Log.Size(), s.relay.Vault)
			for path, data := range files {
				if path != proof.CheckpointPath {
					data[0] ^= 1
				}
			}
			tiles, err := s.c.OpenTiles(t.Context(), files)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.c.ProveLater(t.Context(), tiles, o)
			return err
		}, proof.ErrDamaged, false},
		"of another vault": {func(s *story) error {
			_, err := s.c.OpenTiles(t.Context(), s.relay.Log.Export(5, relaytest.Signer(t, "vault.example")))
			return err
		}, proof.ErrDamaged, false},
		"without its place": {func(s *story) error {
			_, err := s.c.ProveLater(t.Context(), s.copyOf(s.relay.Log, 5), Opened{Place: envelope.Place{Entry: strings.Repeat("0", 64)}})
			return err
		}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			err := c.prove(s)
			wrong, contradicts := errors.AsType[*proof.Contradiction](err)
			if err == nil || c.want != nil && !errors.Is(err, c.want) || contradicts != c.kept || errors.Is(err, ErrLog) != c.kept {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if contradicts && (len(wrong.Kept) == 0 || len(wrong.Got) == 0) {
				t.Error("without evidence")
			}
			if seen, err := s.c.Seen(); err != nil || len(seen.Heads()) > 1 {
				t.Errorf("the copy was taken for seen: %v", err)
			}
		})
	}
}

func TestEverythingSeenAgainstACopy(t *testing.T) {
	s := newStory(t)
	s.told(s.own())
	s.relay.Log.Grow(40)
	if _, err := s.c.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	agreement, err := s.c.CheckTiles(t.Context(), s.copyOf(s.relay.Log, 30))
	if err != nil || agreement.Entries != 30 || agreement.Shown != 40 || agreement.Beyond != 1 || !strings.Contains(agreement.String(), "take a newer copy") {
		t.Errorf("by an older copy: %v, %v", agreement, err)
	}
	s.relay.Log.Grow(700)
	agreement, err = s.c.CheckTiles(t.Context(), s.copyOf(s.relay.Log, 700))
	// the result's, the relay's and the older copy's
	if err != nil || agreement.Common != 40 || agreement.Checked != 3 {
		t.Errorf("by a newer copy: %+v, %v", agreement, err)
	}
	// The newer copy is kept: a relay that shows a log without it is found out.
	s.relay.Log = prooftest.Of(t, 700)
	if _, err := s.c.Checkpoint(t.Context()); !errors.Is(err, proof.ErrDiverged) {
		t.Errorf("another log of that size: %v", err)
	}
	_, err = s.c.CheckTiles(t.Context(), s.copyOf(prooftest.Of(t, 900), 900))
	if wrong, ok := errors.AsType[*proof.Contradiction](err); !ok || !errors.Is(err, ErrLog) || len(wrong.Got) == 0 {
		t.Errorf("a copy of another log: %v", err)
	}
}

// Two readers of different sizes, one entry before the smaller one's end rewritten: Compare cannot
// see it, a copy shows it.
func TestCompareReachesEveryEntryByACopy(t *testing.T) {
	s := newStory(t)
	vault := s.relay.Vault
	history := func(log *prooftest.Log, size int64) *proof.History {
		h := &proof.History{}
		if _, err := h.AddCheckpoint(log.Sign(size, vault), vault.Verifier()); err != nil {
			t.Fatal(err)
		}
		return h
	}
	s.relay.Log.Grow(700)
	if _, err := s.c.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	honest, split := history(s.relay.Log, 299), s.relay.Log.Fork()
	rewritten := prooftest.Of(t, 298)
	rewritten.Add(prooftest.Record(1 << 40))
	tiles := s.copyOf(split, 700)
	if ours, others, err := s.c.CompareTiles(t.Context(), honest, tiles); err != nil || ours.Common != 700 || others.Common != 299 || others.Beyond != 0 {
		t.Errorf("one log: %v, %v, %v", ours, others, err)
	}
	theirs := history(rewritten, 299)
	if got, err := s.c.Compare(t.Context(), theirs); err != nil || got.Common != 0 {
		t.Errorf("without a copy: %v, %v", got, err)
	}
	_, _, err := s.c.CompareTiles(t.Context(), theirs, tiles)
	if wrong, ok := errors.AsType[*proof.Contradiction](err); !ok || !errors.Is(err, ErrLog) || len(wrong.Kept) == 0 {
		t.Errorf("a split view: %v", err)
	}
	rewritten.Grow(800)
	if _, _, err := s.c.CompareTiles(t.Context(), honest, s.copyOf(rewritten, 800)); !errors.Is(err, ErrLog) {
		t.Errorf("a copy of a third log: %v", err)
	}
	forged := &proof.History{}
	stranger := relaytest.Signer(t, "vault.example")
	if _, err := forged.AddCheckpoint(split.Sign(3, stranger), stranger.Verifier()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.c.CompareTiles(t.Context(), forged, tiles); !errors.Is(err, ErrUnverified) {
		t.Errorf("a forged history: %v", err)
	}
}

// The outbox has what the relay forgot after 30 days, and the relay what the outbox did not read
// yet.
func TestAllResultsOfAnEnvelope(t *testing.T) {
	s := newStory(t)
	s.post()
	all := func() ([]Opened, error) { return s.c.AllResultsOf(t.Context(), s.box, s.s.ID) }
	s.relay.Get = nil
	s.answers(s.own(), answer(1), s.own())
	chain := s.relay.Chain
	s.relay.Page = chain[:2]
	var at Chain
	results, err := s.c.Results(t.Context(), &at, 0)
	if err == nil {
		_, err = s.box.Record(results, at)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.relay.Page = []string{chain[0], chain[2]}
	if results, err := all(); err != nil || len(results) != 2 || results[0].Result.Serial != 1 || results[1].Result.Serial != 3 {
		t.Errorf("%d results, %v", len(results), err)
	}
	notFound := func(w http.ResponseWriter, q *http.Request) {
		if strings.HasPrefix(q.URL.Path, "/v1/envelopes/") {
			relaytest.Problem(w, http.StatusNotFound, "unknown")
			return
		}
		_, _ = w.Write(s.relay.Directory())
	}
	s.relay.Get = notFound
	if results, err := all(); err != nil || len(results) != 1 || results[0].Proof == nil {
		t.Errorf("after the relay forgot: %d results, %v", len(results), err)
	}
	for range 2 { // a 404, then an empty page
		if _, err := s.c.AllResultsOf(t.Context(), s.box, answer(9).ID); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("an id that was never answered: %v", err)
		}
		s.relay.Get, s.relay.Page = nil, []string{}
	}
	s.answers(s.own()) // another note under serial 1
	s.relay.Page = nil
	if _, err := all(); !errors.Is(err, ErrChain) {
		t.Errorf("two results of one serial: %v", err)
	}
	kept := filepath.Join(s.box.dir, "results", "000000000001.note")
	data, err := os.ReadFile(kept)
	if err == nil {
		err = os.WriteFile(kept, []byte(strings.Replace(string(data), `"created":"20`, `"created":"19`, 1)), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all(); !errors.Is(err, ErrUnverified) {
		t.Errorf("a recorded result that was altered: %v", err)
	}
}
