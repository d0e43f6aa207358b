package book

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/quickjson"
)

// Event is one state change: who did it, from where, what for, on which evidence, and the change.
// The sealed log holds it, so its JSON form is permanent: kinds and members are added, never
// renamed. It never holds account data beyond the masked number and a keyed fingerprint.
type Event struct {
	Time  envelope.Time // when it was committed, by the vault's clock
	Actor string        // who: "user:NAME" (socket peer), "vault", "relay:NAME", "acquirer"
	// from where: "socket", "timer", "start", "stop", "bag:RELAY/RUN/NUMBER/INDEX", "host"
	Origin   string
	Purpose  string // what for, in a few words; may be empty
	Evidence string // hex digest of the note or message that proves it; may be empty
	Merchant string // merchant id; empty for events of the vault itself
	Body     Body   // the change
}

// Body is one kind of change. Bodies are plain data; their zero members are left out of the JSON.
type Body interface {
	// Kind is the event's permanent name.
	Kind() string
}

// ErrUnknownKind is returned when a stored event has a kind that this build does not know.
var ErrUnknownKind = errors.New("unknown event kind: the log was written by a newer vault; use its build")

// wireEvent is an event's form; B is a type of body, Body for all of them, or json.RawMessage.
type wireEvent[B any] struct {
	Kind     string        `json:"kind"`
	Time     envelope.Time `json:"time"`
	Actor    string        `json:"actor"`
	Origin   string        `json:"origin"`
	Purpose  string        `json:"purpose,omitempty"`
	Evidence string        `json:"evidence,omitempty"`
	Merchant string        `json:"merchant,omitempty"`
	Body     B             `json:"body"`
}

// MarshalJSON writes the event's permanent form.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Body == nil {
		return nil, errors.New("event without a body")
	}
	w := wireEvent[Body]{e.Body.Kind(), e.Time, e.Actor, e.Origin, e.Purpose, e.Evidence, e.Merchant, e.Body}
	text, err := quickjson.Append(make([]byte, 0, usualBytes), &w)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", w.Kind, err)
	}
	return text, nil
}

// usualBytes is what most events take.
const usualBytes = 512

// UnmarshalJSON reads the permanent form. It fails with [ErrUnknownKind] on a kind of a newer
// build, and on unknown members: without them it would fold to something else.
func (e *Event) UnmarshalJSON(data []byte) error {
	if d := decoderOf(data); d.quick != nil && d.quick(data, e) {
		return nil
	}
	var w wireEvent[json.RawMessage]
	if err := quickjson.Unmarshal(data, &w); err != nil {
		return err
	}
	d, ok := register[w.Kind]
	if !ok {
		return fmt.Errorf("%q: %w", w.Kind, ErrUnknownKind)
	}
	body, err := d.body(w.Body)
	if err != nil {
		return fmt.Errorf("decode %s: %w", w.Kind, err)
	}
	*e = Event{w.Time, w.Actor, w.Origin, w.Purpose, w.Evidence, w.Merchant, body}
	return nil
}

// decoder reads events of one kind.
type decoder struct {
	// a whole event, as MarshalJSON writes it; false where it is not that
	quick func(data []byte, e *Event) bool
	body  func(json.RawMessage) (Body, error) // the body of any other
}

// decoderOf returns the decoder of an event's kind, where that is the first member.
func decoderOf(data []byte) decoder {
	rest, ok := bytes.CutPrefix(data, []byte(`{"kind":"`))
	if !ok {
		return decoder{}
	}
	kind, _, _ := bytes.Cut(rest, []byte(`"`))
	return register[string(kind)].decoder
}

// decoding is the decoder of a kind of body. It reuses its target: events come by the million.
func decoding[B Body]() decoder {
	used := sync.Pool{New: func() any { return new(wireEvent[B]) }}
	return decoder{
		quick: func(data []byte, e *Event) bool {
			w := used.Get().(*wireEvent[B])
			defer used.Put(w)
			if !quickjson.Read(data, w) {
				return false
			}
			*e = Event{w.Time, w.Actor, w.Origin, w.Purpose, w.Evidence, w.Merchant, w.Body}
			return true
		},
		body: func(raw json.RawMessage) (Body, error) {
			var b B
			err := quickjson.Unmarshal(raw, &b)
			return b, err
		},
	}
}
