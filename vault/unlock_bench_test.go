package main

import (
	"context"
	"os"
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/keyring/keyringtest"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settle"
)

// BenchmarkUnlock takes payments into a ledger, 1,000 a round, and then unlocks it, its file in
// memory: clean-s is the seconds from the last share until the first authorisation leaves, after a
// proper stop; killed-s is the same after a kill, beyond the inspection of the file, which reads
// inspected-MB/s (10^6 bytes); checked/s is how many payments a second `vault check` proves.
// ops/bench runs it with -benchtime=200x.
func BenchmarkUnlock(b *testing.B) {
	m := newMemoryVault(b)
	selling, stop := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() { defer close(ended); m.sell(selling) }()
	for b.Loop() {
		m.take(b)
	}
	stop()
	<-ended
	begun := time.Now()
	m.must(m.Ledger.Check(b.Context(), nil))
	b.ReportMetric(float64(m.taken)/time.Since(begun).Seconds(), "checked/s")

	path := m.Path()
	m.must(m.Ledger.Close())
	m.must(m.Ring.Close())
	clean, _, _ := m.unlock(b, path)
	b.ReportMetric(clean.Seconds(), "clean-s")
	m.must(os.Remove(path + ".clean")) // as a kill leaves it
	killed, inspection, bytes := m.unlock(b, path)
	b.ReportMetric((killed - inspection).Seconds(), "killed-s")
	b.ReportMetric(float64(bytes)/1e6/inspection.Seconds(), "inspected-MB/s")
	m.reopen(path)
}

// firstRequest says when the first authorisation leaves.
type firstRequest struct {
	hostAtOnce
	left chan time.Time
}

func (f firstRequest) Authorise(ctx context.Context, r acquirer.Request) (acquirer.Answer, error) {
	select {
	case f.left <- time.Now():
	default:
	}
	return f.hostAtOnce.Authorise(ctx, r)
}

// unlock opens ring and ledger as the daemon does, up to the first authorisation, and closes them.
func (m *memoryVault) unlock(b *testing.B, path string) (took, inspection time.Duration, bytes int64) {
	b.Helper()
	ring, err := keyring.Open(m.Dir, keyring.Options{Now: m.Clock.Now})
	m.must(err)
	begun := time.Now()
	m.must(ring.Unlock(m.Shares))
	l, err := ledger.Open(path, ring, ledger.Options{Now: m.Clock.Now, Check: func(path string) error {
		at := time.Now()
		defer func() { inspection = time.Since(at) }()
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		bytes = info.Size()
		return inspect(path)
	}})
	m.must(err)
	var slots []uint32
	m.must(l.View(func(tx *ledger.Tx) (err error) {
		slots, err = tx.StoredSlots()
		return err
	}))
	m.must(ring.KeepStored(slots))
	host := firstRequest{left: make(chan time.Time, 1)}
	engine := settle.New(settle.Config{Ledger: l, Opener: ring, Acquirer: host, Terminals: []string{"ND000001"}, Now: m.Clock.Now})
	m.must(engine.Recover(b.Context()))
	_, err = ring.Tick(m.Clock.Now())
	m.must(err)
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx) }()
	took = (<-host.left).Sub(begun)
	stop()
	<-ended
	m.must(l.Close())
	m.must(ring.Close())
	return took, inspection, bytes
}

// reopen gives the vault back what its clean-up closes.
func (m *memoryVault) reopen(path string) {
	m.Ring = keyringtest.Unlock(m.TB, m.Dir, m.Shares, m.Clock.Now)
	var err error
	m.Ledger, err = ledger.Open(path, m.Ring, ledger.Options{Now: m.Clock.Now})
	m.must(err)
}
