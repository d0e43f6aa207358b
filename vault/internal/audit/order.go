package audit

import (
	"encoding/json"
	"errors"
	"fmt"

	"nightdrop/vault/internal/book"
)

// Order checks what entries, each of which holds for itself, must also be one after the other: that
// log keys only grow, and that an auditor's time begins and ends where the log says so.
type Order struct {
	identity Identity
	key      uint32 // number of the newest log key
	last     Entry  // the entry before
	runs     bool   // there is one, and it had its body
}

// NewOrder returns an Order before the first entry that it is given. identity may be nil.
func (x *Export) NewOrder(identity Identity) *Order { return &Order{identity: identity} }

// Next takes the next entry. It fails with ErrIntegrity.
func (o *Order) Next(e *Entry) error {
	if errors.Is(e.Err, ErrNoBody) {
		o.runs = false
		return nil
	}
	if e.Key < o.key {
		return fmt.Errorf("entry %d: log key %d comes after %d: %w", e.Index, e.Key, o.key, ErrIntegrity)
	}
	last, runs := o.last, o.runs
	o.key, o.last, o.runs = e.Key, *e, true
	if o.identity == nil || !runs || (last.Err == nil) == (e.Err == nil) {
		return nil
	}
	kind, at := book.AuditorAdded{}.Kind(), *e
	if e.Err != nil {
		kind, at = book.AuditorRemoved{}.Kind(), last
	}
	var event struct {
		Kind string `json:"kind"`
		Body struct {
			Name string `json:"name"`
		} `json:"body"`
	}
	if json.Unmarshal(at.Event, &event) != nil || event.Kind != kind || event.Body.Name != o.identity.Name() {
		return fmt.Errorf("from entry %d to %d %s's time begins or ends, but entry %d is no %s of it: wrapped log keys are missing: %w",
			last.Index, e.Index, o.identity.Name(), at.Index, kind, ErrIntegrity)
	}
	return nil
}
