package e2e

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

// day is what a shop does under adverse conditions: it posts, reads results as they come, and
// builds on those that allow it.
type day struct {
	shop  shop
	chain storefront.Chain
	begun atomic.Bool  // all of the day's first orders are posted
	open  atomic.Int64 // orders without a final result, those that are about to be posted included

	mu    sync.Mutex
	done  map[string]instruction // posted, by digest
	final map[string]envelope.Status
}

// instruction is an order that was posted, and what shall follow once it is approved.
type instruction struct {
	order envelope.Order
	bank  bool
	next  *envelope.Order
}

func newDay(s shop) *day {
	return &day{shop: s, done: map[string]instruction{}, final: map[string]envelope.Status{}}
}

// begin posts the i-th of the first orders: of ten, six sales of which one is voided, two
// authorisations that are captured in part, and two bank debits.
func (d *day) begin(ctx context.Context, i int) error {
	d.open.Add(1)
	first := instruction{order: envelope.Order{Operation: envelope.OpSale, Reference: fmt.Sprintf("order-%d", i), Amount: int64(1000 + i), Currency: "EUR"}}
	account := []byte(testCard)
	switch i % 10 {
	case 6, 7:
		first.order.Operation = envelope.OpAuthorize
		first.next = &envelope.Order{Operation: envelope.OpCapture, Reference: fmt.Sprintf("order-%d-part", i), Amount: int64(500 + i)}
	case 5:
		first.next = &envelope.Order{Operation: envelope.OpVoid, Reference: fmt.Sprintf("order-%d-cancelled", i)}
	case 8, 9:
		first.bank, first.order.Currency, account = true, "USD", []byte(testBank)
	}
	return d.post(ctx, first, account)
}

// post seals and posts, patiently: the directory may be out of reach while the relay is down.
func (d *day) post(ctx context.Context, i instruction, account []byte) error {
	for {
		sealed, err := d.shop.keep(ctx, storefront.Payment{Order: i.order, Account: account})
		if err == nil {
			d.mu.Lock()
			d.done[sealed.Digest] = i
			d.mu.Unlock()
			_, err = d.shop.Post(ctx, sealed.Note)
			return err
		}
		if ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// follow reads results and posts what builds on them, until everything posted has a final one.
func (d *day) follow(ctx context.Context) error {
	posting, postCtx := errgroup.WithContext(ctx)
	posting.SetLimit(8)
	for !d.begun.Load() || d.open.Load() > 0 {
		page, err := d.shop.Results(ctx, &d.chain, time.Second)
		if ctx.Err() != nil {
			return errors.Join(fmt.Errorf("%d envelopes have no final result", d.open.Load()), ctx.Err(), posting.Wait())
		}
		if err != nil {
			// the relay may be down: read on after the same place
			time.Sleep(100 * time.Millisecond)
			continue
		}
		for _, r := range page {
			if next := d.take(r); next != nil {
				posting.Go(func() error { return d.post(postCtx, instruction{order: *next}, nil) })
			}
		}
	}
	return posting.Wait()
}

// take notes a result, and returns what shall follow it.
func (d *day) take(r storefront.Opened) (next *envelope.Order) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if r.Facts.Status == envelope.StatusUnknown || d.final[r.Result.Digest] != "" {
		return nil
	}
	d.final[r.Result.Digest] = r.Facts.Status
	next = d.done[r.Result.Digest].next
	if next == nil || r.Facts.Status != envelope.StatusApproved {
		d.open.Add(-1)
		return nil
	}
	next.Of = r.Result.ID
	return next
}

// compare holds what the shop was told against what acquirer and bank booked.
func (d *day) compare(t *testing.T, s *site.Site) {
	t.Helper()
	answers, debits := map[string]int{}, 0
	for digest, i := range d.done {
		answers[string(i.order.Operation)+" "+string(d.final[digest])]++
		if i.bank {
			debits++
			answers["sale accepted"]--
		}
	}
	b := readBook(t, s)
	t.Logf("the shop was told %v, and %d bank debits accepted; the acquirer took %d sales, %d holds, %d captures, charged %d, reversed %d", answers, debits,
		b.Sales, b.Holds, b.Captures, b.Charged, b.Reversed)
	if want := answers["sale approved"] - answers["void voided"] + answers["capture captured"]; b.Charged != want {
		t.Errorf("%d charges ought to stand, %d do", want, b.Charged)
	}
	if len(b.Doubled) > 0 || b.Credited > 0 {
		t.Errorf("charged twice: %v; %d credits", b.Doubled, b.Credited)
	}
	if answers["sale accepted"] != 0 || answers["void voided"] == 0 || answers["capture captured"] == 0 || len(d.done) != answers["sale approved"]+answers["sale reversed"]+
		answers["authorize approved"]+answers["authorize reversed"]+answers["capture captured"]+answers["void voided"]+debits {
		t.Errorf("of %d orders some have another end: %v", len(d.done), answers)
	}
	if bank := awaitBank(t, s, debits); bank.Entries != debits || len(bank.Doubled) > 0 {
		t.Errorf("%d bank debits became %d entries, twice %v", debits, bank.Entries, bank.Doubled)
	}
	if settled := len(list(t, s, "settled")); settled != b.Charged+debits {
		t.Errorf("%d payments are settled, %d were charged and %d debited", settled, b.Charged, debits)
	}
}
