package intake

import (
	"bytes"
	"errors"
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// stored stores an account and returns its token.
func (d *fixture) stored(draft vaulttest.Draft) string {
	d.TB.Helper()
	f := d.expect(draft, envelope.StatusStored, envelope.CodeOK)
	if !envelope.ValidToken(f.Token) {
		d.TB.Fatalf("stored under the token %q", f.Token)
	}
	return f.Token
}

func (d *fixture) record(token string) (record ledger.Stored, there bool) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) (err error) {
		record, there, err = tx.Stored("shop-1", token)
		record.Sealed = bytes.Clone(record.Sealed)
		return err
	})
	return record, there
}

func (d *fixture) open(token string) (*account.Account, error) {
	d.TB.Helper()
	record, there := d.record(token)
	if !there {
		d.TB.Fatalf("nothing is stored under %s", token)
	}
	plain, err := d.Ring.OpenStored("shop-1", token, record.Slot, record.Sealed)
	if err != nil {
		return nil, err
	}
	return account.Parse(plain)
}

func (d *fixture) dead(token string, record ledger.Stored) {
	d.TB.Helper()
	if _, err := d.Ring.OpenStored("shop-1", token, record.Slot, record.Sealed); !errors.Is(err, keyring.ErrForgotten) {
		d.TB.Errorf("a stored account that was given up opens, or %v", err)
	}
}

// dropPart deletes a payment's account part, as the engine does when its day key dies.
func (d *fixture) dropPart(id string) {
	d.TB.Helper()
	err := d.Ledger.Commit(d.TB.Context(), func(tx *ledger.Tx) error { return tx.DeletePart("shop-1", id, envelope.PartAccount) })
	if err != nil {
		d.TB.Fatal(err)
	}
}

func TestStoredAccountOpens(t *testing.T) {
	d := bankFixture(t)
	store := d.shop.Store(vaulttest.Card(vaulttest.CardNumber, vaulttest.CardExpiry))
	token := d.stored(store)
	p := d.Payment("shop-1", store.ID)
	if p.Stage != book.StageDone || p.Token != token || p.Method != book.MethodCard || p.Masked != "424242******4242" || len(d.parts(store.ID)) != 0 {
		t.Errorf("store %+v", p)
	}
	acct, err := d.open(token)
	if err != nil || string(acct.Card.Digits()) != vaulttest.CardNumber || string(acct.Card.Name()) != "A. Shopper" {
		t.Fatalf("the stored card is another, or %v", err)
	}
	bank := d.stored(d.shop.Store(vaulttest.Bank(vaulttest.Routing, vaulttest.BankAccount)))
	if acct, err = d.open(bank); err != nil || acct.Bank == nil || string(acct.Bank.Account()) != vaulttest.BankAccount {
		t.Errorf("the stored bank account is another, or %v", err)
	}
}

func TestEachStoreHasAFreshToken(t *testing.T) {
	d := bankFixture(t)
	a, b := d.shop.Store(goodCard), d.shop.Store(goodCard)
	d.post(a, b)
	answers := d.answers()
	if first, second := answers[a.ID].Token, answers[b.ID].Token; first == second || first == "" || second == "" {
		t.Errorf("two stores of one card have the tokens %q and %q", first, second)
	}
}

func TestPayingByToken(t *testing.T) {
	d := bankFixture(t)
	card := d.stored(d.shop.Store(goodCard))
	bank := d.stored(d.shop.Store(payee))
	withCode := d.shop.ByToken(envelope.OpSale, card, 10)
	withCode.Code = `{"code":"123"}`
	p := d.waits(withCode)
	if p.Token != card || p.Method != book.MethodCard || p.Masked != "424242******4242" || p.Brand != "visa" || p.Fingerprint == "" || !p.WithCode {
		t.Errorf("sale by token %+v", p)
	}
	if kept := d.parts(withCode.ID); len(kept) != 1 || kept[0] != envelope.PartCode {
		t.Errorf("parts %v are kept", kept)
	}
	d.waits(d.shop.ByToken(envelope.OpAuthorize, card, 10))
	sale, payout := d.accepted(d.shop.ByToken(envelope.OpSale, bank, 10)), d.accepted(d.shop.ByToken(envelope.OpPayout, bank, 10))
	if p := d.Payment("shop-1", sale); p.Token != bank || p.Masked != "******5678" || p.Standard != "WEB" || len(d.parts(payout)) != 0 {
		t.Errorf("sale by a bank account's token %+v", p)
	}

	d.refused(d.shop.ByToken(envelope.OpAuthorize, bank, 10), envelope.CodeBadAccount)
	d.refused(d.shop.ByToken(envelope.OpPayout, card, 10), envelope.CodeBadAccount)
	coded := d.shop.ByToken(envelope.OpSale, bank, 10)
	coded.Code = `{"code":"123"}`
	d.refused(coded, envelope.CodeBadAccount)
	inEuros := d.shop.ByToken(envelope.OpSale, bank, 10)
	ordered(envelope.OpSale, euros+`,"token":"`+bank+`"`, "")(&inEuros)
	d.refused(inEuros, envelope.CodeCurrency)
	d.Append("shop-1", book.MerchantPolicySet{})
	d.refused(d.shop.ByToken(envelope.OpSale, bank, 10), envelope.CodeNotPermitted)
}

