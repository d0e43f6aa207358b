package payment

import (
	"errors"
	"fmt"
	"maps"
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
func Apply(s State, e Event) (*Issued, error) {
	f := fold{State: s, event: e}
	if err := f.apply(); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Body.Kind(), err)
	}
	return f.issued, nil
}

type fold struct {
	State
	event  Event
	issued *Issued
}

func (f *fold) apply() error {
	if err := f.began(); err != nil {
		return err
	}
	switch b := f.event.Body.(type) {
	case VaultCreated, VaultUnlocked, VaultLocked, KeysChanged, RelaysSet, DirectoryIssued, MembersIssued:
		return f.vault(b)
	case IntegrityFound:
		return f.finding(b)
	case MerchantAdded, MerchantSuspended, MerchantResumed:
		return f.merchant(b)
	case BagCommitted:
		return f.bag(b)
	case EnvelopeReceived:
		return f.received(b)
	case EnvelopeRejected:
		return f.rejected(b)
	case PaymentRefused:
		return f.refused(b)
	case AuthorisationIntended:
		return f.intended(b)
	case AuthorisationAnswered:
		return f.answered(b)
	case AuthorisationUnanswered:
		return f.unanswered(b)
	case ReversalIntended, ReversalAnswered, ReversalAbandoned:
		return f.reversal(b)
	case BatchOpened, BatchClosing, BatchClosed, ReconciliationIntended, ReconciliationAnswered, BatchSettled:
		return f.batch(b)
	case PaymentSettled:
		return f.settled(b)
	}
	return ErrUnknownKind
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

func (f *fold) vault(body Body) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	switch b := body.(type) {
	case VaultCreated:
		v = Vault{Name: b.Vault, Generation: b.Generation, Signer: b.Signer, NextBatch: 1}
	case KeysChanged:
		if v.Keys, err = changedKeys(v.Keys, b); err != nil {
			return err
		}
	case RelaysSet:
		v.Relays = b.Relays
	case DirectoryIssued:
		if b.Serial <= v.Directory {
			return misfit("directory serial %d after %d", b.Serial, v.Directory)
		}
		v.Directory = b.Serial
	case MembersIssued:
		if b.Serial <= v.Members {
			return misfit("members serial %d after %d", b.Serial, v.Members)
		}
		v.Members = b.Serial
	}
	return f.PutVault(v)
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

func (f *fold) finding(b IntegrityFound) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	findings := map[Finding]uint64{b.Finding: 0}
	maps.Copy(findings, v.Findings)
	findings[b.Finding]++
	v.Findings = findings
	if err := f.PutVault(v); err != nil {
		return err
	}
	if b.Finding == FindingBagMissing {
		return f.missing(b)
	}
	return nil
}

func (f *fold) merchant(body Body) error {
	id := f.event.Merchant
	m, ok, err := f.Merchant(id)
	if err != nil {
		return err
	}
	if added, adding := body.(MerchantAdded); adding {
		if ok || !envelope.ValidMerchant(id) {
			return misfit("merchant %s exists or has no merchant's name", id)
		}
		return f.PutMerchant(Merchant{ID: id, Name: added.Name, Status: MerchantActive, Verifiers: added.Verifiers,
			ReplyKeys: added.ReplyKeys, Acceptor: added.Acceptor, Currencies: added.Currencies, Added: f.event.Time, Version: 1})
	}
	if !ok {
		return misfit("no merchant %s", id)
	}
	from, to := MerchantActive, MerchantStopped
	if _, resuming := body.(MerchantResumed); resuming {
		from, to = to, from
	}
	if m.Status != from {
		return misfit("merchant %s is %s", id, m.Status)
	}
	m.Status = to
	m.Version++
	return f.PutMerchant(m)
}

