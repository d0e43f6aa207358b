package replay

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"errors"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/proof"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/merkle"
)

// BenchmarkReplay replays logs of 100,000 and of 1,000,000 entries: sales by card, settled in
// batches of 5,000. Metrics of the larger: entries/s; ratio, to bare cryptography of the same bytes
// on all cores (see bare), and of-plain; peak-MB, the highest heap; growth, to the smaller log's;
// verified/s, of `audit verify` on the same files.
func BenchmarkReplay(b *testing.B) {
	small, large := int64(100_000), int64(1_000_000)
	if testing.Short() {
		small, large = 10_000, 100_000
	}
	v := newVault(b)
	v.long = true
	v.fill(small)
	smallDir := v.export()
	v.fill(large)
	largeDir := v.export()
	samples := v.samples()
	v.state, v.rows = nil, nil // the vault's own memory is none of the replay's
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(MemoryLimit))
	defer debug.SetGCPercent(debug.SetGCPercent(GCPercent))
	for b.Loop() {
		_, smallPeak := v.timed(smallDir)
		took, peak := v.timed(largeDir)
		bare, plain := v.bare(v.tail.Size(), samples)
		rate := float64(v.tail.Size()) / took.Seconds()
		b.ReportMetric(rate, "entries/s")
		b.ReportMetric(rate/bare, "ratio")
		b.ReportMetric(rate/plain, "of-plain")
		b.ReportMetric(float64(peak)/1e6, "peak-MB")
		b.ReportMetric(float64(peak)/float64(smallPeak), "growth")
		began := time.Now()
		_, err := audit.Verify(b.Context(), largeDir, v.signer.Verifier(), audit.VerifyOptions{})
		v.must(err)
		b.ReportMetric(float64(v.tail.Size())/time.Since(began).Seconds(), "verified/s")
	}
}

// fill logs sales until the log has size entries.
func (v *vault) fill(size int64) {
	v.t.Helper()
	for v.tail.Size() < size {
		for range 5000 {
			if v.sale(1999); v.tail.Size()+4000 > size {
				break
			}
		}
		v.settle()
	}
}

// timed replays an export, and returns the highest heap that it saw.
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
	r, state, err := v.run(dir, given{})
	took = time.Since(began)
	close(done)
	peak = <-watched
	v.must(errors.Join(err, r.Err(), state.Close()))
	return took, peak
}

// sample is an entry as the vault sealed it.
type sample struct {
	record [proof.LeafBytes]byte
	sealed []byte
	told   []byte // that the record's first half hashes: salt, and facts where there are any
	index  int64
}

// samples are a thousand entries of the log.
func (v *vault) samples() (samples []sample) {
	v.t.Helper()
	for index := int64(1000); index < 2000; index++ {
		record, body, err := merkle.Stored(v.rows, index)
		v.must(err)
		told := make([]byte, proof.SaltBytes)
		if index%2 == 0 { // every other entry issues a result
			told = append(told, `{"payment":"00000000-0000-4000-8000-000000000001","status":"settled","code":"iso-00","amount":1999,"currency":"USD",`+
				`"reference":"order-1","masked":"424242******4242","approval":"A12345","batch":"card-000001"}`...)
		}
		samples = append(samples, sample{record, body[4:], told, index})
	}
	return samples
}

// bare is how many entries a second all cores open and hash, and nothing else: the sealed bytes of
// the log's own entries, opened as they were sealed (XAES-256-GCM) and hashed (SHA-256), what the
// records hash, and the records and inner nodes of the tree above them. plain is the same with
// AES-GCM under one key that is ready, and without the tree.
func (v *vault) bare(n int64, samples []sample) (bare, plain float64) {
	v.t.Helper()
	block, err := aes.NewCipher(make([]byte, 32))
	v.must(err)
	gcm, err := cipher.NewGCM(block)
	v.must(err)
	nonce := make([]byte, gcm.NonceSize())
	bare = onAllCores(n, func(i int64) {
		s := &samples[i%int64(len(samples))]
		sha256.Sum256(s.sealed)
		sha256.Sum256(s.told)
		tlog.NodeHash(tlog.RecordHash(s.record[:]), tlog.Hash{})
		if _, err := v.key.Box.Open(s.sealed, merkle.AppendAssociated(nil, origin, s.index, v.key.Number)); err != nil {
			panic(err)
		}
	})
	texts := make([][]byte, len(samples))
	for i, s := range samples {
		texts[i] = gcm.Seal(nil, nonce, make([]byte, len(s.sealed)-24-16), nil)
	}
	plain = onAllCores(n, func(i int64) {
		text := texts[i%int64(len(texts))]
		sha256.Sum256(text)
		if _, err := gcm.Open(make([]byte, 0, 1024), nonce, text, nil); err != nil {
			panic(err)
		}
	})
	return bare, plain
}

// onAllCores is how many times a second do is done.
func onAllCores(n int64, do func(i int64)) float64 {
	cores := int64(runtime.GOMAXPROCS(0))
	began := time.Now()
	var group sync.WaitGroup
	for range cores {
		group.Go(func() {
			for i := range n / cores {
				do(i)
			}
		})
	}
	group.Wait()
	return float64(n) / time.Since(began).Seconds()
}
