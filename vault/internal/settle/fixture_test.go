package settle

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"testing"
	"time"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/intake"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/vaulttest"
)

// Amounts in minor units that make the simulator misbehave (specification 10).
const (
	amountDeclined = 900_051
	amountSilent   = 900_100
	amountLate     = 900_101
	amountDropped  = 900_102
)

// counter is a vault with a merchant, an intake, an acquirer's host on the other end of a TCP line,
// and an outbox for a bank.
type counter struct {
	*vaulttest.Vault
	t           testing.TB
	shop        *vaulttest.Storefront
	run         *vaulttest.Run
	host        *host.Host
	book        string
	client      *iso8583.Client
	outbox      string
	byReference bool // the host refunds by reference alone
}

func newCounter(t testing.TB, answerTimeout time.Duration) *counter {
	t.Helper()
	c := &counter{Vault: vaulttest.New(t), t: t, book: filepath.Join(t.TempDir(), "book"), outbox: t.TempDir(), byReference: true}
	c.run = c.SetRelays("relay-1")[0].Start()
	c.shop = c.Enrol("shop-1")
	c.Append("shop-1", book.MerchantPolicySet{Policy: vaulttest.Policy()})
	c.startHost("127.0.0.1:0")
	c.client = iso8583.New(iso8583.Config{Address: c.host.Addr(), AnswerTimeout: answerTimeout})
	t.Cleanup(func() { _ = c.client.Close(); _ = c.host.Close() })
	return c
}

func (c *counter) startHost(listen string) {
	c.t.Helper()
	var err error
	c.host, err = host.Start(host.Config{Listen: listen, Book: c.book, LateAfter: 800 * time.Millisecond})
	c.must(err)
}

// post takes sales of these amounts, in one bag, and returns their ids.
func (c *counter) post(amounts ...int64) []string {
	c.t.Helper()
	var ids []string
	var envelopes [][]byte
	for i, amount := range amounts {
		draft := c.shop.Sale()
		draft.Order = vaulttest.Order(amount, "USD", fmt.Sprintf("order %d", i))
		ids = append(ids, draft.ID)
		envelopes = append(envelopes, c.shop.Seal(draft))
	}
	c.take(envelopes...)
	return ids
}

// send takes one envelope and returns its id.
func (c *counter) send(d vaulttest.Draft) string {
	c.t.Helper()
	c.take(c.shop.Seal(d))
	return d.ID
}

func (c *counter) take(envelopes ...[]byte) {
	c.t.Helper()
	in, err := intake.New(intake.Config{Ledger: c.Ledger, Opener: c.Ring, Now: c.Clock.Now, Accounts: c.Ring, RefundsByReference: c.byReference, Bank: true})
	c.must(err)
	c.must(in.Take(c.t.Context(), oneBag(c.run.Bag(envelopes...))))
}

// engine is an engine over the counter's parts, or over what faults put in their place.
func (c *counter) engine(change func(*Config)) *Engine {
	config := Config{Ledger: c.Ledger, Opener: c.Ring, Accounts: c.Ring, Acquirer: c.client, Bank: c.bank(), Terminals: []string{"ND000001"}, ReversalRetry: 5 * time.Millisecond,
		Drain: time.Second, Patience: 5 * time.Second, Now: c.Clock.Now, Logger: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&config)
	}
	return New(config)
}

// bank is the one that files go to.
func (c *counter) bank() *Bank {
	zone, err := time.LoadLocation("America/New_York")
	c.must(err)
	return &Bank{Outbox: c.outbox, Calendar: nacha.Calendar{Location: zone, Cutoff: 16*time.Hour + 45*time.Minute, Lead: 1},
		Sender: nacha.Bank{ImmediateDestination: "091000019", DestinationName: "NORTHERN CLEARING BANK", ImmediateOrigin: "1987654321",
			OriginName: "NIGHTDROP VAULT", ODFI: "09100001"}}
}

// while runs an engine until during returns.
func (c *counter) while(e *Engine, during func()) {
	c.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	during()
	stop()
	c.must(<-ended)
}

// finish runs an engine until no payment is under way.
func (c *counter) finish(e *Engine) {
	c.t.Helper()
	c.while(e, func() {
		waittest.For(c.t, "every payment to have an outcome", func() bool {
			return c.underWay() == 0
		})
	})
}