func TestRefundOfASaleByToken(t *testing.T) {
	d := bankFixture(t)
	card, bank := d.stored(d.shop.Store(goodCard)), d.stored(d.shop.Store(payee))
	byCard := d.approved(d.shop.ByToken(envelope.OpSale, card, 10))
	byBank := d.accepted(d.shop.ByToken(envelope.OpSale, bank, 10))
	d.settleCards()
	d.settleBank()
	if p := d.waits(d.shop.Refund(byCard, 4)); p.Token != card {
		t.Errorf("refund to the card %+v", p)
	}
	if p := d.Payment("shop-1", d.accepted(d.shop.Refund(byBank, 4))); p.Token != bank {
		t.Errorf("refund to the bank account %+v", p)
	}
	d.expect(d.shop.Forget(card), envelope.StatusForgotten, envelope.CodeOK)
	d.expect(d.shop.Forget(bank), envelope.StatusForgotten, envelope.CodeOK)
	d.refused(d.shop.Refund(byCard, 4), envelope.CodeAccountGone)
	d.refused(d.shop.Refund(byBank, 4), envelope.CodeAccountGone)
	given := d.shop.Refund(byBank, 4)
	given.Account = payee
	d.accepted(given)
	d.intake.RefundsByReference = true
	if p := d.waits(d.shop.Refund(byCard, 4)); p.Token != "" {
		t.Errorf("refund by reference %+v", p)
	}
}

func TestUpdate(t *testing.T) {
	d := bankFixture(t)
	token := d.stored(d.shop.Store(goodCard))
	before, _ := d.record(token)
	update := d.shop.Update(token, "2035-06")
	f := d.expect(update, envelope.StatusUpdated, envelope.CodeOK)
	if f.Token != token || f.Masked != "424242******4242" || len(d.parts(update.ID)) != 0 {
		t.Errorf("update answered %+v", f)
	}
	d.dead(token, before)
	acct, err := d.open(token)
	if err != nil || acct.Card.ExpiryYYMM() != [4]byte{'3', '5', '0', '6'} || string(acct.Card.Digits()) != vaulttest.CardNumber {
		t.Fatalf("the updated card is another, or %v", err)
	}
	first, second := d.shop.Update(token, "2036-01"), d.shop.Update(token, "2036-02")
	d.post(first, second) // both are sealed from what was stored before
	if acct, err = d.open(token); err != nil || acct.Card.ExpiryYYMM() != [4]byte{'3', '6', '0', '2'} {
		t.Errorf("the last update does not count, or %v", err)
	}
	bank := d.stored(d.shop.Store(payee))
	d.refused(d.shop.Update(bank, "2036-01"), envelope.CodeBadAccount)

	record, _ := d.record(token)
	if err := d.Ring.ForgetStored(record.Slot); err != nil {
		t.Fatal(err)
	}
	d.refused(d.shop.Update(token, "2036-01"), envelope.CodeAccountGone)
}

func TestForget(t *testing.T) {
	d := bankFixture(t)
	token := d.stored(d.shop.Store(goodCard))
	record, _ := d.record(token)
	f := d.expect(d.shop.Forget(token), envelope.StatusForgotten, envelope.CodeOK)
	if f.Token != token || f.Masked != "424242******4242" {
		t.Errorf("forget answered %+v", f)
	}
	if _, there := d.record(token); there {
		t.Error("the forgotten account's record is there")
	}
	d.dead(token, record)
	for _, draft := range []vaulttest.Draft{d.shop.Forget(token), d.shop.Update(token, "2035-06"), d.shop.ByToken(envelope.OpSale, token, 10)} {
		d.refused(draft, envelope.CodeUnknownToken)
	}
	again := d.stored(d.shop.Store(goodCard))
	forget, update, sale := d.shop.Forget(again), d.shop.Update(again, "2035-06"), d.shop.ByToken(envelope.OpSale, again, 10)
	d.post(forget, update, sale)
	for _, draft := range []vaulttest.Draft{update, sale} {
		if f := d.answers()[draft.ID]; f.Code != envelope.CodeUnknownToken {
			t.Errorf("after a forget in the same bag: %+v", f)
		}
	}
	mine := d.stored(d.shop.Store(goodCard))
	other := d.Enrol("shop-2")
	d.permit("shop-2")
	for _, draft := range []vaulttest.Draft{other.Forget(mine), other.Update(mine, "2035-06"), other.ByToken(envelope.OpSale, mine, 10)} {
		d.take(d.run.Bag(other.Seal(draft)))
		if f := d.answers()[draft.ID]; f.Code != envelope.CodeUnknownToken || f.Masked != "" {
			t.Errorf("another merchant's token: %+v", f)
		}
	}
	if _, err := d.open(mine); err != nil {
		t.Error(err)
	}
}

