package contract

import (
	"crypto/rand"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
)

// shop makes requests of one terminal of one card acceptor, with trace numbers that count from 1.
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

func (s *shop) reversal(sale acquirer.Request, repeat int) acquirer.Reversal {
	return acquirer.Reversal{
		Trace: s.trace(), Original: acquirer.Original{Trace: sale.Trace, Kind: sale.Kind}, Batch: sale.Batch, Amount: sale.Amount, Currency: sale.Currency, Repeat: repeat,
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

// clearCard leaves the sale with a card that has been cleared, as after its use.
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
