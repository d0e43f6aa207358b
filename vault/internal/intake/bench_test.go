package intake

import (
	"crypto/ed25519"
	"crypto/hpke"
	"crypto/rand"
	"errors"
	"runtime"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/vaulttest"
)

// Sizes of the benchmark, a tenth with -short. ops/bench runs it with -benchtime=1x and reads its
// metrics.
const (
	benchEnvelopes = 4800
	benchTurns     = 3   // of some groups each
	benchPerBag    = 160 // three X-Wing parts of an envelope take 6 KB, a bag holds a megabyte
)

// BenchmarkIntake judges and commits three-part X-Wing envelopes in bags, and compares with their
// bare cryptography (one Ed25519 verification, three HPKE openings) on the same cores, in turns, so
// that other work on the machine slows both. Metrics: envelopes/s, bare/s and ratio.
func BenchmarkIntake(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		d := newFixture(b)
		n := benchEnvelopes
		if testing.Short() {
			n /= 10
		}
		messages := d.run.Bags(benchPerBag, vaulttest.SealAll(n, func(int) []byte { return d.shop.Seal(d.shop.Sale()) }))
		bare := newBare(b)
		b.StartTimer()
		var taking, opening time.Duration
		for turn := range benchTurns {
			begun := time.Now()
			d.drain(b, messages[:(turn+1)*len(messages)/benchTurns])
			taking += time.Since(begun)
			begun = time.Now()
			bare.open(b, n/benchTurns)
			opening += time.Since(begun)
		}
		b.ReportMetric(float64(n)/taking.Seconds(), "envelopes/s")
		b.ReportMetric(float64(n)/opening.Seconds(), "bare/s")
		b.ReportMetric(opening.Seconds()/taking.Seconds(), "ratio")
	}
}

// drain judges and commits messages in a pipeline, as the daemon does.
func (d *fixture) drain(b *testing.B, messages []channel.Message) {
	b.Helper()
	err := d.newIntake(vaulttest.Backlog{Messages: messages, Ledger: d.Ledger}).Run(b.Context())
	if !errors.Is(err, vaulttest.ErrDrained) {
		b.Fatal(err)
	}
}

// bare is an envelope's cryptography alone.
type bare struct {
	public          ed25519.PublicKey
	text, signature []byte
	key             hpke.PrivateKey
	info, sealed    []byte
}

func newBare(b *testing.B) bare {
	b.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	key, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	c := bare{public: public, text: make([]byte, 6000), key: key, info: make([]byte, 150)}
	c.signature = ed25519.Sign(private, c.text)
	c.sealed, err = hpke.Seal(key.PublicKey(), hpke.HKDFSHA256(), hpke.AES256GCM(), c.info, make([]byte, envelope.PadBlock))
	if err != nil {
		b.Fatal(err)
	}
	return c
}

// open verifies and opens n envelopes on all cores.
func (c bare) open(b *testing.B, n int) {
	b.Helper()
	i := &Intake{Config: Config{Workers: runtime.GOMAXPROCS(0)}}
	err := i.parallel(n, func(int) error {
		if !ed25519.Verify(c.public, c.text, c.signature) {
			return errors.New("a good signature did not verify")
		}
		for range 3 {
			if _, err := hpke.Open(c.key, hpke.HKDFSHA256(), hpke.AES256GCM(), c.info, c.sealed); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}