func (f *fold) received(b EnvelopeReceived) error {
	m, ok, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if !ok || m.Status != MerchantActive {
		return misfit("merchant %s is not there or not active", f.event.Merchant)
	}
	p := Payment{Merchant: m.ID, ID: b.ID, Digest: b.Digest, Stage: StageReceived, Until: b.Until, Operation: b.Operation,
		Amount: b.Amount, Currency: b.Currency, Reference: b.Reference, Descriptor: b.Descriptor, Masked: b.Masked,
		Brand: b.Brand, Fingerprint: b.Fingerprint, WithCode: b.WithCode}
	if err := f.number(&p); err != nil {
		return err
	}
	return f.put(p)
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
	return f.PutVault(v)
}

func (f *fold) rejected(b EnvelopeRejected) error {
	p := Payment{Merchant: f.event.Merchant, ID: b.ID, Digest: b.Digest, Stage: StageRejected, Operation: b.Operation,
		Amount: b.Amount, Currency: b.Currency, Reference: b.Reference, Masked: b.Masked, Code: b.Code}
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
	p.Conflicts = append(slices.Clone(p.Conflicts), Conflict{Digest: refused.Digest, Serial: serial})
	return f.put(p)
}

// MayRefuse tells whether a merchant may be sent another unknown-signer result today.
func (m Merchant) MayRefuse(now envelope.Time) bool {
	return m.Refusals.Day != now.Format(dayLayout) || m.Refusals.Count < MaxRefusals
}

func (f *fold) countRefusal(merchant string) error {
	m, ok, err := f.Merchant(merchant)
	if err != nil {
		return err
	}
	if !ok || !m.MayRefuse(f.event.Time) {
		return misfit("merchant %s may not be sent another refusal today", merchant)
	}
	day := f.event.Time.Format(dayLayout)
	if m.Refusals.Day != day {
		m.Refusals = Refusals{Day: day}
	}
	m.Refusals.Count++
	return f.PutMerchant(m)
}

// inStage reads the event's payment, which must stand in one of stages.
func (f *fold) inStage(id string, stages ...Stage) (Payment, error) {
	p, ok, err := f.Payment(f.event.Merchant, id)
	if err != nil {
		return p, err
	}
	if !ok {
		return p, misfit("no payment %s", id)
	}
	if !slices.Contains(stages, p.Stage) {
		return p, misfit("payment %s is %s", id, p.Stage)
	}
	return p, nil
}

func (f *fold) refused(b PaymentRefused) error {
	p, err := f.inStage(b.ID, StageReceived)
	if err != nil {
		return err
	}
	p.Stage, p.Code = StageRejected, b.Code
	return f.issue(p, envelope.StatusRejected, b.Code)
}

func (f *fold) intended(b AuthorisationIntended) error {
	p, err := f.inStage(b.ID, StageReceived)
	if err != nil {
		return err
	}
	if err := f.useTrace(b.Trace); err != nil {
		return err
	}
	p.Stage, p.Trace, p.Batch = StageAuthorising, &b.Trace, b.Batch
	if err := f.inBatch(b.Batch, BatchOpen, func(batch *Batch) { batch.Outstanding++ }); err != nil {
		return err
	}
	return f.put(p)
}

// useTrace moves the terminal's counter on, and refuses a trace number that was used before.
func (f *fold) useTrace(t Trace) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	day := t.Sent.Format(dayLayout)
	used, known := v.Terminals[t.Terminal]
	if !known {
		used.Number = len(v.Terminals)
	}
	if used.Number >= MaxTerminals || used.Day > day || used.Day == day && t.STAN <= used.STAN || t.STAN < 1 || t.STAN > maxSTAN {
		return misfit("trace number %d of terminal %s on %s is used", t.STAN, t.Terminal, day)
	}
	terminals := map[string]Terminal{}
	maps.Copy(terminals, v.Terminals)
	terminals[t.Terminal] = Terminal{Day: day, STAN: t.STAN, Number: used.Number}
	v.Terminals = terminals
	return f.PutVault(v)
}