// repeatInVain runs an engine until the reversals or captures of payments were repeated for a day,
// and a person is needed.
func (c *counter) repeatInVain(e *Engine, ids ...string) {
	c.t.Helper()
	c.while(e, func() {
		for _, id := range ids {
			waittest.For(c.t, "a second try", func() bool { return c.Payment(c.shop.ID, id).Tries >= 2 })
		}
		c.Clock.Pass(24 * time.Hour)
		for _, id := range ids {
			waittest.For(c.t, "a person to be needed", func() bool { return c.stage(id) == book.StageManual })
		}
	})
}

// underWay counts the payments that wait for the engine or the host.
func (c *counter) underWay() (n int) {
	c.t.Helper()
	for _, stage := range []book.Stage{book.StageReceived, book.StageAuthorising, book.StageUnknown, book.StageCapturing, book.StageVoiding} {
		n += c.count(stage)
	}
	return n
}

// told lists the statuses of the results about an envelope, oldest first.
func (c *counter) told(id string) (statuses []envelope.Status) {
	c.t.Helper()
	c.Issued(func(of string, f envelope.Facts) {
		if of == id {
			statuses = append(statuses, f.Status)
		}
	})
	return statuses
}

func (c *counter) count(stage book.Stage) (n int) {
	c.t.Helper()
	c.View(func(tx *ledger.Tx) error {
		n = 0
		return tx.Payments(ledger.Query{Stage: stage}, func(book.Payment) error { n++; return nil })
	})
	return n
}

func (c *counter) stage(id string) book.Stage {
	c.t.Helper()
	return c.Payment(c.shop.ID, id).Stage
}

func (c *counter) statement() host.Statement {
	c.t.Helper()
	s, err := host.ReadBook(c.book)
	c.must(err)
	return s
}

// agree checks that the host charged and credited what stands in the ledger, each once, and nothing
// else.
func (c *counter) agree() {
	c.t.Helper()
	s := c.statement()
	charged, credited := 0, 0
	c.View(func(tx *ledger.Tx) error {
		return tx.Payments(ledger.Query{}, func(p book.Payment) error {
			stands := p.Stage == book.StageApproved || p.Stage == book.StageCaptured || p.Stage == book.StageSettled
			switch {
			case !stands || p.Way() != book.MethodCard:
			case p.Credit():
				credited++
			default:
				charged++
			}
			return nil
		})
	})
	if s.Charged != charged || s.Credited != credited || len(s.Doubled) != 0 || s.Conflicts != 0 {
		c.t.Errorf("the host charged %d and credited %d (%v twice, %d conflicts); in the ledger %d and %d stand",
			s.Charged, s.Credited, s.Doubled, s.Conflicts, charged, credited)
	}
}

// noParts checks that nothing of the payments' accounts and codes is kept.
func (c *counter) noParts(ids ...string) {
	c.t.Helper()
	c.View(func(tx *ledger.Tx) error {
		for _, id := range ids {
			for _, part := range []envelope.PartName{envelope.PartAccount, envelope.PartCode} {
				if _, found, err := tx.Part(c.shop.ID, id, part); found || err != nil {
					c.t.Errorf("the %s of %s is still there (%v)", part, id, err)
				}
			}
		}
		return nil
	})
}

func (c *counter) must(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

func person() operator.Actor {
	return operator.Actor{Name: "user:root", Origin: "socket", Purpose: "end of day"}
}

// spy passes requests on to the host and notes them.
type spy struct {
	acquirer.Acquirer
	sales   func(acquirer.Request) error  // nil: pass on; an error answers instead
	capture func(acquirer.Capture) error  // likewise
	undo    func(acquirer.Reversal) error // likewise
	down    func() error
	number  bool // refunds need the card
}

func (s *spy) RefundsByReference() bool { return !s.number && s.Acquirer.RefundsByReference() }

func (s *spy) Capture(ctx context.Context, r acquirer.Capture) (acquirer.Answer, error) {
	if s.capture != nil {
		if err := s.capture(r); err != nil {
			return acquirer.Answer{}, err
		}
	}
	return s.Acquirer.Capture(ctx, r)
}

func (s *spy) Authorise(ctx context.Context, sale acquirer.Request) (acquirer.Answer, error) {
	if s.sales != nil {
		if err := s.sales(sale); err != nil {
			return acquirer.Answer{}, err
		}
	}
	return s.Acquirer.Authorise(ctx, sale)
}

func (s *spy) Reverse(ctx context.Context, r acquirer.Reversal) (acquirer.Answer, error) {
	if s.undo != nil {
		if err := s.undo(r); err != nil {
			return acquirer.Answer{}, err
		}
	}
	return s.Acquirer.Reverse(ctx, r)
}

func (s *spy) Ready() error {
	if s.down != nil {
		if err := s.down(); err != nil {
			return err
		}
	}
	return s.Acquirer.Ready()
}
