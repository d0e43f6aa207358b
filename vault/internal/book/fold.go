package book

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

// ErrTransition is returned when an event does not fit the state: a caller's bug, or a forged log.
var ErrTransition = errors.New("event does not fit the state")

// Issued is a result that an event issues. The ledger seals it, with its place in the log, and
// sends it.
type Issued struct {
	Merchant string
	Serial   uint64        // in the merchant's chain
	ID       string        // of the envelope that began what the result is about
	Digest   string        // of that envelope
	Created  envelope.Time // the event's time
	Facts    envelope.Facts
}

// Apply folds one event into s and returns the result that it issues, or nil. It is deterministic.
// After an error s may be half changed: the caller must discard the whole transaction.
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
	_, creating := f.event.Body.(VaultCreated)
	if f.State.began && !creating {
		return nil
	}
	v, err := f.Vault()
	if err != nil {
		return err
	}
	if creating != (v.Name == "") {
		return misfit("vault-created is the log's first event and only there")
	}
	f.State.began = !creating
	return nil
}

func misfit(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrTransition)...)
}

// issue stores p and gives its merchant a result about it.
func (f *fold) issue(p Payment, status envelope.Status, code envelope.Code) error {
	serial, err := f.answer(p, status, code)
	if err != nil {
		return err
	}
	// a copy: who has the old one must not see it
	p.Results = append(slices.Clip(p.Results), serial)
	return f.put(p)
}

// answer issues a result about p, which need not be remembered, and returns its serial.
func (f *fold) answer(p Payment, status envelope.Status, code envelope.Code) (uint64, error) {
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

// approval returns what a result may say of field 38: hosts pad it with spaces, and some fill it
// with what is none.
func approval(field string) string {
	field = strings.TrimSpace(field)
	other := func(c rune) bool { return (c < '0' || c > '9') && (c < 'A' || c > 'Z') }
	if len(field) > 6 || strings.ContainsFunc(field, other) {
		return ""
	}
	return field
}
