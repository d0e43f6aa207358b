package audit

import (
	"encoding/json"
	"errors"
	"fmt"

	"nightdrop/vault/internal/book"
)

// Order checks the order of verified entries: that log keys only grow, and that an auditor's time
// begins and ends where the log has it.
type Order struct {
	identity Identity
	key      uint32 // number of the newest log key
	last     Entry  // the entry before
	hasLast  bool   // there is one, with its body
}

// NewOrder returns an Order before its first entry. identity may be nil.
func (x *Export) NewOrder(identity Identity) *Order { return &Order{identity: identity} }

// Next checks the next entry. It fails with [ErrIntegrity].
func (o *Order) Next(e *Entry) error {
	if errors.Is(e.Err, ErrNoBody) {
		o.hasLast = false
		return nil
	}
	if e.Key < o.key {
		return fmt.Errorf("entry %d: log key %d comes after %d: %w", e.Index, e.Key, o.key, ErrIntegrity)
	}
	last, hadLast := o.last, o.hasLast
	o.key, o.last, o.hasLast = e.Key, *e, true
	if o.identity == nil || !hadLast || (last.Err == nil) == (e.Err == nil) {
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
		return fmt.Errorf("%s's time begins or ends between entries %d and %d, but entry %d is not its %s: wrapped log keys are missing: %w",
			o.identity.Name(), last.Index, e.Index, at.Index, kind, ErrIntegrity)
	}
	return nil
}
