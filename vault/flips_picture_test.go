package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/flips"
	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/intake"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/publisher"
)

// posted is an envelope of a shop's.
type posted struct {
	shop int
	storefront.Sealed
}

// picture is a vault and all around it at rest, after a day of every kind of use, with what each
// life of it goes on with.
type picture struct {
	*town
	dir     string
	disk    flips.Disk
	noon    flips.Disk // of the vault and its journal, in the middle of the day
	stopped time.Time  // when the day ended
	names   map[string]storefront.Sealed
	taken   []posted // the envelopes of the day, in the order in which they were posted
	bag     []byte   // the first of the day's, as it lies in the channel

	hidden    []posted // in the channel when the vault went off
	couriered []posted // came to the vault another way

	again    []posted    // of them, those that are posted again
	later    []posted    // new ones
	last     []posted    // new ones, once those have their outcomes
	payments int         // that there are then
	rest     flips.Truth // what stands in the books of host and bank
	standard flips.Truth // what a life comes to in which nothing was flipped
	quietly  []string    // how the lines begin that are logged in such a life
}

// Amounts of the day say what becomes of a payment (specification 10), and name it in the books of
// host and bank: no two are the same.
const (
	declinedAmount = 900_051
	silentAmount   = 900_100
	bouncedAmount  = 900_203
)

// take makes the picture: a vault lives through a day, with its journal in a place.
func take(t testing.TB, place string) *picture {
	t.Helper()
	began := time.Now()
	p := &picture{dir: filepath.Join(t.TempDir(), "p"), names: map[string]storefront.Sealed{}}
	p.town = newTown(t, p.dir, place)
	l := &life{town: p.town, dir: p.dir, clock: time.Now, said: &warnings{}}
	p.must(errors.Join(l.startHost(), l.startRelay(t.Context()), l.startVault(), l.unlock(t.Context())))
	p.enrol(l)
	p.sellAll(l)
	p.pause(l)
	p.settleSome(l)
	p.sellMore(l)
	p.breakOff(l)
	p.prepare(l)
	p.must(l.stopVault())
	p.unseen(l)
	p.must(l.end())
	p.untold(l)
	p.stopped = time.Now()
	var err error
	p.disk, err = flips.Read(p.dir)
	p.must(err)
	t.Logf("the picture with its journal in the %s took %s; said meanwhile: %q", place,
		time.Since(began).Round(time.Millisecond), l.said.all())
	return p
}

func (p *picture) enrol(l *life) {
	p.t.Helper()
	ctx := p.t.Context()
	yes, day, most := true, int64(100_000_000), int64(10_000_000)
	payees := book.PayeesConsumer
	for i, shop := range p.shops {
		_, err := l.client.AddMerchant(ctx, control.NewMerchant{ID: shop.Merchant(),
			Name: "Shop " + shop.Merchant(), Verifiers: []string{shop.Verifier().String()},
			ReplyKeys: []string{shop.ReplyLine()}, Currencies: []string{"USD"},
			Company: &book.Company{Name: "THE SHOP", ID: fmt.Sprintf("123456789%d", i)}})
		p.must(err)
		_, err = l.client.SetPolicy(ctx, shop.Merchant(), control.PolicyChange{Storage: &yes, Payees: &payees,
			Limits: []control.LimitChange{{Currency: "USD", Payment: &most, Day: &day, PayoutDay: &day}}})
		p.must(err)
	}
	private, err := keyring.NewAuditor("anna")
	p.must(err)
	_, err = l.client.AddAuditor(ctx, control.NewAuditor{Name: "anna", Key: private.Line()})
	p.must(err)
	p.awaitReady(l)
}

func (p *picture) awaitReady(l *life) {
	p.t.Helper()
	ready := func() bool {
		s, err := l.client.Status(p.t.Context())
		return err == nil && s.Acquirer == "ready" && s.Channel == "connected"
	}
	if !l.await(ready) {
		p.t.Fatal("the vault does not get ready")
	}
}

// longWait is how long a step of a life that nothing was flipped in may take on a busy machine.
const longWait = 30 * time.Second

// wanted is what a shop wants: an operation with what it needs. Of and token name an earlier
// envelope.
type wanted struct {
	name      string
	shop      int
	operation envelope.Operation
	amount    int64
	account   string
	of, token string
	id        string // "": fresh
}

