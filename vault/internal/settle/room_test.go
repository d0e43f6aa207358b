package settle

import (
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// TestRequestsWaitForRoom: without room no request is begun, while captures and reversals go on;
// with room again what waited is sent by itself, but for what has waited for an hour, of which
// nothing was sent.
func TestRequestsWaitForRoom(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	hold := c.send(c.shop.Authorize(500))
	c.finish(c.engine(nil))
	patient := func(d vaulttest.Draft) string {
		d.Until = d.Created.Add(6 * 24 * time.Hour)
		return c.send(d)
	}
	var full atomic.Bool
	var reversals atomic.Int32
	host := &spy{Acquirer: c.client, undo: func(acquirer.Reversal) error { reversals.Add(1); return nil }}
	e := c.engine(func(cfg *Config) {
		cfg.Acquirer = host
		cfg.Room = func() error {
			if full.Load() {
				return errors.New("no room")
			}
			return nil
		}
	})
	var late, sale, capture string
	c.while(e, func() {
		taken := patient(c.shop.Sale())
		waittest.For(t, "a sale with room", func() bool { return c.stage(taken) == book.StageApproved })
		full.Store(true)
		patient(c.shop.Void(taken))
		late, capture = patient(c.shop.Sale()), patient(c.shop.Capture(hold, 100))
		waittest.For(t, "the capture and the reversal", func() bool {
			return c.stage(capture) == book.StageCaptured && c.stage(taken) == book.StageVoided && reversals.Load() > 0
		})
		c.Clock.Pass(40 * time.Minute)
		sale = patient(c.shop.Sale())
		c.Clock.Pass(22 * time.Minute)
		waittest.For(t, "the first sale to be refused", func() bool { return c.stage(late) == book.StageRejected })
		if got := c.stage(sale); got != book.StageReceived {
			t.Errorf("a sale without room is %s", got)
		}
		full.Store(false)
		waittest.For(t, "the other sale", func() bool { return c.stage(sale) == book.StageApproved })
	})
	c.want("what waited for an hour", late, book.StageRejected, envelope.CodeNoAnswer, "rejected")
	c.noParts(late)
	c.agree()
}
