package book

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

// ErrTransition is returned when an event does not fit the state: a bug in the caller, or a log that was tampered with.
var ErrTransition = errors.New("event does not fit the state")

// Issued is a result that an event gives its merchant. The ledger seals it, with its place in the log, and sends it.
type Issued struct {
	Merchant string
	Serial   uint64        // in the merchant's chain
	ID       string        // of the envelope that began what the result tells
	Digest   string        // of that envelope
	Created  envelope.Time // the event's time
	Facts    envelope.Facts
}

// Apply folds one event into s and returns the result that it issues, or nil. It is deterministic. On an error the caller
// must throw the whole transaction away: s may be half changed.
func Apply(s *State, e Event) (*Issued, error) {
	f := fold{State: s, event: e}
	if err := f.apply(); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Body.Kind(), err)
	}
	return f.issued, nil
}

type fold struct {
	*State
	event  Event
	issued *Issued
}

func (f *fold) apply() error {
	if err := f.began(); err != nil {
		return err
	}
	r, ok := register[f.event.Body.Kind()]
	if !ok {
		return ErrUnknownKind
	}
	return r.fold(f, f.event.Body)
}

// began checks that the log begins with vault-created and that nothing creates the vault again.
func (f *fold) began() error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	_, creating := f.event.Body.(VaultCreated)
	if creating == (v.Name == "") {
		return nil
	}
	return misfit("vault-created is the log's first event and only there")
}

func misfit(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrTransition)...)
}

// changeVault changes the vault's record.
func (f *fold) changeVault(change func(*Vault) error) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	if err := change(&v); err != nil {
		return err
	}
	return TheVault.Put(f.State, v)
}

func (f *fold) created(b VaultCreated) error {
	return TheVault.Put(f.State, Vault{Name: b.Vault, Generation: b.Generation, Signer: b.Signer, NextBatch: 1})
}

func (f *fold) keysChanged(b KeysChanged) error {
	return f.changeVault(func(v *Vault) (err error) {
		v.Keys, err = changedKeys(v.Keys, b)
		return err
	})
}

func (f *fold) relaysSet(b RelaysSet) error {
	return f.changeVault(func(v *Vault) error {
		v.Relays = b.Relays
		return nil
	})
}

func (f *fold) directoryIssued(b DirectoryIssued) error {
	return f.changeVault(func(v *Vault) error { return advance(&v.Directory, b.Serial, "directory") })
}

func (f *fold) membersIssued(b MembersIssued) error {
	return f.changeVault(func(v *Vault) error { return advance(&v.Members, b.Serial, "members") })
}

func advance(newest *uint64, serial uint64, of string) error {
	if serial <= *newest {
		return misfit("%s serial %d after %d", of, serial, *newest)
	}
	*newest = serial
	return nil
}

// changedKeys returns the keys that live after a change: a key is told once when it is made and once when it is destroyed.
func changedKeys(keys []envelope.KeyName, b KeysChanged) ([]envelope.KeyName, error) {
	keys = slices.Clone(keys)
	for _, k := range b.Created {
		at, told := slices.BinarySearch(keys, k.Name)
		if told {
			return nil, misfit("key %s is made", k.Name)
		}
		keys = slices.Insert(keys, at, k.Name)
	}
	for _, name := range b.Destroyed {
		at, told := slices.BinarySearch(keys, name)
		if !told {
			return nil, misfit("key %s is destroyed or was never made", name)
		}
		keys = slices.Delete(keys, at, at+1)
	}
	return keys, nil
}

func (f *fold) added(b MerchantAdded) error {
	id := f.event.Merchant
	_, known, err := f.Merchant(id)
	if err != nil {
		return err
	}
	if known || !envelope.ValidMerchant(id) {
		return misfit("merchant %s exists or has no merchant's name", id)
	}
	return Merchants.Put(f.State, Merchant{ID: id, Name: b.Name, Status: MerchantActive, Verifiers: b.Verifiers,
		ReplyKeys: b.ReplyKeys, Acceptor: b.Acceptor, Currencies: b.Currencies, Added: f.event.Time, Version: 1})
}

// changeMerchant changes the record of the event's merchant.
func (f *fold) changeMerchant(change func(*Merchant) error) error {
	m, ok, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if !ok {
		return misfit("no merchant %s", f.event.Merchant)
	}
	if err := change(&m); err != nil {
		return err
	}
	return Merchants.Put(f.State, m)
}

func (f *fold) policySet(b MerchantPolicySet) error {
	return f.changeMerchant(func(m *Merchant) error {
		if err := b.Policy.Check(); err != nil {
			return misfit("policy of %s: %v", m.ID, err)
		}
		m.Policy = b.Policy
		return nil
	})
}

func (f *fold) suspended(MerchantSuspended) error { return f.turn(MerchantActive, MerchantStopped) }
func (f *fold) resumed(MerchantResumed) error     { return f.turn(MerchantStopped, MerchantActive) }

// turn changes a merchant's status.
func (f *fold) turn(from, to MerchantStatus) error {
	return f.changeMerchant(func(m *Merchant) error {
		if m.Status != from {
			return misfit("merchant %s is %s", m.ID, m.Status)
		}
		m.Status = to
		m.Version++
		return nil
	})
}