// seal seals what is wanted.
func (p *picture) seal(l *life, all ...wanted) (sealed []posted) {
	p.t.Helper()
	for _, w := range all {
		client, err := l.shop(w.shop)
		p.must(err)
		order := envelope.Order{Operation: w.operation, Reference: "order " + w.name, Amount: w.amount}
		if w.amount != 0 && w.operation != envelope.OpCapture && w.operation != envelope.OpRefund {
			order.Currency = "USD"
		}
		if w.of != "" {
			order.Of = p.names[w.of].ID
		}
		if w.token != "" {
			order.Token = p.token(l, w.shop, w.token)
		}
		pay := storefront.Payment{ID: w.id, Order: order}
		if w.account != "" {
			pay.Account = []byte(w.account)
		}
		if w.account == aCard && w.operation != envelope.OpStore {
			pay.Code = []byte(`{"code":"123"}`)
		}
		s, err := client.Seal(p.t.Context(), pay)
		p.must(err)
		if w.id == "" {
			p.names[w.name] = s
		}
		sealed = append(sealed, posted{w.shop, s})
	}
	return sealed
}

// token is that of an earlier store.
func (p *picture) token(l *life, shop int, name string) string {
	p.t.Helper()
	paid, err := l.client.Payment(p.t.Context(), p.shops[shop].Merchant(), p.names[name].ID)
	p.must(err)
	return paid.Token
}

// post posts envelopes by the relay.
func (l *life) post(ctx context.Context, all []posted) error {
	var byShop [2][][]byte
	for _, e := range all {
		byShop[e.shop] = append(byShop[e.shop], e.Note)
	}
	var err error
	for i, notes := range byShop {
		err = errors.Join(err, l.relay.Post(ctx, l.shops[i].Merchant(), notes...))
	}
	return err
}

// pass posts what is wanted and waits until the vault is done with it.
func (p *picture) pass(l *life, all ...wanted) {
	p.t.Helper()
	sealed := p.seal(l, all...)
	p.taken = append(p.taken, sealed...)
	p.must(l.post(p.t.Context(), sealed))
	if !l.settles(len(p.taken), longWait) {
		p.t.Fatalf("the vault is not done with %+v: %v %q", all, l.err, l.said.all())
	}
}

// pause stops the vault at noon, keeps what lies on its disk and in its journal, and starts it
// again.
func (p *picture) pause(l *life) {
	p.t.Helper()
	p.must(l.stopVault())
	var err error
	p.noon, err = flips.Read(p.dir)
	p.must(err)
	p.noon = slices.DeleteFunc(p.noon, func(f flips.File) bool {
		return !strings.HasPrefix(f.Name, "v/") && !strings.HasPrefix(f.Name, "journal/")
	})
	p.must(errors.Join(l.startVault(), l.unlock(p.t.Context())))
	p.awaitReady(l)
}

// sellAll is the day's first half.
func (p *picture) sellAll(l *life) {
	p.pass(l,
		wanted{name: "sale", operation: envelope.OpSale, amount: 1001, account: aCard},
		wanted{name: "sale refunded later", operation: envelope.OpSale, amount: 1002, account: aCard},
		wanted{name: "sale of the other", shop: 1, operation: envelope.OpSale, amount: 1003, account: aCard},
		wanted{name: "declined", operation: envelope.OpSale, amount: declinedAmount, account: aCard},
		wanted{name: "hold captured in part", operation: envelope.OpAuthorize, amount: 2001, account: aCard},
		wanted{name: "hold captured later", operation: envelope.OpAuthorize, amount: 2002, account: aCard},
		wanted{name: "hold captured by what is unseen", operation: envelope.OpAuthorize, amount: 2003, account: aCard},
		wanted{name: "hold voided later", shop: 1, operation: envelope.OpAuthorize, amount: 2004, account: aCard},
		wanted{name: "hold voided", operation: envelope.OpAuthorize, amount: 2005, account: aCard},
		wanted{name: "stored card", operation: envelope.OpStore, account: aCard},
		wanted{name: "stored account", shop: 1, operation: envelope.OpStore, account: aBank},
		wanted{name: "stored, forgotten later", operation: envelope.OpStore, account: aCard},
		wanted{name: "stored, forgotten", operation: envelope.OpStore, account: aCard},
		wanted{name: "debit", operation: envelope.OpSale, amount: 3001, account: aBank},
		wanted{name: "debit that comes back", operation: envelope.OpSale, amount: bouncedAmount, account: otherBank},
		wanted{name: "payout", shop: 1, operation: envelope.OpPayout, amount: 3002, account: aBank})
	p.pass(l,
		wanted{name: "capture in part", operation: envelope.OpCapture, amount: 501, of: "hold captured in part"},
		wanted{name: "void", operation: envelope.OpVoid, of: "hold voided"},
		wanted{name: "forget", operation: envelope.OpForget, token: "stored, forgotten"},
		wanted{name: "sale by token", operation: envelope.OpSale, amount: 1004, token: "stored card"})
}

