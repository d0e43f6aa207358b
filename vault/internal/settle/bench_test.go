package settle

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// Sizes of the benchmarks. ops/bench runs them with -benchtime=1x and reads their metrics; with
// -short they take less.
const (
	benchMany      = 100_000
	benchManyShort = 10_000
	benchFew       = 1_000
	benchFewTimes  = 4 // settlements of a few before and after that of many; their median counts
	benchSales     = 3_000
	benchDelay     = 100 * time.Millisecond
	benchBag       = 100
	benchTurns     = 3 // in which the engine and the bare client take turns
)

// BenchmarkSettle settles 100,000 payments, half of them approved card sales and half bank entries,
// into reconciliation and a file, and 1,000. Metrics: us/payment, at 100,000; ratio, of that to the
// time at 1,000.
func BenchmarkSettle(b *testing.B) {
	many := benchMany
	if testing.Short() {
		many = benchManyShort
	}
	for b.Loop() {
		var few []float64
		some := func() {
			for range benchFewTimes {
				few = append(few, settleTime(b, benchFew))
			}
		}
		some()
		at := settleTime(b, many)
		some() // before and after, so that other work on the machine slows both
		slices.Sort(few)
		b.ReportMetric(at, "us/payment")
		b.ReportMetric(at/few[len(few)/2], "ratio")
	}
}

// settleTime settles n payments in a vault of its own and returns the time for each, in
// microseconds.
func settleTime(b *testing.B, n int) float64 {
	b.Helper()
	c := &counter{Vault: vaulttest.New(b), t: b, outbox: b.TempDir()}
	c.shop = c.Enrol("shop-1")
	c.Append("shop-1", book.MerchantPolicySet{Policy: vaulttest.Policy()},
		book.BatchOpened{Batch: 1, Method: book.MethodCard}, book.BatchOpened{Batch: 2, Method: book.MethodBank})
	c.fill(n)
	e := New(Config{Ledger: c.Ledger, Opener: c.Ring, Accounts: c.Ring, Acquirer: agreeing{}, Bank: c.bank(), Terminals: []string{"ND000001"},
		Now: c.Clock.Now, Logger: slog.New(slog.DiscardHandler)})
	_, err := e.CloseBatch(b.Context(), "", "", person(), nil)
	c.must(err)
	begun := time.Now()
	done, err := e.Settle(b.Context(), book.AllBatches, "", person(), nil)
	elapsed := time.Since(begun)
	c.must(err)
	if done.Payments != n {
		b.Fatalf("%d of %d payments are settled", done.Payments, n)
	}
	return float64(elapsed.Microseconds()) / float64(n)
}

// fill puts n payments into the ledger as intake and engine would: every second a card sale that
// the host approved, the others bank sales.
func (c *counter) fill(n int) {
	c.t.Helper()
	key := c.Key(envelope.KindDay, envelope.SuiteX25519)
	sealer, err := seal.NewSealer(key.Name, key.Public)
	c.must(err)
	for from := 0; from < n; from += chunk {
		parts := map[string]envelope.Part{}
		var ids []string
		for i := from; i < min(from+chunk, n); i++ {
			id := uuid.NewString()
			ids = append(ids, id)
			if i%2 == 0 {
				parts[id], err = sealer.Seal(envelope.PartAccount, "shop-1", id, []byte(vaulttest.Bank(vaulttest.Routing, fmt.Sprintf("%012d", i))))
				c.must(err)
			}
		}
		c.must(c.Ledger.Commit(context.Background(), func(tx *ledger.Tx) error {
			for _, id := range ids {
				part, entry := parts[id]
				if err := fillOne(tx, id, part, entry); err != nil {
					return err
				}
			}
			return nil
		}))
	}
}

func fillOne(tx *ledger.Tx, id string, part envelope.Part, entry bool) error {
	body := book.EnvelopeReceived{ID: id, Digest: envelope.ZeroDigest, Until: envelope.At(tx.Now().Add(time.Hour)), Operation: envelope.OpSale, Amount: 1250,
		Currency: "USD", Reference: "order 17", Masked: "424242******4242", Brand: "visa", Method: book.MethodCard}
	if entry {
		body.Masked, body.Brand, body.Method = "******0001", "", book.MethodBank
		if err := appendEvent(tx, "vault", "timer", "shop-1", body); err != nil {
			return err
		}
		if err := tx.PutPart("shop-1", id, envelope.PartAccount, part); err != nil {
			return err
		}
		return appendEvent(tx, "vault", "timer", "shop-1", book.EntryAccepted{ID: id, Batch: 2, Standard: "WEB"})
	}
	if err := appendEvent(tx, "vault", "timer", "shop-1", body); err != nil {
		return err
	}
	trace, err := new(Engine).nextTrace(tx, []string{"ND000001"}, "ACCEPTOR1")
	if err != nil {
		return err
	}
	if err := appendEvent(tx, "vault", "timer", "shop-1", book.AuthorisationIntended{ID: id, Trace: trace, Batch: 1}); err != nil {
		return err
	}
	return appendEvent(tx, "acquirer", "host", "shop-1", book.AuthorisationAnswered{ID: id, Code: envelope.ISOCode("00"), Approval: "000001"})
}

