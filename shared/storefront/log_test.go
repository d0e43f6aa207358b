package storefront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
	"nightdrop/shared/storefront/relaytest"
)

// reader is a client that looks again for a smaller checkpoint without a pause, and keeps what it
// saw in a file.
func reader(t *testing.T, r *relaytest.Relay, i *Identity, log LogStore) *Client {
	t.Helper()
	c, err := New(Config{Relay: r.URL, Vault: r.Vault.Verifier(), Identity: i, HTTP: r.Client(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	c.pause = 0
	return c
}

func answer(serial int) relaytest.Answer {
	return relaytest.Answer{ID: fmt.Sprintf("6f0c2d7e-9c0b-4a5e-8f1d-%012d", serial), Digest: envelope.ZeroDigest, Status: envelope.StatusApproved, Code: envelope.ISOCode("00")}
}

func TestResultsAreInTheVaultsLog(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	c := reader(t, r, i, FileLog(filepath.Join(t.TempDir(), "log.json")))
	r.Chain = r.Results("bookshop", i.ReplyLine(), answer(1), answer(2), answer(3))
	var chain Chain
	opened, err := c.Results(context.Background(), &chain, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range opened {
		if o.Proof == nil || o.Checkpoint.Origin != "vault.example" || o.Checkpoint.Size <= int64(o.Place.Index) {
			t.Errorf("result %d, leaf %d, was proved by a checkpoint of %d", o.Result.Serial, o.Place.Index, o.Checkpoint.Size)
		}
	}
	if chain.Index != opened[2].Place.Index || chain.Size != opened[2].Checkpoint.Size {
		t.Errorf("the chain is at leaf %d of %d", chain.Index, chain.Size)
	}
	newest, err := c.Checkpoint(context.Background())
	if err != nil || newest.Size != r.Log.Size() {
		t.Errorf("checkpoint of %d, %v", newest.Size, err)
	}
	if of, err := c.ResultsOf(context.Background(), opened[0].Result.ID); err != nil || len(of) != 1 || of[0].Checkpoint != opened[0].Checkpoint {
		t.Errorf("the results of one id: %v", err)
	}
}

// What a vault may try that tells a storefront what its log does not hold.
func TestResultThatIsNotInTheLog(t *testing.T) {
	stranger := relaytest.Signer(t, "other.example")
	impostor := relaytest.Signer(t, "vault.example")
	for name, bend := range map[string]func(r *relaytest.Relay, a *relaytest.Answer){
		"differs from its leaf": func(_ *relaytest.Relay, a *relaytest.Answer) {
			a.Bend = func(leaf *[proof.LeafBytes]byte) { leaf[0] ^= 1 }
		},
		"has another entry": func(_ *relaytest.Relay, a *relaytest.Answer) {
			a.Bend = func(leaf *[proof.LeafBytes]byte) { leaf[proof.LeafBytes-1] ^= 1 }
		},
		"proves another leaf": func(r *relaytest.Relay, a *relaytest.Answer) {
			a.Prove = func(index, size int64) []byte { return r.Log.Text(index-1, size, r.Vault) }
		},
		"proves the leaf at another place": func(r *relaytest.Relay, a *relaytest.Answer) {
			a.Prove = func(index, size int64) []byte {
				p := r.Log.Prove(index, size, r.Vault)
				p.Index--
				text, err := proof.EncodeProof(p)
				if err != nil {
					t.Error(err)
				}
				return text
			}
		},
		"has a checkpoint of another origin": func(r *relaytest.Relay, a *relaytest.Answer) {
			a.Prove = func(index, size int64) []byte { return r.Log.Text(index, size, stranger) }
		},
		"has a checkpoint of another key": func(r *relaytest.Relay, a *relaytest.Answer) {
			a.Prove = func(index, size int64) []byte { return r.Log.Text(index, size, impostor) }
		},
		"has no proof, and those before it have": func(_ *relaytest.Relay, a *relaytest.Answer) {
			a.Prove = func(int64, int64) []byte { return nil }
		},
		"has a checkpoint from before the last": func(r *relaytest.Relay, a *relaytest.Answer) {
			fork := prooftest.Of(t, 3)
			a.Prove = func(index, size int64) []byte { return fork.Text(2, 3, r.Vault) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := relaytest.New(t)
			i := identity(t, "bookshop")
			c := reader(t, r, i, nil)
			second := answer(2)
			bend(r, &second)
			all := r.Results("bookshop", i.ReplyLine(), answer(1), second)
			var chain Chain
			r.Page = all[:1]
			if _, err := c.Results(context.Background(), &chain, 0); err != nil {
				t.Fatal(err)
			}
			before, _ := c.Seen()
			r.Page = all[1:]
			if _, err := c.Results(context.Background(), &chain, 0); !errors.Is(err, ErrLog) || chain.Serial != 1 {
				t.Errorf("got %v, the chain at %d", err, chain.Serial)
			}
			after, _ := c.Seen()
			if was, _ := before.Newest(); func() int64 { h, _ := after.Newest(); return h.Size }() != was.Size {
				t.Error("it was taken for seen")
			}
		})
	}
}

// Results from before the vault gave proofs are read; and a page of results that carry none leaves
// what was seen alone.
func TestResultsWithoutProofs(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	c := reader(t, r, i, nil)
	old := answer(1)
	old.Prove = func(int64, int64) []byte { return nil }
	r.Chain = r.Results("bookshop", i.ReplyLine(), old, answer(2))
	var chain Chain
	opened, err := c.Results(context.Background(), &chain, 0)
	if err != nil || len(opened) != 2 || opened[0].Checkpoint.Size != 0 || opened[1].Checkpoint.Size == 0 {
		t.Errorf("%d results, %v", len(opened), err)
	}
}

// The vault's log is cut and grows again with other entries; each reader that keeps what it saw
// notices, also after a restart.
func TestRewoundAndRewrittenLog(t *testing.T) {
	i := identity(t, "bookshop")
	for name, rewrite := range map[string]func(r *relaytest.Relay){
		"an older checkpoint": func(r *relaytest.Relay) { r.Head = r.Log.Sign(r.Log.Size()-1, r.Vault) },
		"another root of one size": func(r *relaytest.Relay) {
			size := r.Log.Size()
			r.Log = prooftest.Of(t, size)
		},
		"a past that the last proof does not begin with": func(r *relaytest.Relay) {
			fork := prooftest.Of(t, 5)
			fork.Add(prooftest.Record(1 << 40))
			fork.Grow(30)
			r.Log, r.Chain = fork, nil
			r.Chain = r.Results("bookshop", i.ReplyLine(), answer(1), answer(2))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := relaytest.New(t)
			r.Log.Grow(24)
			file := FileLog(filepath.Join(t.TempDir(), "log.json"))
			r.Chain = r.Results("bookshop", i.ReplyLine(), answer(1))
			c := reader(t, r, i, file)
			if _, err := c.Results(context.Background(), &Chain{}, 0); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Checkpoint(context.Background()); err != nil {
				t.Fatal(err)
			}
			rewrite(r)
			c = reader(t, r, i, file)
			_, resultsErr := c.Results(context.Background(), &Chain{}, 0)
			_, err := c.Checkpoint(context.Background())
			wrong, ok := errors.AsType[*proof.Contradiction](errors.Join(resultsErr, err))
			if !ok || !errors.Is(errors.Join(resultsErr, err), ErrLog) || len(wrong.Kept) == 0 || len(wrong.Got) == 0 {
				t.Errorf("results: %v; checkpoint: %v", resultsErr, err)
			}
		})
	}
}

func TestCheckpointOfTheRelay(t *testing.T) {
	r := relaytest.New(t)
	c := reader(t, r, identity(t, "bookshop"), nil)
	for name, head := range map[string][]byte{
		"of another vault":         r.Log.Sign(5, relaytest.Signer(t, "other.example")),
		"of another key":           r.Log.Sign(5, relaytest.Signer(t, "vault.example")),
		"that is none":             []byte("vault.example\n5\n"),
		"signed with other bytes":  append([]byte("x"), r.Log.Sign(5, r.Vault)...),
		"of an origin of its name": foreign(t, r),
	} {
		r.Head = head
		if _, err := c.Checkpoint(context.Background()); !errors.Is(err, ErrUnverified) {
			t.Errorf("a checkpoint %s: %v", name, err)
		}
	}
	// One relay of two is a moment behind.
	r.Log.Grow(9)
	r.Head = nil
	if _, err := c.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	calls := 0
	r.Get = func(w http.ResponseWriter, _ *http.Request) {
		calls++
		size := int64(8)
		if calls > 1 {
			size = 9
		}
		_, _ = w.Write(r.Log.Sign(size, r.Vault))
	}
	if newest, err := c.Checkpoint(context.Background()); err != nil || newest.Size != 9 || calls != 2 {
		t.Errorf("checkpoint of %d after %d calls: %v", newest.Size, calls, err)
	}
	r.Get = func(w http.ResponseWriter, _ *http.Request) { relaytest.Problem(w, 404, "not-found") }
	var refused *Refused
	if _, err := c.Checkpoint(context.Background()); !errors.As(err, &refused) || refused.Status != 404 {
		t.Errorf("none there: %v", err)
	}
}

// foreign is a checkpoint of another origin that the vault's key signed.
func foreign(t *testing.T, r *relaytest.Relay) []byte {
	t.Helper()
	text := "other.example\n5\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"
	msg, err := note.Sign([]byte(text), r.Vault)
	if err != nil {
		t.Fatal(err)
	}
	return msg
}

// Two shops read; the vault tells each a log of its own. Neither can know it alone; together they
// do.
func TestSplitViewBetweenTwoShops(t *testing.T) {
	r := relaytest.New(t)
	one, two := identity(t, "bookshop"), identity(t, "velo-works")
	file := FileLog(filepath.Join(t.TempDir(), "log.json"))
	a, b := reader(t, r, one, nil), reader(t, r, two, file)
	read := func(c *Client, i *Identity) {
		t.Helper()
		r.Chain = r.Results(i.Merchant(), i.ReplyLine(), answer(1))
		if _, err := c.Results(context.Background(), &Chain{}, 0); err != nil {
			t.Fatal(err)
		}
	}
	read(a, one)
	trunk := r.Log.Fork()
	read(b, two)
	theirs, err := file.Load()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := a.Compare(context.Background(), theirs); err != nil || got.Common == 0 {
		t.Errorf("an honest vault: %v, %v", got, err)
	}
	// The vault takes back what it told the second shop, and goes on for the first.
	r.Log = trunk
	r.Log.Grow(theirsSize(t, theirs))
	if _, err := a.Checkpoint(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, err = a.Compare(context.Background(), theirs)
	if wrong, ok := errors.AsType[*proof.Contradiction](err); !ok || !errors.Is(err, ErrLog) || len(wrong.Got) == 0 {
		t.Errorf("a split view: %v", err)
	}
	// What a stranger signed is no history of this vault's log.
	forged := &proof.History{}
	stranger := relaytest.Signer(t, "vault.example")
	if _, err := forged.AddCheckpoint(trunk.Sign(3, stranger), stranger.Verifier()); err != nil {
		t.Fatal(err)
	}
	if _, err := a.Compare(context.Background(), forged); !errors.Is(err, ErrUnverified) {
		t.Errorf("a forged history: %v", err)
	}
}

func theirsSize(t *testing.T, h *proof.History) int64 {
	t.Helper()
	newest, ok := h.Newest()
	if !ok {
		t.Fatal("nothing was seen")
	}
	return newest.Size
}

func TestDamagedLogFileIsNotTakenForAnEmptyOne(t *testing.T) {
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	file := filepath.Join(t.TempDir(), "log.json")
	r.Chain = r.Results("bookshop", i.ReplyLine(), answer(1))
	if _, err := reader(t, r, i, FileLog(file)).Results(context.Background(), &Chain{}, 0); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil || !json.Valid(data) {
		t.Fatalf("kept %s, %v", data, err)
	}
	if err := os.WriteFile(file, data[:len(data)/2], 0o600); err != nil {
		t.Fatal(err)
	}
	var chain Chain
	if _, err := reader(t, r, i, FileLog(file)).Results(context.Background(), &chain, 0); err == nil || chain.Serial != 0 {
		t.Errorf("read with half a file: %v", err)
	}
}