// otherBank is an account that is blocked once an entry of it came back.
const otherBank = `{"bank":{"routing":"121042882","account":"338120993","type":"checking","name":"Bert Example"}}`

// settleSome closes and settles, and imports what the bank answers.
func (p *picture) settleSome(l *life) {
	p.t.Helper()
	ctx := p.t.Context()
	_, err := l.client.CloseBatches(ctx, control.BatchQuery{}, nil)
	p.must(err)
	_, err = l.client.Settle(ctx, 0, "", nil)
	p.must(err)
	_, err = l.bankStep()
	p.must(err)
	answers, err := filepath.Glob(l.path("returns", "*"))
	p.must(err)
	for _, path := range answers {
		answer, err := os.ReadFile(path)
		p.must(err)
		imported, err := l.client.ImportReturns(ctx, filepath.Base(path), bytes.NewReader(answer))
		p.must(err)
		if imported.Returns != 1 {
			p.t.Fatalf("imported %+v", imported)
		}
	}
	if len(answers) == 0 {
		p.t.Fatal("the bank answered nothing")
	}
}

// sellMore is the second half, whose batches stay open but for one that is closed and not settled.
func (p *picture) sellMore(l *life) {
	p.t.Helper()
	p.pass(l,
		wanted{name: "refund of the settled", operation: envelope.OpRefund, amount: 401, of: "sale"},
		wanted{name: "second sale of the other", shop: 1, operation: envelope.OpSale, amount: 1005, account: aCard})
	_, err := l.client.CloseBatches(p.t.Context(), control.BatchQuery{Merchant: p.shops[1].Merchant()}, nil)
	p.must(err)
	p.pass(l,
		wanted{name: "second sale", operation: envelope.OpSale, amount: 1006, account: aCard},
		wanted{name: "sale voided later", operation: envelope.OpSale, amount: 1007, account: aCard},
		wanted{name: "hold of the other", shop: 1, operation: envelope.OpAuthorize, amount: 2006, account: aCard},
		wanted{name: "second debit", shop: 1, operation: envelope.OpSale, amount: 3003, account: aBank},
		wanted{name: "debit voided later", operation: envelope.OpSale, amount: 3004, account: aBank},
		wanted{name: "refused", operation: envelope.OpSale, amount: 3005, account: otherBank})
}

// breakOff leaves a sale without an answer, so that its reversal is due, and two orders that cannot
// be sent.
func (p *picture) breakOff(l *life) {
	p.t.Helper()
	ctx := p.t.Context()
	before := l.host.Statement().Sales
	silent := p.seal(l, wanted{name: "unanswered", operation: envelope.OpSale, amount: silentAmount, account: aCard})
	p.must(l.post(ctx, silent))
	if !l.await(func() bool { return l.host.Statement().Sales > before }) {
		p.t.Fatal("the host does not get the request that it does not answer")
	}
	l.stopHost()
	p.taken = append(p.taken, silent...)
	waiting := p.seal(l,
		wanted{name: "waiting sale", operation: envelope.OpSale, amount: 1008, account: aCard},
		wanted{name: "waiting hold", shop: 1, operation: envelope.OpAuthorize, amount: 2007, account: aCard})
	p.must(l.post(ctx, waiting))
	p.taken = append(p.taken, waiting...)
	stages := func(stage book.Stage) (n int) {
		_ = l.ledger().View(func(tx *ledger.Tx) error {
			return tx.Payments(ledger.Query{Stage: stage}, func(book.Payment) error { n++; return nil })
		})
		return n
	}
	if !l.await(func() bool { return stages(book.StageUnknown) == 1 && stages(book.StageReceived) == 2 }) {
		p.t.Fatal("nothing waits")
	}
}

