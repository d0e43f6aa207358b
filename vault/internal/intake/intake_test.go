package intake

import (
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// fixture is a vault with an intake, a relay and a merchant.
type fixture struct {
	*vaulttest.Vault
	intake *Intake
	relay  *vaulttest.Relay
	run    *vaulttest.Run
	shop   *vaulttest.Storefront
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	d := &fixture{Vault: vaulttest.New(t)}
	d.relay = d.SetRelays("relay-1", "relay-2")[0]
	d.run = d.relay.Start()
	d.shop = d.Enrol("shop-1")
	d.intake = d.newIntake(nil)
	return d
}

func (d *fixture) newIntake(source Source) *Intake {
	d.TB.Helper()
	i, err := New(Config{Ledger: d.Ledger, Opener: d.Ring, Accounts: d.Ring, Bank: true, Source: source, Now: d.Clock.Now})
	if err != nil {
		d.TB.Fatal(err)
	}
	return i
}

func (d *fixture) take(messages ...channel.Message) {
	d.TB.Helper()
	if err := d.intake.Take(d.TB.Context(), messages); err != nil {
		d.TB.Fatal(err)
	}
}

// facts returns the facts of all results that were issued, in order.
func (d *fixture) facts() (facts []envelope.Facts) {
	d.TB.Helper()
	d.Issued(func(_ string, f envelope.Facts) { facts = append(facts, f) })
	return facts
}

// answers returns the facts of the newest result of each envelope.
func (d *fixture) answers() map[string]envelope.Facts {
	d.TB.Helper()
	all := map[string]envelope.Facts{}
	d.Issued(func(id string, f envelope.Facts) { all[id] = f })
	return all
}

func (d *fixture) permit(merchant string) {
	d.TB.Helper()
	d.Append(merchant, book.MerchantPolicySet{Policy: vaulttest.Policy()})
}

// found counts the findings of each kind.
func (d *fixture) found() map[book.Finding]uint64 { return d.State().Findings }

func (d *fixture) expectFound(want map[book.Finding]uint64) {
	d.TB.Helper()
	got := d.found()
	for finding, n := range want {
		if got[finding] != n {
			d.TB.Errorf("%d findings %s, want %d", got[finding], finding, n)
		}
	}
	for finding, n := range got {
		if want[finding] == 0 {
			d.TB.Errorf("%d findings %s, want none", n, finding)
		}
	}
}

// runState returns what the vault knows of a run.
func (d *fixture) runState(run *vaulttest.Run) (r book.Run) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) (err error) {
		r, _, err = tx.Run("relay-1", run.ID)
		return err
	})
	return r
}

func TestSaleIsReceivedWithItsParts(t *testing.T) {
	d := newFixture(t)
	sale := d.shop.Sale()
	sale.Order = `{"operation":"sale","reference":"order 17","amount":1999,"currency":"USD","descriptor":"SHOP ONE"}`
	msg := d.shop.Seal(sale)
	d.take(d.run.Bag(msg))

	p := d.Payment("shop-1", sale.ID)
	if p.Stage != book.StageReceived || p.Digest != vaulttest.Digest(t, msg) || p.Amount != 1999 || p.Currency != "USD" ||
		p.Reference != "order 17" || p.Descriptor != "SHOP ONE" || p.Masked != "424242******4242" || p.Brand != "visa" ||
		!p.WithCode || len(p.Fingerprint) != 64 || p.Operation != envelope.OpSale {
		t.Errorf("payment %+v", p)
	}
	sent, err := envelope.Peek[envelope.Envelope](msg)
	if err != nil {
		t.Fatal(err)
	}
	d.View(func(tx *ledger.Tx) error {
		for name, want := range sent.Parts {
			got, ok, err := tx.Part("shop-1", sale.ID, name)
			if err != nil {
				return err
			}
			if ok != (name != envelope.PartOrder) {
				t.Errorf("part %s is kept: %v", name, ok)
			}
			if ok && (got.Key != want.Key || string(got.Sealed) != string(want.Sealed)) {
				t.Errorf("part %s is not as it was received", name)
			}
		}
		return nil
	})
	if facts := d.facts(); len(facts) != 0 {
		t.Errorf("results %+v before anything was decided", facts)
	}
	d.expectFound(nil)
}

func TestFingerprintIsOfTheNumberAndOfTheMerchant(t *testing.T) {
	d := newFixture(t)
	other := d.Enrol("shop-2")
	first, again, elsewhere := d.shop.Sale(), d.shop.Sale(), other.Sale()
	again.Account = vaulttest.Card("4242424242424242", "2030-01")
	d.take(d.run.Bag(d.shop.Seal(first), d.shop.Seal(again), other.Seal(elsewhere)))
	print := d.Payment("shop-1", first.ID).Fingerprint
	if d.Payment("shop-1", again.ID).Fingerprint != print {
		t.Error("one number has two fingerprints at one merchant")
	}
	if d.Payment("shop-2", elsewhere.ID).Fingerprint == print {
		t.Error("two merchants have the same fingerprint of a number")
	}
}

func TestBagIsCounted(t *testing.T) {
	d := newFixture(t)
	good, refused := d.shop.Sale(), d.shop.Sale()
	refused.Order = vaulttest.Order(0, "USD", "order 18")
	forged := d.shop.Sale()
	forged.Signer = vaulttest.Signer(t, "shop-1")
	msg := d.shop.Seal(good)
	g, err := d.intake.judgeAll([]channel.Message{d.run.Bag(msg, msg, d.shop.Seal(refused), d.shop.Seal(forged), []byte("not an envelope"))})
	if err != nil {
		t.Fatal(err)
	}
	var counts book.BagCommitted
	err = d.Ledger.Commit(t.Context(), func(tx *ledger.Tx) (err error) {
		counts, err = d.intake.committer(tx, g, d.intake.tally.begin()).envelopes(g.bags[0])
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if counts.Received != 1 || counts.Repeated != 1 || counts.Rejected != 2 || counts.Ignored != 1 {
		t.Errorf("counts %+v", counts)
	}
}
