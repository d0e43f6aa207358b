package ledger_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/intake"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// Sizes of the benchmark. ops/bench runs it with -benchtime=1x and reads its metrics; with -short
// it takes two turns.
const (
	logTurns     = 12
	logPerTurn   = 1600 // three groups of intake's
	logPerBag    = 160  // three X-Wing parts of an envelope take 6 KB, a bag holds a megabyte
	logMerchants = 4
	logRefused   = 16 // one of so many sales has an expired card, so that results are issued too
)

// BenchmarkLog takes three-part X-Wing envelopes of several merchants through the whole of intake,
// and the same bags through an intake whose ledger writes everything but the log. The two take
// turns, and turns in going first, so that other work on the machine slows both. Metrics:
// envelopes/s, with the log; without/s; ratio of the two.
func BenchmarkLog(b *testing.B) { inTurns(b, (*ledger.Ledger).WithoutLog, expectLog) }

// BenchmarkAbsence is the same against an intake whose ledger keeps no sums of buckets and no tags
// of keys: nothing that proves absence and age.
func BenchmarkAbsence(b *testing.B) { inTurns(b, (*ledger.Ledger).WithoutProofs, expectProofs) }

// inTurns has intake take the same bags into a ledger and into a copy of it that leaves something
// out.
func inTurns(b *testing.B, leave func(*ledger.Ledger, string) (*ledger.Ledger, error), expect func(b *testing.B, with, without *logSide, n int)) {
	b.Helper()
	turns := logTurns
	if testing.Short() {
		turns = 2
	}
	for b.Loop() {
		b.StopTimer()
		with, without, messages := logSides(b, turns*logPerTurn, leave)
		b.StartTimer()
		for turn := range turns {
			arrived := messages[:(turn+1)*logPerTurn/logPerBag]
			first, second := with, without
			if turn%2 == 1 {
				first, second = without, with
			}
			first.drain(b, arrived)
			second.drain(b, arrived)
		}
		b.StopTimer()
		expect(b, with, without, turns*logPerTurn)
		n := float64(turns * logPerTurn)
		b.ReportMetric(n/with.took.Seconds(), "envelopes/s")
		b.ReportMetric(n/without.took.Seconds(), "without/s")
		b.ReportMetric(without.took.Seconds()/with.took.Seconds(), "ratio")
		b.StartTimer()
	}
}

// logSide is an intake into a ledger of its own.
type logSide struct {
	vault  *vaulttest.Vault
	ledger *ledger.Ledger
	size   int64 // of the log at first
	took   time.Duration
}

// logSides makes a vault, a copy of its ledger that leaves something out, and n sealed sales in
// bags that both may take.
func logSides(b *testing.B, n int, leave func(*ledger.Ledger, string) (*ledger.Ledger, error)) (with, without *logSide, messages []channel.Message) {
	b.Helper()
	v := vaulttest.New(b)
	run := v.SetRelays("relay-1")[0].Start()
	shops := make([]*vaulttest.Storefront, logMerchants)
	for k := range shops {
		shops[k] = v.Enrol(fmt.Sprintf("shop-%d", k+1))
	}
	sealed := vaulttest.SealAll(n, func(k int) []byte {
		shop := shops[k%logMerchants]
		sale := shop.Sale()
		if k%logRefused == 0 {
			sale.Account = vaulttest.Card(vaulttest.CardNumber, "2020-01")
		}
		return shop.Seal(sale)
	})
	bare, err := leave(v.Ledger, filepath.Join(b.TempDir(), "ledger"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = bare.Close() })
	size := logSize(b, v.Ledger)
	return &logSide{vault: v, ledger: v.Ledger, size: size}, &logSide{vault: v, ledger: bare, size: size}, run.Bags(logPerBag, sealed)
}

// drain takes those of messages that it has not taken before, as the daemon does.
func (s *logSide) drain(b *testing.B, messages []channel.Message) {
	b.Helper()
	i, err := intake.New(intake.Config{Ledger: s.ledger, Opener: s.vault.Ring, Accounts: s.vault.Ring, Bank: true,
		Source: vaulttest.Backlog{Messages: messages, Ledger: s.ledger}, Now: s.vault.Clock.Now})
	if err != nil {
		b.Fatal(err)
	}
	runtime.GC() // neither collects what the other left
	begun := time.Now()
	if err := i.Run(b.Context()); !errors.Is(err, vaulttest.ErrDrained) {
		b.Fatal(err)
	}
	s.took += time.Since(begun)
}

// expectLog checks that both took all n sales, and that one wrote a log of them and the other none.
func expectLog(b *testing.B, with, without *logSide, n int) {
	b.Helper()
	for _, s := range []*logSide{with, without} {
		payments, results := s.taken(b)
		if payments != uint64(n) || results != n/logRefused {
			b.Fatalf("%d payments and %d results of %d sales", payments, results, n)
		}
	}
	if grown := logSize(b, with.ledger) - with.size; grown != int64(n+n/logPerBag) {
		b.Fatalf("the log has grown by %d entries: every sale and every bag has one", grown)
	}
	if grown := logSize(b, without.ledger) - without.size; grown != 0 {
		b.Fatalf("the log that is not written has grown by %d entries", grown)
	}
	if err := without.ledger.Check(b.Context(), nil); !errors.Is(err, ledger.ErrDamaged) {
		b.Fatalf("records without their events pass for a ledger: %v", err)
	}
}

// expectProofs checks that both took all n sales, and that only one ledger proves what it has.
func expectProofs(b *testing.B, with, without *logSide, n int) {
	b.Helper()
	for _, s := range []*logSide{with, without} {
		payments, results := s.taken(b)
		if payments != uint64(n) || results != n/logRefused {
			b.Fatalf("%d payments and %d results of %d sales", payments, results, n)
		}
	}
	if err := with.ledger.Check(b.Context(), nil); err != nil {
		b.Fatal(err)
	}
	if err := without.ledger.Check(b.Context(), nil); !errors.Is(err, ledger.ErrDamaged) {
		b.Fatalf("records without their sums pass for a ledger: %v", err)
	}
}

// taken counts payments and results.
func (s *logSide) taken(b *testing.B) (payments uint64, results int) {
	b.Helper()
	err := s.ledger.View(func(tx *ledger.Tx) error {
		state, err := tx.Vault()
		if err != nil {
			return err
		}
		payments = state.Payments
		pending, err := tx.PendingResults(1 << 20)
		results = len(pending)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return payments, results
}

// logSize reads the number of leaves from the committed head.
func logSize(b *testing.B, l *ledger.Ledger) (size int64) {
	b.Helper()
	err := l.View(func(tx *ledger.Tx) (err error) {
		size, err = tx.TreeSize()
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}