func (f *fold) answered(b AuthorisationAnswered) error {
	p, err := f.inStage(b.ID, StageAuthorising)
	if err != nil {
		return err
	}
	if !b.Code.Valid() {
		return misfit("the host's answer has no code of field 39")
	}
	approved := b.Code == envelope.ISOCode("00")
	p.Code, p.Approval = b.Code, b.Approval
	status := envelope.StatusDeclined
	p.Stage = StageDeclined
	if approved {
		p.Stage, status = StageApproved, envelope.StatusApproved
	}
	err = f.inBatch(p.Batch, "", func(batch *Batch) {
		batch.Outstanding--
		if approved {
			batch.Totals = addTotal(batch.Totals, p.Currency, 1, p.Amount)
		}
	})
	if err != nil {
		return err
	}
	return f.issue(p, status, b.Code)
}

func (f *fold) unanswered(b AuthorisationUnanswered) error {
	p, err := f.inStage(b.ID, StageAuthorising)
	if err != nil {
		return err
	}
	p.Stage, p.Code = StageUnknown, envelope.CodeNoAnswer
	err = f.inBatch(p.Batch, "", func(batch *Batch) { batch.Outstanding--; batch.Unresolved++ })
	if err != nil {
		return err
	}
	return f.issue(p, envelope.StatusUnknown, envelope.CodeNoAnswer)
}

func (f *fold) reversal(body Body) error {
	switch b := body.(type) {
	case ReversalIntended:
		return f.reversalIntended(b)
	case ReversalAnswered:
		p, err := f.inStage(b.ID, StageUnknown, StageManual)
		if err != nil {
			return err
		}
		if p.Reversal == nil {
			return misfit("reversal of %s was never sent", b.ID)
		}
		p.Stage, p.Code = StageReversed, b.Code
		if err := f.inBatch(p.Batch, "", func(batch *Batch) { batch.Unresolved-- }); err != nil {
			return err
		}
		return f.issue(p, envelope.StatusReversed, b.Code)
	case ReversalAbandoned:
		p, err := f.inStage(b.ID, StageUnknown)
		if err != nil {
			return err
		}
		p.Stage = StageManual
		return f.put(p)
	}
	return ErrUnknownKind
}

func (f *fold) reversalIntended(b ReversalIntended) error {
	p, err := f.inStage(b.ID, StageUnknown)
	if err != nil {
		return err
	}
	if b.Try != p.Tries+1 {
		return misfit("reversal try %d after %d", b.Try, p.Tries)
	}
	if p.Reversal == nil {
		if err := f.useTrace(b.Trace); err != nil {
			return err
		}
		p.Reversal = &b.Trace
	} else if *p.Reversal != b.Trace {
		return misfit("reversal of %s repeated under another trace number", b.ID)
	}
	p.Tries = b.Try
	return f.put(p)
}

func (f *fold) put(p Payment) error {
	p.Changed = f.event.Time
	return f.PutPayment(p)
}

// issue stores p and gives its merchant a result about it.
func (f *fold) issue(p Payment, status envelope.Status, code envelope.Code) error {
	serial, err := f.tell(p, status, code)
	if err != nil {
		return err
	}
	p.Results = append(slices.Clone(p.Results), serial)
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
	return m.Results, f.PutMerchant(m)
}

// tell gives p's merchant a result about p, which need not be remembered, and returns its serial.
func (f *fold) tell(p Payment, status envelope.Status, code envelope.Code) (uint64, error) {
	serial, err := f.nextSerial(p.Merchant)
	if err != nil {
		return 0, err
	}
	facts := envelope.Facts{Payment: p.ID, Status: status, Code: code, Amount: p.Amount, Currency: p.Currency,
		Reference: p.Reference, Masked: p.Masked, Approval: approval(p.Approval)}
	if status == envelope.StatusSettled {
		facts.Batch = BatchID(MethodCard, p.Batch)
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

func addTotal(totals []Total, currency string, count, amount int64) []Total {
	totals = slices.Clone(totals)
	i, found := slices.BinarySearchFunc(totals, currency, func(t Total, c string) int { return strings.Compare(t.Currency, c) })
	if !found {
		totals = slices.Insert(totals, i, Total{Currency: currency})
	}
	totals[i].Count += count
	totals[i].Amount += amount
	return totals
}
