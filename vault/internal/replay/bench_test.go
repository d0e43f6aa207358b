package replay

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"runtime"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"nightdrop/vault/internal/audit"
)

// BenchmarkReplay replays logs of 100,000 and of 1,000,000 entries: sales by card, settled in batches of 5,000. Metrics of the larger:
// entries/s; ratio, to opening as many plaintexts of the same lengths by AES-GCM and hashing what was sealed, on all cores; peak-MB, the
// highest heap; growth, to the smaller log's; verified/s, of `audit verify` on the same files.
func BenchmarkReplay(b *testing.B) {
	small, large := int64(100_000), int64(1_000_000)
	if testing.Short() {
		small, large = 10_000, 100_000
	}
	v := newVault(b)
	v.fill(small)
	smallDir := v.export()
	v.fill(large)
	largeDir := v.export()
	v.state = nil // the vault's own memory is none of the replay's
	for b.Loop() {
		_, smallPeak := v.timed(smallDir)
		took, peak := v.timed(largeDir)
		bare := v.bare(largeDir, v.tail.Size())
		rate := float64(v.tail.Size()) / took.Seconds()
		b.ReportMetric(rate, "entries/s")
		b.ReportMetric(rate/bare, "ratio")
		b.ReportMetric(float64(peak)/1e6, "peak-MB")
		b.ReportMetric(float64(peak)/float64(smallPeak), "growth")
		began := time.Now()
		_, err := audit.Verify(largeDir, v.signer.Verifier(), nil)
		v.must(err)
		b.ReportMetric(float64(v.tail.Size())/time.Since(began).Seconds(), "verified/s")
	}
}

// fill logs sales until the log has size entries.
func (v *vault) fill(size int64) {
	v.t.Helper()
	for v.tail.Size() < size {
		tx, err := v.db.Begin(true)
		v.must(err)
		v.pending = tx
		for range 5000 {
			if v.sale(1999); v.tail.Size()+4000 > size {
				break
			}
		}
		v.settle()
		v.must(tx.Commit())
		v.pending = nil
	}
}

// timed replays an export, and tells the highest heap that it saw.
func (v *vault) timed(dir string) (took time.Duration, peak uint64) {
	v.t.Helper()
	runtime.GC()
	done, watched := make(chan struct{}), make(chan uint64)
	go func() {
		var highest uint64
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		for ticker := time.NewTicker(5 * time.Millisecond); ; {
			select {
			case <-ticker.C:
				metrics.Read(sample)
				highest = max(highest, sample[0].Value.Uint64())
			case <-done:
				ticker.Stop()
				watched <- highest
				return
			}
		}
	}()
	began := time.Now()
	r, _, err := v.replay(dir, given{})
	took = time.Since(began)
	close(done)
	peak = <-watched
	v.must(errors.Join(err, r.Err()))
	return took, peak
}

// bare is how many messages a second all cores open by AES-GCM and hash, of the lengths of the log's entries.
func (v *vault) bare(dir string, n int64) float64 {
	v.t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	v.must(err)
	gcm, err := cipher.NewGCM(block)
	v.must(err)
	var sealed [][]byte
	enough := errors.New("enough")
	x, err := audit.OpenExport(dir, v.signer.Verifier())
	v.must(err)
	err = x.Entries(v.t.Context(), 1000, v.anna, func(e audit.Entry) error {
		sealed = append(sealed, gcm.Seal(nil, make([]byte, 12), bytes.Clone(e.Event), nil))
		if len(sealed) == 1000 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		v.t.Fatal(err)
	}
	cores := int64(runtime.GOMAXPROCS(0))
	began := time.Now()
	var group sync.WaitGroup
	for range cores {
		group.Go(func() {
			var out []byte
			nonce := make([]byte, 12)
			for i := range n / cores {
				message := sealed[i%1000]
				sha256.Sum256(message)
				out, _ = gcm.Open(out[:0], nonce, message, nil)
			}
		})
	}
	group.Wait()
	return float64(n) / time.Since(began).Seconds()
}