// agreeing is a host that has what the vault has.
type agreeing struct{ acquirer.Acquirer }

func (agreeing) Ready() error { return nil }

func (agreeing) Reconcile(_ context.Context, t acquirer.Totals) (acquirer.Reconciliation, error) {
	return acquirer.Reconciliation{Agreed: true, Host: t}, nil
}

// BenchmarkAuthorise authorises card sales, which intake has taken, through the simulator's host
// over TCP, and compares with a bare client of the same host with as many outstanding: no ledger,
// no keys, no events. The two take turns, so that other work on the machine slows both. The host
// answers after benchDelay, as a fast acquirer does, so that the question is whether the engine
// keeps as many outstanding as it may; beside it the same is measured of a host that answers at
// once, where both wait for this machine's processors alone. Metrics: authorisations/s, bare/s and
// ratio; at-once/s and at-once-ratio of the other host.
func BenchmarkAuthorise(b *testing.B) {
	sales := benchSales
	if testing.Short() {
		sales /= 10
	}
	for b.Loop() {
		authorising, asking := authoriseTime(b, sales, benchDelay)
		b.ReportMetric(float64(sales)/authorising.Seconds(), "authorisations/s")
		b.ReportMetric(float64(sales)/asking.Seconds(), "bare/s")
		b.ReportMetric(asking.Seconds()/authorising.Seconds(), "ratio")
		authorising, asking = authoriseTime(b, sales, 0)
		b.ReportMetric(float64(sales)/authorising.Seconds(), "at-once/s")
		b.ReportMetric(asking.Seconds()/authorising.Seconds(), "at-once-ratio")
	}
}

// authoriseTime authorises so many sales in a vault of its own, with a host that takes so long to
// answer, and asks as many of it barely.
func authoriseTime(b *testing.B, sales int, delay time.Duration) (authorising, asking time.Duration) {
	b.Helper()
	c := &counter{Vault: vaulttest.New(b), t: b, outbox: b.TempDir()}
	c.run, c.shop = c.SetRelays("relay-1")[0].Start(), c.Enrol("shop-1")
	var err error
	c.host, err = host.Start(host.Config{Listen: "127.0.0.1:0", Book: filepath.Join(b.TempDir(), "book"), AnswerDelay: delay})
	c.must(err)
	c.client = iso8583.New(iso8583.Config{Address: c.host.Addr(), AnswerTimeout: 30 * time.Second})
	waittest.For(b, "the line", func() bool { return c.client.Ready() == nil })
	for range sales / benchBag {
		c.post(slices.Repeat([]int64{1250}, benchBag)...)
	}
	authorising, asking = c.takeTurns(sales)
	c.must(c.client.Close())
	c.must(c.host.Close())
	return authorising, asking
}

// takeTurns has the engine authorise the waiting sales, and the bare client as many, a share at a
// time, and returns what each took.
func (c *counter) takeTurns(sales int) (authorising, asking time.Duration) {
	c.t.Helper()
	shares := &shared{Acquirer: c.client, slots: make(chan struct{}, sales), answers: make(chan struct{}, sales)}
	card, err := account.Parse([]byte(vaulttest.Card(vaulttest.CardNumber, vaulttest.CardExpiry)))
	c.must(err)
	defer card.Clear()
	c.while(c.engine(func(cfg *Config) { cfg.Acquirer = shares }), func() {
		for n := range benchTurns {
			share := sales / benchTurns
			begun := time.Now()
			for range share {
				shares.slots <- struct{}{}
			}
			for range share {
				<-shares.answers
			}
			authorising += time.Since(begun)
			begun = time.Now()
			c.ask(card.Card, n*share, share)
			asking += time.Since(begun)
		}
	})
	return authorising, asking
}

// shared lets as many requests through as there are places, and reports each answer.
type shared struct {
	acquirer.Acquirer
	slots, answers chan struct{}
}

func (s *shared) Authorise(ctx context.Context, r acquirer.Request) (acquirer.Answer, error) {
	<-s.slots
	defer func() { s.answers <- struct{}{} }()
	return s.Acquirer.Authorise(ctx, r)
}

// ask sends n requests, numbered after so many, with as many outstanding as an engine has.
func (c *counter) ask(card *account.Card, after, n int) {
	c.t.Helper()
	var clients errgroup.Group
	clients.SetLimit(64)
	for i := after + 1; i <= after+n; i++ {
		clients.Go(func() error {
			trace := acquirer.Trace{STAN: uint32(i), RRN: fmt.Sprintf("632899%06d", i), Terminal: "BARE0001", Acceptor: "ACCEPTOR1", Sent: c.Clock.Now()}
			answer, err := c.client.Authorise(c.t.Context(), acquirer.Request{Kind: acquirer.KindSale, Trace: trace, Batch: 999_999, Amount: 1250, Currency: "USD", Card: card})
			if err == nil && answer.Outcome != acquirer.Approves {
				err = fmt.Errorf("answered with %s", answer.Code)
			}
			return err
		})
	}
	c.must(clients.Wait())
}
