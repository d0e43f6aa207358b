package nacha_test

import (
	"fmt"
	"io"
	"runtime"
	"testing"
	"time"

	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer/nacha"
)

const (
	benchEntries      = 100_000
	benchShortEntries = 10_000 // with -short
)

// BenchmarkWrite writes a file of 100,000 debits in one batch, which needs the most memory.
// Metrics: peak-MB, the highest heap seen, in 10^6 bytes, sampled every millisecond; and us/entry.
// ops/bench runs it with -benchtime=Nx, N rounds.
func BenchmarkWrite(b *testing.B) {
	count := benchEntries
	if testing.Short() {
		count = benchShortEntries
	}
	plan, first := oneBatch(b)
	accounts := make([]*account.Bank, 1000)
	for i := range accounts {
		accounts[i] = bank(b, "011000015", fmt.Sprintf("%017d", i+1), "checking", fmt.Sprintf("Ada Lovelace the %d", i))
	}
	peak := watchHeap(b)
	for b.Loop() {
		w, err := nacha.NewWriter(io.Discard, plan)
		if err == nil {
			err = w.Next()
		}
		e := first
		for i := 0; i < count && err == nil; i++ {
			e.Trace, e.Amount, e.Bank = nacha.TraceNumber(odfi, uint32(i+1)), int64(i+1), accounts[i%len(accounts)]
			err = w.Add(e)
		}
		if err != nil {
			b.Fatal(err)
		}
		sums, err := w.Close()
		if err != nil || sums.Entries != count {
			b.Fatalf("%d entries, %v", sums.Entries, err)
		}
	}
	elapsed := b.Elapsed()
	b.ReportMetric(float64(peak())/1e6, "peak-MB")
	b.ReportMetric(float64(elapsed.Microseconds())/float64(b.N*count), "us/entry")
}

// watchHeap samples the heap until the returned function returns its highest size in bytes.
func watchHeap(b *testing.B) func() uint64 {
	b.Helper()
	stop, highest := make(chan struct{}), make(chan uint64)
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		var peak uint64
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak = max(peak, now.HeapAlloc)
			select {
			case <-stop:
				highest <- peak
				return
			case <-tick.C:
			}
		}
	}()
	return func() uint64 {
		close(stop)
		return <-highest
	}
}
