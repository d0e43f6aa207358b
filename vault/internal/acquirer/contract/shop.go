package contract

import (
	"crypto/rand"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
)

// shop makes requests of one terminal, with trace numbers from 1.
type shop struct {
	terminal, acceptor string
	stan               atomic.Uint32
}

func newShop() *shop {
	name := rand.Text()
	return &shop{terminal: name[:8], acceptor: name[8:23]}
}

func (s *shop) trace() acquirer.Trace {
	return acquirer.Trace{
		STAN: s.stan.Add(1), RRN: rand.Text()[:12], Terminal: s.terminal, Acceptor: s.acceptor,
		Sent: time.Now().UTC().Truncate(time.Second),
	}
}

func (s *shop) sale(t *testing.T, amount int64) acquirer.Request {
	t.Helper()
	return acquirer.Request{
		Kind:  acquirer.KindSale,
		Trace: s.trace(), Batch: 7, Amount: amount, Currency: "USD",
		Card: card(t, "4242424242424242").Card, Code: code(t, "123"), Descriptor: "BOOKSHOP ONLINE",
	}
}

func (s *shop) authorisation(t *testing.T, amount int64) acquirer.Request {
	t.Helper()
	a := s.sale(t, amount)
	a.Kind, a.Batch = acquirer.KindAuthorisation, 0
	return a
}

// refund refunds a part of original; by the card when original is nil.
func (s *shop) refund(t *testing.T, original *acquirer.Original, amount int64) acquirer.Request {
	t.Helper()
	r := s.sale(t, amount)
	r.Kind, r.Original, r.Code, r.Descriptor = acquirer.KindRefund, original, nil, ""
	if original != nil {
		r.Card = nil
	}
	return r
}

func (s *shop) capture(of acquirer.Original, amount int64) acquirer.Capture {
	return acquirer.Capture{Trace: s.trace(), Original: of, Batch: 7, Amount: amount, Currency: "USD"}
}

func (s *shop) reversal(sale acquirer.Request, repeat int) acquirer.Reversal {
	return acquirer.Reversal{
		Trace: s.trace(), Original: acquirer.Original{Trace: sale.Trace, Kind: sale.Kind}, Batch: sale.Batch, Amount: sale.Amount, Currency: sale.Currency, Repeat: repeat,
	}
}

func (s *shop) reversalOf(c acquirer.Capture) acquirer.Reversal {
	return acquirer.Reversal{
		Trace: s.trace(), Original: acquirer.Original{Trace: c.Trace, Kind: acquirer.KindCapture}, Batch: c.Batch,
		Amount: c.Amount, Currency: c.Currency,
	}
}

func card(t *testing.T, number string) *account.Account {
	t.Helper()
	a, err := account.Parse([]byte(`{"card":{"number":"` + number + `","expiry":"2031-09"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// clearCard gives the sale a card that has been cleared.
func clearCard(t *testing.T, s *acquirer.Request) {
	t.Helper()
	a := card(t, "4242424242424242")
	s.Card = a.Card
	a.Clear()
}

func code(t *testing.T, digits string) *account.Code {
	t.Helper()
	c, err := account.ParseCode([]byte(`{"code":"` + digits + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	return c
}
