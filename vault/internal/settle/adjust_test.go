package settle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// compares passes requests on to the host, and has a 0500 answered otherwise.
type compares struct {
	acquirer.Acquirer
	asked  []acquirer.Totals
	answer func(acquirer.Totals) (acquirer.Reconciliation, error)
}

func (c *compares) Reconcile(_ context.Context, t acquirer.Totals) (acquirer.Reconciliation, error) {
	c.asked = append(c.asked, t)
	return c.answer(t)
}

// closed is a counter with a closed batch of two sales, 30.00 USD in all.
func closed(t *testing.T) (c *counter, ids []string) {
	t.Helper()
	c = newCounter(t, 5*time.Second)
	ids = c.post(1000, 2000)
	e := c.engine(nil)
	c.finish(e)
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	return c, ids
}

func (c *counter) events(kind string) (found []book.Event) {
	c.t.Helper()
	c.View(func(tx *ledger.Tx) error {
		size, err := tx.TreeSize()
		for i := range size {
			entry, err := tx.LogEntry(uint64(i))
			if err != nil {
				return err
			}
			if entry.Event.Body.Kind() == kind {
				found = append(found, entry.Event)
			}
		}
		return err
	})
	return found
}

// TestADifferenceIsTakenIn: the host has a sale that is not ours; a person names it, the totals
// stay, and the batch settles without asking a host again that may answer once.
func TestADifferenceIsTakenIn(t *testing.T) {
	c, ids := closed(t)
	c.strayCharge(ids[0])
	e := c.engine(nil)
	if _, err := e.Settle(t.Context(), 1, "", person(), nil); !errors.Is(err, ErrTotalsDiffer) {
		t.Fatalf("settled with other totals: %v", err)
	}
	usd := func(count, amount int64) book.Total {
		return book.Total{Currency: "USD", Count: count, Amount: amount}
	}
	for name, bad := range map[string]struct {
		batch uint32
		total book.Total
		id    string
		why   string
		want  error
	}{
		"nothing":             {1, usd(0, 0), "", "r", ErrConflict},
		"no currency":         {1, book.Total{Currency: "XXX", Count: 1, Amount: 1}, "", "r", ErrConflict},
		"far too much":        {1, usd(1, 2e15), "", "r", ErrConflict},
		"more than there is":  {1, usd(-3, -3000), "", "r", ErrConflict},
		"amounts of none":     {1, usd(-2, -2999), "", "r", ErrConflict},
		"a stranger":          {1, usd(1, 77), "nobody", "r", ErrNotFound},
		"no batch":            {9, usd(1, 77), "", "r", ErrNotFound},
		"no reason":           {1, usd(1, 77), "", "", ErrReason},
		"a number for reason": {1, usd(1, 77), "", "4242424242424242", ErrReason},
	} {
		if _, err := e.Adjust(t.Context(), bad.batch, bad.total, bad.id, bad.why, person()); !errors.Is(err, bad.want) {
			t.Errorf("%s: %v, want %v", name, err, bad.want)
		}
	}
	b, err := e.Adjust(t.Context(), 1, usd(1, 70), "", "a stray sale, case 17", person())
	c.must(err)
	if b.Stage != book.BatchDiffers {
		t.Errorf("a difference that is not the host's: the batch is %s", b.Stage)
	}
	if _, err := e.Settle(t.Context(), 1, "", person(), nil); !errors.Is(err, ErrTotalsDiffer) {
		t.Errorf("settled by a line that explains only a part: %v", err)
	}
	b, err = e.Adjust(t.Context(), 1, usd(0, 7), ids[0], "and its tip, case 17", person())
	c.must(err)
	if want := []book.Total{usd(3, 3077)}; b.Stage != book.BatchFixed || !slices.Equal(b.Expected(), want) || !slices.Equal(b.Agreed, want) ||
		!slices.Equal(b.Totals, []book.Total{usd(2, 3000)}) || len(b.Lines) != 2 || b.Lines[1].Payment != ids[0] || b.Lines[0].Actor != "user:root" {
		t.Errorf("batch %+v", b)
	}
	asked := len(c.events("reconciliation-intended"))
	done, err := e.Settle(t.Context(), 1, "", person(), nil)
	c.must(err)
	if done.Payments != 2 || len(c.events("reconciliation-intended")) != asked {
		t.Errorf("settled %d, and the host was asked %d times more", done.Payments, len(c.events("reconciliation-intended"))-asked)
	}
	if _, err := e.Adjust(t.Context(), 1, usd(1, 77), "", "r", person()); !errors.Is(err, ErrConflict) {
		t.Errorf("a batch that is settled was adjusted: %v", err)
	}
	c.changesNothing(e)
}

