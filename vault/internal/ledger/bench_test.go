package ledger

import (
	"errors"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// cpu is the processor time that the process has used.
func cpu() time.Duration {
	var u unix.Rusage
	_ = unix.Getrusage(unix.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReceive commits three-part envelopes, 256 a group as intake does: event, entry, payment,
// indexes and two parts each.
func BenchmarkReceive(b *testing.B) {
	v := newVault(b)
	b.ReportAllocs()
	b.ResetTimer()
	before := cpu()
	for done := 0; done < b.N; {
		n := min(256, b.N-done)
		v.commit(func(tx *Tx) error {
			for range n {
				if err := receive(tx, shop, v.newID()); err != nil {
					return err
				}
			}
			return nil
		})
		done += n
	}
	b.StopTimer()
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	b.ReportMetric(float64(heap.HeapAlloc)/1e6, "heap-MB")
	b.ReportMetric(float64((cpu()-before).Nanoseconds())/float64(b.N), "cpu-ns/op")
}

// BenchmarkRebuild rebuilds a ledger of 5,000 sales: payments a second, with the inspection of the
// file before and its sums.
func BenchmarkRebuild(b *testing.B) {
	const sales, group = 5000, 100
	v := newVault(b)
	for range sales / group {
		v.commit(func(tx *Tx) error {
			for range group {
				id := v.newID()
				if err := errors.Join(receive(tx, shop, id), authorise(tx, shop, id, "00")); err != nil {
					return err
				}
			}
			return nil
		})
		v.sealPending()
	}
	v.stop()
	v.makeV2()
	v.copyFile(v.path(), v.dir+"/older")
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		v.copyFile(v.dir+"/older", v.path())
		b.StartTimer()
		if _, err := v.rebuild(RebuildOptions{}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(sales*float64(b.N)/b.Elapsed().Seconds(), "payments/s")
	v.open()
}
