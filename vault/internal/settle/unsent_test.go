package settle

import (
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
)

// TestWhatCannotBeSaidWasNotSent: a request that the dialect has no words for never leaves, so it
// has no unknown outcome and no reversal; what it held of its payment is given back, and its batch
// closes.
func TestWhatCannotBeSaidWasNotSent(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold, sold := c.send(c.shop.Authorize(300)), c.send(c.shop.Sale())
	c.finish(c.engine(nil))
	c.endOfDay(c.engine(nil))
	dumb := &spy{Acquirer: c.client, sales: func(acquirer.Request) error { return acquirer.ErrRequest },
		capture: func(acquirer.Capture) error { return acquirer.ErrRequest }, undo: func(acquirer.Reversal) error {
			t.Error("something was reversed")
			return nil
		}}
	sale, held := c.send(c.shop.Sale()), c.send(c.shop.Authorize(5))
	capture, refund := c.send(c.shop.Capture(hold, 300)), c.send(c.shop.Refund(sold, 1999))
	c.finish(c.engine(func(cfg *Config) { cfg.Acquirer = dumb }))
	for _, id := range []string{sale, held, capture, refund} {
		c.want("what could not be said", id, book.StageRejected, envelope.CodeNotPermitted, "rejected")
		if p := c.Payment("shop-1", id); p.Batch != 0 {
			t.Errorf("%s is of batch %d", p.Operation, p.Batch)
		}
	}
	c.noParts(sale)
	if p := c.Payment("shop-1", hold); p.Capturing != 0 || p.Stage != book.StageAuthorised {
		t.Errorf("the authorisation is %s, and holds %d for captures", p.Stage, p.Capturing)
	}
	if p := c.Payment("shop-1", sold); p.Refunded != 0 {
		t.Errorf("of the sale %d is refunded", p.Refunded)
	}
	c.endOfDay(c.engine(nil))
	c.agree()
}