// TestAHostThatGivesNoTotals: what it agrees to settles; what it does not is asked again with the
// lines.
func TestAHostThatGivesNoTotals(t *testing.T) {
	c, _ := closed(t)
	host := &compares{Acquirer: c.client, answer: func(t acquirer.Totals) (acquirer.Reconciliation, error) {
		return acquirer.Reconciliation{Agreed: t.Debits == acquirer.Count{Number: 3, Amount: 3077}, Host: t, Untold: true}, nil
	}}
	e := c.engine(func(cfg *Config) { cfg.Acquirer = host })
	if _, err := e.Settle(t.Context(), 1, "", person(), nil); !errors.Is(err, ErrTotalsDiffer) || !strings.Contains(err.Error(), "did not give") {
		t.Errorf("settled against the host's word: %v", err)
	}
	_, err := e.Adjust(t.Context(), 1, book.Total{Currency: "USD", Count: 1, Amount: 77}, "", "a stray sale, case 17", person())
	c.must(err)
	_, err = e.Settle(t.Context(), 1, "", person(), nil)
	c.must(err)
	if c.batch(1).Stage != book.BatchDone || len(host.asked) != 2 {
		t.Errorf("batch is %s after %d questions", c.batch(1).Stage, len(host.asked))
	}
}

// TestAHostThatRefuses: it is told apart from one that does not answer, and the error says what to
// change.
func TestAHostThatRefuses(t *testing.T) {
	for code, passing := range map[string]bool{"40": false, "12": false, "91": true} {
		c, _ := closed(t)
		host := &compares{Acquirer: c.client, answer: func(acquirer.Totals) (acquirer.Reconciliation, error) {
			return acquirer.Reconciliation{}, &acquirer.RefusedError{Code: code, Passing: passing}
		}}
		e := c.engine(func(cfg *Config) { cfg.Acquirer = host })
		_, err := e.Settle(t.Context(), 1, "", person(), nil)
		want, tries := ErrRefused, 1
		if passing {
			want, tries = ErrUnavailable, reconcileTries
		}
		if !errors.Is(err, want) || !strings.Contains(err.Error(), code) || strings.Contains(err.Error(), "did not answer") || len(host.asked) != tries {
			t.Errorf("code %s, asked %d times: %v", code, len(host.asked), err)
		}
		if !passing && !strings.Contains(err.Error(), `reconciliation = "listing"`) {
			t.Errorf("code %s does not say what to change: %v", code, err)
		}
	}
}

// TestSettledByListing: only the acquirer's own listing of the batch settles it, and the log has
// its digest.
func TestSettledByListing(t *testing.T) {
	c, _ := closed(t)
	e := c.engine(func(cfg *Config) { cfg.Reconciliation = book.ByListing })
	if _, err := e.Settle(t.Context(), 1, "", person(), nil); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "--listing") {
		t.Errorf("settled without a listing: %v", err)
	}
	listing := c.listing(1)
	if _, err := e.AgreeByListing(t.Context(), 1, strings.NewReader(strings.Replace(listing, ",1000,", ",1001,", 1)), person()); !errors.Is(err, ErrTotalsDiffer) {
		t.Errorf("another listing: %v", err)
	}
	stray := "632800990001,990001,ND000001,sale,77,USD\n"
	if _, err := e.AgreeByListing(t.Context(), 1, strings.NewReader(listing+stray), person()); !errors.Is(err, ErrTotalsDiffer) {
		t.Errorf("a listing with one more: %v", err)
	}
	_, err := e.Adjust(t.Context(), 1, book.Total{Currency: "USD", Count: 1, Amount: 77}, "", "a stray sale, case 17", person())
	c.must(err)
	if _, err := e.AgreeByListing(t.Context(), 1, strings.NewReader(listing), person()); !errors.Is(err, ErrTotalsDiffer) {
		t.Errorf("a listing without what was taken in: %v", err)
	}
	_, err = e.AgreeByListing(t.Context(), 1, strings.NewReader(listing+stray), person())
	c.must(err)
	agreed := c.events("batch-agreed")
	if len(agreed) != 1 || agreed[0].Evidence != fmt.Sprintf("%x", sha256.Sum256([]byte(listing+stray))) {
		t.Errorf("agreed %+v", agreed)
	}
	done, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil)
	c.must(err)
	if done.Payments != 2 || len(c.events("reconciliation-intended")) != 0 {
		t.Errorf("settled %d; a host was asked %d times", done.Payments, len(c.events("reconciliation-intended")))
	}
	if _, err := e.AgreeByListing(t.Context(), 1, strings.NewReader(listing+stray), person()); !errors.Is(err, ErrConflict) {
		t.Errorf("a settled batch by its listing: %v", err)
	}
	if _, err := c.engine(nil).AgreeByListing(t.Context(), 1, strings.NewReader(listing), person()); !errors.Is(err, ErrConflict) {
		t.Errorf("a listing where the host compares totals: %v", err)
	}
}

// TestSettledByAWord: with a reason, which the log keeps.
func TestSettledByAWord(t *testing.T) {
	c, _ := closed(t)
	e := c.engine(func(cfg *Config) { cfg.Reconciliation = book.ByWord })
	silent := person()
	silent.Purpose = ""
	if _, err := e.Settle(t.Context(), book.AllBatches, "", silent, nil); !errors.Is(err, ErrReason) {
		t.Errorf("settled without a reason: %v", err)
	}
	_, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil)
	c.must(err)
	agreed := c.events("batch-agreed")
	if b := c.batch(1); b.Stage != book.BatchDone || b.By != book.ByWord || len(agreed) != 1 || agreed[0].Body.(book.BatchAgreed).Reason != "end of day" {
		t.Errorf("batch %+v, %+v", b, agreed)
	}
	c.changesNothing(e)
}