// resent checks that the results are there; to publish them again changes nothing but when the vault did so last by itself.
func (f *fold) resent(b ResultsResent) error {
	m, ok, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if !ok || b.From == 0 || b.From > b.Through || b.Through > m.Results {
		return misfit("results %d to %d of merchant %s, which has %d", b.From, b.Through, f.event.Merchant, m.Results)
	}
	if b.Lost == 0 {
		return nil
	}
	m.Republished = f.event.Time
	return Merchants.Put(f.State, m)
}

// number makes p the vault's next payment.
func (f *fold) number(p *Payment) error {
	if _, known, err := f.Payment(p.Merchant, p.ID); err != nil {
		return err
	} else if known {
		return misfit("payment %s exists", p.ID)
	}
	v, err := f.Vault()
	if err != nil {
		return err
	}
	v.Payments++
	p.Number, p.Received = v.Payments, f.event.Time
	return TheVault.Put(f.State, v)
}

func (f *fold) rejected(b EnvelopeRejected) error {
	p := Payment{Merchant: f.event.Merchant, ID: b.ID, Digest: b.Digest, Stage: StageRejected, Operation: b.Operation,
		Amount: b.Amount, Currency: b.Currency, Reference: b.Reference, Masked: b.Masked, Code: b.Code, Of: b.Of, Token: b.Token}
	transient := b.Code == envelope.CodeUnknownSigner || b.Code == envelope.CodeIDConflict
	if b.Remembered == transient {
		return misfit("%s is remembered or not against its code %s", b.ID, b.Code)
	}
	switch b.Code {
	case envelope.CodeUnknownSigner:
		if err := f.countRefusal(p.Merchant); err != nil {
			return err
		}
		_, err := f.tell(p, envelope.StatusRejected, b.Code)
		return err
	case envelope.CodeIDConflict:
		return f.conflict(p)
	}
	if err := f.compared(b); err != nil {
		return err
	}
	if err := f.number(&p); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusRejected, b.Code)
}

// conflict answers another digest of a known id, once each.
func (f *fold) conflict(refused Payment) error {
	p, known, err := f.Payment(refused.Merchant, refused.ID)
	if err != nil {
		return err
	}
	if !known || !p.MayRefuse(refused.Digest) {
		return misfit("payment %s has no conflict to be told of", refused.ID)
	}
	serial, err := f.tell(refused, envelope.StatusRejected, envelope.CodeIDConflict)
	if err != nil {
		return err
	}
	p.Conflicts = append(slices.Clip(p.Conflicts), Conflict{Digest: refused.Digest, Serial: serial})
	return f.put(p)
}

// MayRefuse tells whether a merchant may be sent another unknown-signer result today.
func (m Merchant) MayRefuse(now envelope.Time) bool {
	return m.Refusals.Day != now.DateText(m.Refusals.Day) || m.Refusals.Count < MaxRefusals
}

func (f *fold) countRefusal(merchant string) error {
	m, ok, err := f.Merchant(merchant)
	if err != nil {
		return err
	}
	if !ok || !m.MayRefuse(f.event.Time) {
		return misfit("merchant %s may not be sent another refusal today", merchant)
	}
	day := f.event.Time.DateText(m.Refusals.Day)
	if m.Refusals.Day != day {
		m.Refusals = Refusals{Day: day}
	}
	m.Refusals.Count++
	return Merchants.Put(f.State, m)
}

func (f *fold) put(p Payment) error {
	p.Changed = f.event.Time
	return Payments.Put(f.State, p)
}

// issue stores p and gives its merchant a result about it.
func (f *fold) issue(p Payment, status envelope.Status, code envelope.Code) error {
	serial, err := f.tell(p, status, code)
	if err != nil {
		return err
	}
	p.Results = append(slices.Clip(p.Results), serial) // a copy: who has the old one must not see it
	return f.put(p)
}

func (f *fold) nextSerial(merchant string) (uint64, error) {
	m, ok, err := f.Merchant(merchant)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, misfit("no merchant %s", merchant)
	}
	m.Results++
	return m.Results, Merchants.Put(f.State, m)
}

// tell gives p's merchant a result about p, which need not be remembered, and returns its serial.
func (f *fold) tell(p Payment, status envelope.Status, code envelope.Code) (uint64, error) {
	serial, err := f.nextSerial(p.Merchant)
	if err != nil {
		return 0, err
	}
	facts := envelope.Facts{Payment: p.ID, Status: status, Code: code, Amount: p.Amount, Currency: p.Currency,
		Reference: p.Reference, Masked: p.Masked, Token: p.Token, Approval: approval(p.Approval)}
	if p.Of != "" {
		facts.Payment = p.Of
	}
	if p.Stage == StageSettled {
		facts.Batch = BatchID(p.Way(), p.Batch)
	}
	f.issued = &Issued{Merchant: p.Merchant, Serial: serial, ID: p.ID, Digest: p.Digest, Created: f.event.Time, Facts: facts}
	return serial, nil
}

// approval returns what a result may say of field 38: hosts pad it with spaces, and some fill it with what is none.
func approval(field string) string {
	field = strings.TrimSpace(field)
	other := func(c rune) bool { return (c < '0' || c > '9') && (c < 'A' || c > 'Z') }
	if len(field) > 6 || strings.ContainsFunc(field, other) {
		return ""
	}
	return field
}
