package ledger

import (
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

// BenchmarkReceive commits three-part envelopes, 256 a group as intake does: event, entry, payment, indexes and two parts each.
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
