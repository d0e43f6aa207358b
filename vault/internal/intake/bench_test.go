package intake

import (
	"context"
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"runtime"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/ledger"
)

// Sizes of the benchmarks. ops/bench runs them with -benchtime=1x and reads their metrics.
const (
	benchEnvelopes = 3000
	benchPerBag    = 160     // three X-Wing parts of an envelope take 6 KB, a bag holds a megabyte
	heapPayments   = 200_000 // of issue 2's figure vault-memory
)

// BenchmarkIntake takes three-part X-Wing envelopes through judging and committing, in bags as the channel gives them, and
// compares with their bare cryptography (one Ed25519 verification, three HPKE openings) on the same cores. Metrics:
// envelopes/s, bare/s and ratio.
func BenchmarkIntake(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		d := newDesk(b)
		messages := d.benchBags(b, benchEnvelopes, envelope.SuiteXWing)
		bare := bareRate(b)
		b.StartTimer()
		begun := time.Now()
		d.drain(b, messages)
		rate := benchEnvelopes / time.Since(begun).Seconds()
		b.ReportMetric(rate, "envelopes/s")
		b.ReportMetric(bare, "bare/s")
		b.ReportMetric(rate/bare, "ratio")
	}
}

// BenchmarkHeap takes 200,000 payments and reports what stays on the Go heap; it takes minutes. Metric: heap-MB.
func BenchmarkHeap(b *testing.B) {
	for b.Loop() {
		d := newDesk(b)
		for taken := 0; taken < heapPayments; taken += benchEnvelopes {
			d.drain(b, d.benchBags(b, min(benchEnvelopes, heapPayments-taken), envelope.SuiteX25519))
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.HeapAlloc)/(1<<20), "heap-MB")
	}
}

// benchBags seals n sales, on all cores, and packs them: with three X-Wing parts, or with two X25519 parts for speed.
func (d *desk) benchBags(b *testing.B, n int, suite envelope.Suite) []channel.Message {
	b.Helper()
	sealed := make([][]byte, n)
	err := d.intake.parallel(n, func(k int) error {
		sale := d.shop.Sale()
		if sale.Suite = suite; suite == envelope.SuiteX25519 {
			sale.Code = ""
		}
		sealed[k] = d.shop.Seal(sale)
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var messages []channel.Message
	for start := 0; start < n; start += benchPerBag {
		m := d.run.Bag(sealed[start:min(start+benchPerBag, n)]...)
		m.Sequence = d.run.Number
		messages = append(messages, m)
	}
	return messages
}

var errDrained = errors.New("all bags are committed")

// backlog is a channel that holds some bags.
type backlog struct {
	messages []channel.Message
	ledger   *ledger.Ledger
}

func (s backlog) Bags(ctx context.Context, _ uint64, fn func([]channel.Message) error) error {
	if err := fn(s.messages); err != nil {
		return err
	}
	last := s.messages[len(s.messages)-1].Sequence
	for {
		committed := s.ledger.Committed()
		var hint ledger.Hint
		err := s.ledger.View(func(tx *ledger.Tx) (err error) {
			hint, err = tx.BagHint()
			return err
		})
		if err != nil {
			return err
		}
		if hint.Sequence == last {
			return errDrained
		}
		select {
		case <-committed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s backlog) BagAt(context.Context, uint64) (channel.Message, error) {
	return channel.Message{}, channel.ErrNotFound
}

func (s backlog) PurgeBags(context.Context, uint64) error { return nil }

// drain takes messages as Run does, judging and committing side by side.
func (d *desk) drain(b *testing.B, messages []channel.Message) {
	b.Helper()
	i := d.newIntake(backlog{messages, d.Ledger})
	if err := i.follow(b.Context(), 1); !errors.Is(err, errDrained) {
		b.Fatal(err)
	}
}

// bareRate is how many envelopes a second the cryptography alone allows: verifying and opening, on all cores.
func bareRate(b *testing.B) float64 {
	b.Helper()
	const rounds = 1000
	text := make([]byte, 6000)
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	signature := ed25519.Sign(private, text)
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	info := make([]byte, 150)
	sealed, err := hpke.Seal(key.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), info, make([]byte, envelope.PadBlock))
	if err != nil {
		b.Fatal(err)
	}
	i := &Intake{Config: Config{Workers: runtime.GOMAXPROCS(0)}}
	begun := time.Now()
	err = i.parallel(rounds, func(int) error {
		if !ed25519.Verify(public, text, signature) {
			return errors.New("a good signature did not verify")
		}
		for range 3 {
			if _, err := hpke.Open(key, hpke.HKDFSHA256(), hpke.AES256GCM(), info, sealed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return rounds / time.Since(begun).Seconds()
}
