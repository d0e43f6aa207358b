package settle

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/journal"
	"nightdrop/vault/internal/vaulttest"
)

// BenchmarkJournal authorises card sales with a journal on the channel of a real broker, which
// syncs on the same disk as the ledger, and as many without, in turns. The host answers at once, so
// that nothing hides what the journal costs; a host that takes its time hides all of it, for the
// wait is shared. Metrics: authorisations/s with the journal, without/s and ratio.
func BenchmarkJournal(b *testing.B) {
	sales := benchSales
	if testing.Short() {
		sales /= 10
	}
	for b.Loop() {
		b.StopTimer()
		bare, with := newLine(b, sales, false), newLine(b, sales, true)
		b.StartTimer()
		var without, journaled time.Duration
		for range benchTurns {
			without += bare.authorise(sales / benchTurns)
			journaled += with.authorise(sales / benchTurns)
		}
		b.ReportMetric(float64(sales)/journaled.Seconds(), "authorisations/s")
		b.ReportMetric(float64(sales)/without.Seconds(), "without/s")
		b.ReportMetric(without.Seconds()/journaled.Seconds(), "ratio")
		bare.stop()
		with.stop()
	}
}

// line is a vault whose engine authorises as many waiting sales as it is told.
type line struct {
	*shared
	stop func()
}

func newLine(b *testing.B, sales int, journaled bool) line {
	b.Helper()
	c := &counter{Vault: vaulttest.New(b), t: b, outbox: b.TempDir()}
	c.run, c.shop = c.SetRelays("relay-1")[0].Start(), c.Enrol("shop-1")
	var err error
	c.host, err = host.Start(host.Config{Listen: "127.0.0.1:0", Book: filepath.Join(b.TempDir(), "book")})
	c.must(err)
	c.client = iso8583.New(iso8583.Config{Address: c.host.Addr(), AnswerTimeout: 30 * time.Second})
	for range sales / benchBag {
		c.post(slices.Repeat([]int64{1250}, benchBag)...)
	}
	ctx, stop := context.WithCancel(context.Background())
	l := line{shared: &shared{Acquirer: c.client, slots: make(chan struct{}, sales), answers: make(chan struct{}, sales)}}
	config := func(cfg *Config) { cfg.Acquirer = l.shared }
	ended := make(chan error, 2)
	running := 1
	if journaled {
		j := journal.New(journal.Config{Ledger: c.Ledger, Place: journal.NewStream(brokertest.Start(b).Vault()), Signer: c.Ring.Signer()})
		config = func(cfg *Config) { cfg.Acquirer, cfg.Journal = l.shared, j }
		running++
		go func() { ended <- j.Run(ctx) }()
		waittest.For(b, "the journal", func() bool { return j.Ready() == nil })
	}
	waittest.For(b, "the line", func() bool { return c.client.Ready() == nil })
	e := c.engine(config)
	go func() { ended <- e.Run(ctx) }()
	l.stop = func() {
		stop()
		for range running {
			err = errors.Join(err, <-ended)
		}
		c.must(errors.Join(err, c.client.Close(), c.host.Close()))
	}
	return l
}

// authorise lets n requests through and returns how long it took to answer them.
func (l line) authorise(n int) time.Duration {
	begun := time.Now()
	for range n {
		l.slots <- struct{}{}
	}
	for range n {
		<-l.answers
	}
	return time.Since(begun)
}
