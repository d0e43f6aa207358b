package main

import (
	"context"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/intake"
	"nightdrop/vault/internal/keyring/keyringtest"
	"nightdrop/vault/internal/publisher"
	"nightdrop/vault/internal/settle"
	"nightdrop/vault/internal/vaulttest"
)

const (
	memoryRound  = 1000 // payments a round
	memoryPerBag = 250  // 3 KB each
	// payments that go on to the acquirer and to their results, once all are in the ledger
	memoryAnswered = 10_000
)

// BenchmarkMemory takes payments through intake into the ledger, 1,000 a round; then the engine
// authorises 10,000 of them and the outbox answers, beside the backlog of the rest. Metrics:
// heap-MB, what stays on the Go heap (10^6 bytes, after a collection), and peak-MB, the most that
// lay there at any time. ops/bench runs it with -benchtime=200x, for 200,000 payments.
func BenchmarkMemory(b *testing.B) {
	m := newMemoryVault(b)
	peak := watchHeap(b)
	selling, stop := context.WithCancel(b.Context())
	var storefronts sync.WaitGroup
	storefronts.Go(func() { m.sell(selling) })
	for b.Loop() {
		m.take(b)
	}
	stop()
	storefronts.Wait()
	m.answer(b, min(memoryAnswered, int64(m.taken)))
	b.ReportMetric(peak(), "peak-MB")
	runtime.GC()
	runtime.GC() // what finalizers held
	b.ReportMetric(heapMB(), "heap-MB")
	if p := m.State().Payments; p != uint64(m.taken) {
		b.Fatalf("the ledger has %d of %d payments", p, m.taken)
	}
}

// heapMB is what lies on the heap, garbage that is not swept yet included.
func heapMB() float64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return float64(sample[0].Value.Uint64()) / 1e6
}

// watchHeap looks at the heap from now on; what it returns ends that and gives the highest.
func watchHeap(b *testing.B) func() float64 {
	ctx, stop := context.WithCancel(b.Context())
	highest := make(chan float64)
	go func() {
		most := 0.0
		for {
			most = max(most, heapMB())
			select {
			case <-ctx.Done():
				highest <- most
				return
			case <-time.After(2 * time.Millisecond):
			}
		}
	}()
	return func() float64 { stop(); return <-highest }
}

// memoryVault is an unlocked vault with everything that works between channel and acquirer.
type memoryVault struct {
	*vaulttest.Vault
	shops  []*vaulttest.Storefront
	run    *vaulttest.Run
	intake *intake.Intake
	bags   chan []channel.Message // rounds, sealed ahead
	taken  int
}

func newMemoryVault(b *testing.B) *memoryVault {
	b.Helper()
	m := &memoryVault{Vault: vaulttest.Unchecked(b, keyringtest.ClockAt(time.Now())), bags: make(chan []channel.Message)}
	m.run = m.SetRelays("relay-one")[0].Start()
	for _, id := range []string{"bookshop", "florist", "grocer", "tailor"} {
		m.shops = append(m.shops, m.Enrol(id))
	}
	var err error
	m.intake, err = intake.New(intake.Config{Ledger: m.Ledger, Opener: m.Ring, Now: m.Clock.Now})
	m.must(err)
	return m
}

func (m *memoryVault) must(err error) {
	m.TB.Helper()
	if err != nil {
		m.TB.Fatal(err)
	}
}

// sell seals rounds of sales until ctx ends, one ahead: for an older Tink and without codes, which
// is quickest.
func (m *memoryVault) sell(ctx context.Context) {
	for {
		sealed := make([][]byte, memoryRound)
		tasks := new(errgroup.Group)
		tasks.SetLimit(runtime.GOMAXPROCS(0))
		for i := range sealed {
			tasks.Go(func() error {
				shop := m.shops[i%len(m.shops)]
				sale := shop.Sale()
				sale.Suite, sale.Code = envelope.SuiteX25519, ""
				sealed[i] = shop.Seal(sale)
				return nil
			})
		}
		if tasks.Wait() != nil {
			return
		}
		var messages []channel.Message
		for start := 0; start < memoryRound; start += memoryPerBag {
			messages = append(messages, m.run.Bag(sealed[start:start+memoryPerBag]...))
		}
		select {
		case m.bags <- messages:
		case <-ctx.Done():
			return
		}
	}
}

// take has a round of sales taken.
func (m *memoryVault) take(b *testing.B) {
	b.Helper()
	m.must(m.intake.Take(b.Context(), <-m.bags))
	m.taken += memoryRound
}

// answer runs engine and outbox until n results are published.
func (m *memoryVault) answer(b *testing.B, n int64) {
	b.Helper()
	out := &channelAtOnce{}
	engine := settle.New(settle.Config{Ledger: m.Ledger, Opener: m.Ring, Acquirer: hostAtOnce{}, Terminals: []string{"ND000001"}, Now: m.Clock.Now})
	answers, err := publisher.New(publisher.Config{Ledger: m.Ledger, Keys: m.Ring, Channel: out, Position: m.intake.Position, Rate: 1 << 20, Now: m.Clock.Now})
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	ended := make(chan error, 2)
	go func() { ended <- engine.Run(ctx) }()
	go func() { ended <- answers.Run(ctx) }()
	waittest.For(b, "all results to be published", func() bool {
		select {
		case err := <-ended:
			b.Fatal(err)
		default:
		}
		return out.published.Load() >= n
	})
	stop()
	for range 2 {
		<-ended
	}
}

// hostAtOnce approves every sale. Nothing else is asked of it.
type hostAtOnce struct{ acquirer.Acquirer }

func (hostAtOnce) Ready() error { return nil }

func (hostAtOnce) Authorise(context.Context, acquirer.Request) (acquirer.Answer, error) {
	return acquirer.Answer{Code: acquirer.Approved, Approval: "A00001", Outcome: acquirer.Approves}, nil
}

// channelAtOnce acks what it loses, and counts results.
type channelAtOnce struct{ published atomic.Int64 }

func (*channelAtOnce) Connected() bool { return true }

func (*channelAtOnce) ResultsRoom(context.Context) (channel.Room, error) { return channel.Room{}, nil }

func (*channelAtOnce) KeptResults(context.Context, string) (channel.Kept, error) {
	return channel.Kept{}, channel.ErrUnavailable
}

func (*channelAtOnce) ResultsAcked() channel.Acked { return channel.Acked{} }

func (*channelAtOnce) PurgeResults(context.Context, string, uint64) (uint64, error) { return 0, nil }

func (*channelAtOnce) PublishNotice(context.Context, channel.Notice, []byte) error { return nil }

func (c *channelAtOnce) PublishResult(string, uint64, string, []byte) channel.Ack {
	c.published.Add(1)
	done := make(chan error, 1)
	done <- nil
	return done
}
