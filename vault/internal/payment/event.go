package payment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"nightdrop/shared/envelope"
)

// Event is one state change: who did it, from where, what for, on which evidence, and the change itself. It is what the
// sealed log holds, so its JSON form is permanent: kinds and members are added, never renamed. Events never hold account
// data beyond the masked number and a keyed fingerprint.
type Event struct {
	Time     envelope.Time // when it was committed, by the vault's clock
	Actor    string        // who: "user:NAME" (socket peer), "vault", "relay:NAME", "acquirer"
	Origin   string        // from where: "socket", "timer", "start", "stop", "bag:RELAY/RUN/NUMBER/INDEX", "host"
	Purpose  string        // what for, in a few words; may be empty
	Evidence string        // hex digest of the note or message that proves it; may be empty
	Merchant string        // merchant id; empty for events of the vault itself
	Body     Body          // the change
}

// Body is one kind of change. Bodies are plain data; their zero members are left out of the JSON.
type Body interface {
	// Kind is the event's permanent name.
	Kind() string
}

// ErrUnknownKind is returned when a stored event has a kind that this build does not know.
var ErrUnknownKind = errors.New("unknown event kind: the log was written by a newer vault; use its build")

type wireEvent struct {
	Kind     string          `json:"kind"`
	Time     envelope.Time   `json:"time"`
	Actor    string          `json:"actor"`
	Origin   string          `json:"origin"`
	Purpose  string          `json:"purpose,omitempty"`
	Evidence string          `json:"evidence,omitempty"`
	Merchant string          `json:"merchant,omitempty"`
	Body     json.RawMessage `json:"body"`
}

// MarshalJSON writes the event's permanent form.
func (e Event) MarshalJSON() ([]byte, error) {
	if e.Body == nil {
		return nil, errors.New("event without a body")
	}
	body, err := json.Marshal(e.Body)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", e.Body.Kind(), err)
	}
	return json.Marshal(wireEvent{e.Body.Kind(), e.Time, e.Actor, e.Origin, e.Purpose, e.Evidence, e.Merchant, body})
}

// UnmarshalJSON reads the permanent form. It fails with ErrUnknownKind on a kind of a newer build, and on members that this
// build does not know: ignoring them would fold to something else than the newer build did.
func (e *Event) UnmarshalJSON(data []byte) error {
	var w wireEvent
	if err := decodeStrictly(data, &w); err != nil {
		return err
	}
	body, err := decodeBody(w.Kind, w.Body)
	if err != nil {
		return err
	}
	*e = Event{w.Time, w.Actor, w.Origin, w.Purpose, w.Evidence, w.Merchant, body}
	return nil
}

func decodeBody(kind string, raw json.RawMessage) (Body, error) {
	decode, ok := decoders[kind]
	if !ok {
		return nil, fmt.Errorf("%q: %w", kind, ErrUnknownKind)
	}
	return decode(raw)
}

func decodeAs[T Body](raw json.RawMessage) (Body, error) {
	var body T
	if err := decodeStrictly(raw, &body); err != nil {
		return nil, fmt.Errorf("decode %s: %w", body.Kind(), err)
	}
	return body, nil
}

func decodeStrictly(data []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}

// decoders has every kind of body; a test proves that it is complete.
var decoders = map[string]func(json.RawMessage) (Body, error){
	VaultCreated{}.Kind():            decodeAs[VaultCreated],
	VaultUnlocked{}.Kind():           decodeAs[VaultUnlocked],
	VaultLocked{}.Kind():             decodeAs[VaultLocked],
	KeysChanged{}.Kind():             decodeAs[KeysChanged],
	RelaysSet{}.Kind():               decodeAs[RelaysSet],
	DirectoryIssued{}.Kind():         decodeAs[DirectoryIssued],
	MembersIssued{}.Kind():           decodeAs[MembersIssued],
	IntegrityFound{}.Kind():          decodeAs[IntegrityFound],
	MerchantAdded{}.Kind():           decodeAs[MerchantAdded],
	MerchantSuspended{}.Kind():       decodeAs[MerchantSuspended],
	MerchantResumed{}.Kind():         decodeAs[MerchantResumed],
	BagCommitted{}.Kind():            decodeAs[BagCommitted],
	EnvelopeReceived{}.Kind():        decodeAs[EnvelopeReceived],
	EnvelopeRejected{}.Kind():        decodeAs[EnvelopeRejected],
	PaymentRefused{}.Kind():          decodeAs[PaymentRefused],
	AuthorisationIntended{}.Kind():   decodeAs[AuthorisationIntended],
	AuthorisationAnswered{}.Kind():   decodeAs[AuthorisationAnswered],
	AuthorisationUnanswered{}.Kind(): decodeAs[AuthorisationUnanswered],
	ReversalIntended{}.Kind():        decodeAs[ReversalIntended],
	ReversalAnswered{}.Kind():        decodeAs[ReversalAnswered],
	ReversalAbandoned{}.Kind():       decodeAs[ReversalAbandoned],
	BatchOpened{}.Kind():             decodeAs[BatchOpened],
	BatchClosing{}.Kind():            decodeAs[BatchClosing],
	BatchClosed{}.Kind():             decodeAs[BatchClosed],
	ReconciliationIntended{}.Kind():  decodeAs[ReconciliationIntended],
	ReconciliationAnswered{}.Kind():  decodeAs[ReconciliationAnswered],
	PaymentSettled{}.Kind():          decodeAs[PaymentSettled],
	BatchSettled{}.Kind():            decodeAs[BatchSettled],
	CaptureIntended{}.Kind():         decodeAs[CaptureIntended],
	CaptureAnswered{}.Kind():         decodeAs[CaptureAnswered],
	CaptureAbandoned{}.Kind():        decodeAs[CaptureAbandoned],
	OutcomeUnknown{}.Kind():          decodeAs[OutcomeUnknown],
	AuthorisationExpired{}.Kind():    decodeAs[AuthorisationExpired],
	PaymentResolved{}.Kind():         decodeAs[PaymentResolved],
	PaymentVoided{}.Kind():           decodeAs[PaymentVoided],
	EntryAccepted{}.Kind():           decodeAs[EntryAccepted],
	FileBegun{}.Kind():               decodeAs[FileBegun],
	EntryIntended{}.Kind():           decodeAs[EntryIntended],
	FileIntended{}.Kind():            decodeAs[FileIntended],
	FileWritten{}.Kind():             decodeAs[FileWritten],
	AnswerTaken{}.Kind():             decodeAs[AnswerTaken],
	PaymentReturned{}.Kind():         decodeAs[PaymentReturned],
	ChangeNotified{}.Kind():          decodeAs[ChangeNotified],
	EntryAcknowledged{}.Kind():       decodeAs[EntryAcknowledged],
	AccountStored{}.Kind():           decodeAs[AccountStored],
	AccountUpdated{}.Kind():          decodeAs[AccountUpdated],
	AccountForgotten{}.Kind():        decodeAs[AccountForgotten],
	MerchantPolicySet{}.Kind():       decodeAs[MerchantPolicySet],
	VaultStarted{}.Kind():            decodeAs[VaultStarted],
	VaultStopped{}.Kind():            decodeAs[VaultStopped],
	AccessRefused{}.Kind():           decodeAs[AccessRefused],
	AuditorAdded{}.Kind():            decodeAs[AuditorAdded],
	AuditorRemoved{}.Kind():          decodeAs[AuditorRemoved],
	LogExported{}.Kind():             decodeAs[LogExported],
}
