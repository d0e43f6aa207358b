package publisher

import (
	"encoding/hex"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// leaf is a result's record in the log.
func leaf(t testing.TB, r vaulttest.Opened) [proof.LeafBytes]byte {
	t.Helper()
	entry, err := hex.DecodeString(r.Place.Entry)
	if err != nil || len(entry) != 32 {
		t.Fatalf("entry of %d bytes, %v", len(entry), err)
	}
	return proof.LeafRecord(r.Place.Salt, r.Line, [32]byte(entry))
}

// sealed seals and sends what is pending, and opens all results so far.
func (d *fixture) sealed(t *testing.T, o *Publisher, r *recorder) []vaulttest.Opened {
	t.Helper()
	for {
		n, err := o.sealRound(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
	}
	for {
		n, trouble, err := o.sendRound(t.Context())
		if err != nil || trouble != nil {
			t.Fatal(trouble, err)
		}
		if n == 0 {
			return checkChain(t, d.shop, notesOf(r.published()))
		}
	}
}

// Each result's proof verifies by the vault's key alone; a round has one checkpoint, and all
// checkpoints are of one log.
func TestEveryResultProvesItsPlaceInTheLog(t *testing.T) {
	d := newFixture(t)
	r := &recorder{}
	w := d.watching(r)
	history := &proof.History{}
	bySize := map[int64]proof.Checkpoint{}
	checked := 0
	for _, batch := range []int{1, 3, roundResults + 40, 2} {
		d.reject("shop-1", batch)
		results := d.sealed(t, w.Publisher, r)
		d.reject("shop-1", 0)
		w.look(t)
		rounds := map[int64]int{}
		for _, result := range results[checked:] {
			p, err := proof.DecodeProof(result.Proof)
			if err != nil {
				t.Fatalf("result %d: %v", result.Serial, err)
			}
			if p.Index != int64(result.Place.Index) {
				t.Errorf("result %d of leaf %d proves leaf %d", result.Serial, result.Place.Index, p.Index)
			}
			c, err := history.AddProof(p, leaf(t, result), d.Ring.Verifier())
			if err != nil {
				t.Fatalf("result %d: %v", result.Serial, err)
			}
			bySize[c.Size] = c
			rounds[c.Size]++
		}
		if len(rounds) > 1+batch/roundResults {
			t.Errorf("%d results were proved by %d checkpoints", batch, len(rounds))
		}
		checked = len(results)
		notices := r.notices[channel.NoticeCheckpoint]
		c, err := history.AddCheckpoint(notices[len(notices)-1], d.Ring.Verifier())
		if err != nil {
			t.Fatalf("the published checkpoint: %v", err)
		}
		bySize[c.Size] = c
	}
	d.checkPrefixes(t, bySize)
}

// checkPrefixes checks that the log begins with the logs of these checkpoints.
func (d *fixture) checkPrefixes(t *testing.T, bySize map[int64]proof.Checkpoint) {
	t.Helper()
	d.Append("shop-1", book.MerchantSuspended{}) // one entry more
	d.View(func(tx *ledger.Tx) error {
		size, err := tx.TreeSize()
		if err != nil {
			return err
		}
		for _, c := range bySize {
			hashes, err := tx.Proof(uint64(c.Size-1), size)
			if err != nil {
				return err
			}
			entry, err := tx.LogEntry(uint64(c.Size - 1))
			if err != nil {
				return err
			}
			shown, err := proof.Proof{Index: c.Size - 1, Hashes: hashes}.Subtrees(size, entry.Record)
			if err != nil {
				return err
			}
			if root, known := shown.Root(c.Size); !known || root != c.Root {
				t.Errorf("the log does not begin with that of %d entries that was signed", c.Size)
			}
		}
		return nil
	})
}

// The longest names and facts leave room for the proof of a large log.
func TestLongestProofFits(t *testing.T) {
	d := newFixture(t)
	ids := d.reject("shop-1", 1)
	o := d.publisher(&recorder{})
	chains, _, err := o.pending(d.Ring.Signer())
	if err != nil {
		t.Fatal(err)
	}
	r := chains[0].results[0]
	p, err := proof.DecodeProof(r.proof)
	if err != nil {
		t.Fatal(err)
	}
	for len(p.Hashes) < 40 { // of 2^40 entries
		p.Hashes = append(p.Hashes, [32]byte{})
	}
	if r.proof, err = proof.EncodeProof(p); err != nil {
		t.Fatal(err)
	}
	if err := o.sealPart(r); err != nil || r.pending.ID != ids[0] {
		t.Errorf("result with 40 hashes: %v", err)
	}
}

// BenchmarkSealRound seals rounds of 512 results in a log of some thousand entries. Metrics:
// results/s, and the shares of the time for reading the round with its proofs and for the proofs
// alone.
func BenchmarkSealRound(b *testing.B) {
	d := newFixture(b)
	d.reject("shop-1", 20000)
	o := d.publisher(&recorder{})
	signer := d.Ring.Signer()
	var total, reading, proving time.Duration
	results := 0
	for b.Loop() {
		begun := time.Now()
		n, err := o.sealRound(b.Context())
		total += time.Since(begun)
		if err != nil {
			b.Fatal(err)
		}
		if results += n; n == 0 {
			b.Fatal("nothing is left to seal: give fewer rounds")
		}
		begun = time.Now()
		chains, _, err := o.pending(signer)
		reading += time.Since(begun)
		if err != nil {
			b.Fatal(err)
		}
		begun = time.Now()
		d.View(func(tx *ledger.Tx) error {
			prover, err := newProver(tx, signer)
			if err != nil {
				return err
			}
			for _, c := range chains {
				for _, r := range c.results {
					if _, err := prover.prove(r.pending.Place.Index); err != nil {
						return err
					}
				}
			}
			return nil
		})
		proving += time.Since(begun)
	}
	b.ReportMetric(float64(results)/total.Seconds(), "results/s")
	b.ReportMetric(reading.Seconds()/total.Seconds(), "read-part")
	b.ReportMetric(proving.Seconds()/total.Seconds(), "proof-part")
}
