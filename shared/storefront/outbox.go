package storefront

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// Outbox keeps envelopes in a directory until their results arrive, and remembers how far the
// results have been read. Everything in it is sealed or public. One process at a time uses an
// outbox; its methods are safe for concurrent use on different ids.
//
//	pending/ID.note    posted or about to be; no result yet
//	answered/ID.note   a result with its digest has come
//	receipts/ID.*      the relay's signed receipts, and its refusals
//	results/SERIAL.note  the vault's signed results, as received
//	chain.json         how far the results have been read
//	log.json           what was seen of the vault's log (FileLog)
//	evidence/          statements of the vault that contradict each other
type Outbox struct{ dir string }

// OpenOutbox opens or makes an outbox.
func OpenOutbox(dir string) (*Outbox, error) {
	for _, name := range []string{"pending", "answered", "receipts", "results"} {
		if err := durable.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, fmt.Errorf("outbox: %w", err)
		}
	}
	return &Outbox{dir}, nil
}

func (o *Outbox) path(folder, name string) string { return filepath.Join(o.dir, folder, name+".note") }

// Keep stores an envelope durably, before its first post. Keeping an id again returns the bytes
// that were kept first, which are the ones to post: so an interrupted run may be repeated.
func (o *Outbox) Keep(s Sealed) (Sealed, error) {
	kept, err := o.Find(s.ID)
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return kept, err
	}
	return s, durable.Replace(o.path("pending", s.ID), s.Note)
}

// Find returns the envelope kept under id, pending or answered, or [fs.ErrNotExist].
func (o *Outbox) Find(id string) (Sealed, error) {
	if !envelope.ValidID(id) { // it becomes a file's name
		return Sealed{}, errors.New("not an envelope id: a UUID of version 4 or 7 in lower case")
	}
	data, err := os.ReadFile(o.path("pending", id))
	if errors.Is(err, fs.ErrNotExist) {
		data, err = os.ReadFile(o.path("answered", id))
	}
	if err != nil {
		return Sealed{}, err
	}
	return sealedFrom(data)
}

func sealedFrom(data []byte) (Sealed, error) {
	e, err := envelope.Peek[envelope.Envelope](data)
	if err != nil {
		return Sealed{}, fmt.Errorf("outbox: a kept envelope is damaged: %w", err)
	}
	text, err := note.Text(data)
	if err != nil {
		return Sealed{}, err
	}
	return Sealed{ID: e.ID, Digest: note.Digest(text), Created: e.Created.Time, Until: e.Until.Time, Note: data}, nil
}

// Pending returns the envelopes without a result, by id: what to post again after a crash.
func (o *Outbox) Pending() ([]Sealed, error) {
	entries, err := os.ReadDir(filepath.Join(o.dir, "pending"))
	if err != nil {
		return nil, err
	}
	var pending []Sealed
	for _, entry := range entries {
		id, isNote := strings.CutSuffix(entry.Name(), ".note")
		if !isNote || !envelope.ValidID(id) {
			continue
		}
		s, err := o.Find(id)
		if err != nil {
			return nil, err
		}
		pending = append(pending, s)
	}
	return pending, nil
}

// Lapsed returns the pending envelopes that the chain proves will never be answered: they may be
// paid again under new ids. Others may still be acted on, however long the relay is silent.
func (o *Outbox) Lapsed() ([]Sealed, error) {
	chain, err := o.Chain()
	if err != nil {
		return nil, err
	}
	pending, err := o.Pending()
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pending, func(s Sealed) bool { return !chain.ProvesSilence(s.Created, s.Until) }), nil
}

// Record stores results and the chain's new end, and marks as answered the envelopes whose posted
// digest they carry (specification 7). It returns how many results were about envelopes of this
// outbox.
func (o *Outbox) Record(results []Opened, chain Chain) (ours int, err error) {
	for _, r := range results {
		if err := durable.Replace(o.path("results", fmt.Sprintf("%012d", r.Result.Serial)), r.Note); err != nil {
			return ours, err
		}
		kept, err := o.Find(r.Result.ID)
		if errors.Is(err, fs.ErrNotExist) || err == nil && kept.Digest != r.Result.Digest {
			continue
		}
		if err != nil {
			return ours, err
		}
		ours++
		err = durable.Move(o.path("pending", kept.ID), o.path("answered", kept.ID))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return ours, err
		}
	}
	data, err := json.Marshal(chain)
	if err != nil {
		return ours, err
	}
	// results before chain's end are not read again, so what they answered must be durable first
	for _, folder := range []string{"pending", "answered"} {
		if err := durable.SyncDir(filepath.Join(o.dir, folder)); err != nil {
			return ours, err
		}
	}
	// a crash before this reads the same results again, which changes nothing
	return ours, durable.Replace(filepath.Join(o.dir, "chain.json"), data)
}

// Log is the store for [Config].Log.
func (o *Outbox) Log() LogStore { return FileLog(filepath.Join(o.dir, "log.json")) }

// Chain is how far the results have been read.
func (o *Outbox) Chain() (Chain, error) {
	var chain Chain
	data, err := os.ReadFile(filepath.Join(o.dir, "chain.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return chain, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &chain)
	}
	if err != nil {
		return Chain{}, fmt.Errorf("outbox: chain.json: %w (remove it to read the results from the oldest that the relay has)", err)
	}
	return chain, nil
}