// prepare seals what is posted in later lives, while there is a directory to seal by.
func (p *picture) prepare(l *life) {
	p.t.Helper()
	for i, e := range p.taken {
		if i%2 == 0 {
			p.again = append(p.again, e)
		}
	}
	p.later = p.seal(l,
		wanted{name: "another under a known id", id: p.names["sale"].ID, operation: envelope.OpSale,
			amount: 1101, account: aCard},
		wanted{name: "new sale", operation: envelope.OpSale, amount: 1102, account: aCard},
		wanted{name: "new hold", shop: 1, operation: envelope.OpAuthorize, amount: 2101, account: aCard},
		wanted{name: "capture of a hold", operation: envelope.OpCapture, amount: 502, of: "hold captured later"},
		wanted{name: "second capture", operation: envelope.OpCapture, amount: 503, of: "hold captured in part"},
		wanted{name: "void of a hold", shop: 1, operation: envelope.OpVoid, of: "hold voided later"},
		wanted{name: "void of a sale", operation: envelope.OpVoid, of: "sale voided later"},
		wanted{name: "void of a debit", operation: envelope.OpVoid, of: "debit voided later"},
		wanted{name: "refund", operation: envelope.OpRefund, amount: 402, of: "sale refunded later"},
		wanted{name: "refund beyond the rest", operation: envelope.OpRefund, amount: 601, of: "sale"},
		wanted{name: "refund of a debit", operation: envelope.OpRefund, amount: 403, of: "debit", account: aBank},
		wanted{name: "new sale by token", operation: envelope.OpSale, amount: 1103, token: "stored card"},
		wanted{name: "debit by token", shop: 1, operation: envelope.OpSale, amount: 3101, token: "stored account"},
		wanted{name: "refused again", operation: envelope.OpSale, amount: 3102, account: otherBank},
		wanted{name: "forget later", operation: envelope.OpForget, token: "stored, forgotten later"},
		wanted{name: "new store", shop: 1, operation: envelope.OpStore, account: aCard})
	p.last = p.seal(l,
		wanted{name: "sale by a forgotten token", operation: envelope.OpSale, amount: 1104,
			token: "stored, forgotten later"},
		wanted{name: "last sale by token", operation: envelope.OpSale, amount: 1105, token: "stored card"},
		wanted{name: "last refund", shop: 1, operation: envelope.OpRefund, amount: 404, of: "sale of the other"})
	p.hidden = p.seal(l,
		wanted{name: "unseen sale", operation: envelope.OpSale, amount: 1009, account: aCard},
		wanted{name: "unseen capture", operation: envelope.OpCapture, amount: 504,
			of: "hold captured by what is unseen"})
	p.couriered = p.seal(l,
		wanted{name: "refused by courier", operation: envelope.OpRefund, amount: 405, of: "declined"},
		wanted{name: "refused by courier too", operation: envelope.OpRefund, amount: 406, of: "declined"})
	directory, err := l.client.Directory(p.t.Context())
	p.must(err)
	p.directory = directory.Note
}

// unseen posts what the vault, which is off, has not seen, and keeps a bag of the day's.
func (p *picture) unseen(l *life) {
	p.t.Helper()
	p.must(l.post(p.t.Context(), p.hidden))
	p.bag = l.bags.all()[0]
}

// untold has the ledger, while no vault runs, take two bags of the other relay's that came by
// courier: the results of the one are sealed and not published, those of the other not sealed.
func (p *picture) untold(l *life) {
	p.t.Helper()
	ring, err := keyring.Open(l.path("v"), keyring.Options{})
	p.must(err)
	var shares []keyring.Share
	for _, line := range p.shares {
		share, err := keyring.ParseShare(slices.Clone(line))
		p.must(err)
		shares = append(shares, share)
	}
	p.must(ring.Unlock(shares))
	led, err := ledger.Open(l.ledgerPath(), ring, ledger.Options{})
	p.must(err)
	in, err := intake.New(intake.Config{Ledger: led, Opener: ring, Now: time.Now, Bank: true, RefundsByReference: true})
	p.must(err)
	bag := envelope.Bag{Relay: p.relays[1].Name(), Run: strings.Repeat("5e", 16),
		Previous: envelope.ZeroDigest, Window: 1}
	pass := func(e posted) {
		bag.Number++
		message, digest, err := envelope.PackBag(bag, [][]byte{e.Note}, p.relays[1])
		p.must(err)
		p.must(in.Take(p.t.Context(), []channel.Message{{Subject: "bag." + bag.Relay, Data: message}}))
		bag.Previous = digest
	}
	pass(p.couriered[0])
	sealed := func() (done bool) {
		p.must(led.View(func(tx *ledger.Tx) error {
			pending, err := tx.PendingResults(1)
			done = len(pending) == 0
			return err
		}))
		return done
	}
	out, err := publisher.New(publisher.Config{Ledger: led, Keys: ring, Channel: nowhere{}, Position: in.Position,
		Now: time.Now})
	p.must(err)
	ctx, cancel := context.WithCancel(p.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- out.Run(ctx) }()
	waittest.For(p.t, "a sealed result", sealed)
	cancel()
	<-ended
	pass(p.couriered[1])
	p.must(errors.Join(led.Close(), ring.Close()))
	p.taken = append(p.taken, p.couriered...)
	p.payments = len(p.taken) + len(p.hidden)
}

// nowhere is a channel that is not reached.
type nowhere struct{ publisher.Channel }

func (nowhere) Connected() bool { return false }

func (nowhere) PublishNotice(context.Context, channel.Notice, []byte) error {
	return channel.ErrUnavailable
}

func (nowhere) ResultsRoom(context.Context) (channel.Room, error) {
	return channel.Room{}, channel.ErrUnavailable
}