// counting counts the slots that are used and freed.
type counting struct {
	*keyring.Ring
	taken, back map[uint32]bool
}

func (c counting) SealStored(merchant, token string, plain []byte) (uint32, []byte, error) {
	slot, sealed, err := c.Ring.SealStored(merchant, token, plain)
	c.taken[slot] = true
	return slot, sealed, err
}

func (c counting) ForgetStored(slots ...uint32) error {
	for _, slot := range slots {
		c.back[slot] = true
	}
	return c.Ring.ForgetStored(slots...)
}

// Accounts that were sealed and not committed leave no key: repeated, late, over the limit, or
// judged again.
func TestKeysOfAccountsThatWereNotKept(t *testing.T) {
	d := bankFixture(t)
	accounts := counting{d.Ring, map[uint32]bool{}, map[uint32]bool{}}
	d.intake.Accounts, d.intake.Workers = accounts, 1
	policy := vaulttest.Policy()
	policy.StoresPerDay = 3
	d.Append("shop-1", book.MerchantPolicySet{Policy: policy})
	msg := d.shop.Seal(d.shop.Store(goodCard))
	again := d.run.Bag(d.shop.Seal(d.shop.Store(goodCard)))
	d.take(d.run.Bag(msg, msg, d.shop.Seal(d.shop.Store(goodCard))))
	g, err := d.intake.judgeAll([]channel.Message{again})
	if err != nil {
		t.Fatal(err)
	}
	d.Append("shop-1", book.MerchantSuspended{}, book.MerchantResumed{})
	if err := d.intake.commit(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	d.post(d.shop.Store(goodCard), d.shop.Store(goodCard))
	var slots []uint32
	d.View(func(tx *ledger.Tx) (err error) {
		slots, err = tx.StoredSlots()
		return err
	})
	if len(slots) != 3 || len(accounts.taken) != 5 || len(accounts.back) != 2 {
		t.Fatalf("%d accounts are stored, %d keys were taken and %d given back", len(slots), len(accounts.taken), len(accounts.back))
	}
	for _, slot := range slots {
		if accounts.back[slot] {
			t.Error("the key of a stored account was given back")
		}
	}
}

// unforgetting stops the vault between the commit and the destruction of keys.
type unforgetting struct{ *keyring.Ring }

var errStopped = errors.New("stopped")

func (unforgetting) ForgetStored(...uint32) error { return errStopped }

func TestCrashBeforeTheKeyIsDestroyed(t *testing.T) {
	d := bankFixture(t)
	token, kept := d.stored(d.shop.Store(goodCard)), d.stored(d.shop.Store(goodCard))
	record, _ := d.record(token)
	d.intake.Accounts = unforgetting{d.Ring}
	forget := d.run.Bag(d.shop.Seal(d.shop.Forget(token)))
	if err := d.intake.Take(t.Context(), []channel.Message{forget}); !errors.Is(err, errStopped) {
		t.Fatalf("taken: %v", err)
	}
	if _, err := d.Ring.OpenStored("shop-1", token, record.Slot, record.Sealed); err != nil {
		t.Fatalf("the key was destroyed: %v", err)
	}
	d.Reopen()
	var slots []uint32
	d.View(func(tx *ledger.Tx) (err error) {
		slots, err = tx.StoredSlots()
		return err
	})
	if err := d.Ring.KeepStored(slots); err != nil {
		t.Fatal(err)
	}
	d.intake = d.newIntake(nil)
	d.take(forget)
	d.dead(token, record)
	if _, err := d.open(kept); err != nil {
		t.Error(err)
	}
}

// A key ring that is locked, or a file that cannot be written, says nothing about an envelope.
func TestAccountsThatCannotBeSealed(t *testing.T) {
	d := bankFixture(t)
	d.intake.Accounts = lockedAccounts{}
	bag := d.run.Bag(d.shop.Seal(d.shop.Store(goodCard)))
	if err := d.intake.Take(t.Context(), []channel.Message{bag}); !errors.Is(err, keyring.ErrLocked) {
		t.Fatalf("a store was taken while locked: %v", err)
	}
	d.intake.Accounts = d.Ring
	d.take(bag)
	if n := d.payments(); n != 1 {
		t.Errorf("%d payments", n)
	}
}

type lockedAccounts struct{}

func (lockedAccounts) SealStored(string, string, []byte) (uint32, []byte, error) {
	return 0, nil, keyring.ErrLocked
}

func (lockedAccounts) OpenStored(string, string, uint32, []byte) ([]byte, error) {
	return nil, keyring.ErrLocked
}

func (lockedAccounts) ForgetStored(...uint32) error { return keyring.ErrLocked }
