package ledger

import (
	"encoding/json"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/merkle"
)

// Tx is one transaction: a snapshot to read, or what the callers of one group of commits share. It
// must not be used after its function returned, nor from several goroutines. What its methods
// return is a copy, but for the maps and slices inside, which callers must not change.
type Tx struct {
	ledger *Ledger
	bolt   *bbolt.Tx
	// of bolt, which forgets it at the commit: a snapshot's is that of the commit that it shows
	id      int
	now     envelope.Time
	head    head
	tail    merkle.Tail
	logKey  merkle.Key
	boxes   map[string]keyring.Box // opened or made in this transaction
	changed bool
	spoiled error       // the first failed write
	traces  []heldTrace // what is written of open trace numbers, in order
	writes  int         // stored values so far
	tagged  map[uint64]tag

	// State is what the fold reads and writes. What it put is written back once, by finish; only
	// the fold puts.
	*book.State
	payments *paymentRows // of State
}

func (l *Ledger) newTx(b *bbolt.Tx) *Tx {
	tx := &Tx{ledger: l, bolt: b, id: b.ID(), boxes: map[string]keyring.Box{}}
	tx.State = tx.newState()
	if !b.Writable() {
		return tx
	}
	tx.head, tx.tail, tx.logKey = l.head, l.tail, l.logKey
	tx.head.Sums = l.head.Sums.clone()
	tx.now = later(envelope.At(l.options.Now()), tx.head.Time)
	return tx
}

// errReadOnly is returned when a snapshot is written to: a bug in the caller.
var errReadOnly = errors.New("write in a read-only transaction")

// fail remembers the first failed write, so that the transaction cannot be committed.
func (tx *Tx) fail(err error) error {
	if tx.spoiled == nil {
		tx.spoiled = err
	}
	return err
}

// Now is the time of every event of the transaction: the clock's, but never before the last
// event's.
func (tx *Tx) Now() envelope.Time {
	if tx.bolt.Writable() {
		return tx.now
	}
	now := envelope.At(tx.ledger.options.Now())
	head, err := tx.readHead()
	if err != nil {
		return now
	}
	return later(now, head.Time)
}

// Append commits one event: its Time is set to Now, it is folded into the state, sealed into the
// log, and the result that it issues becomes pending. MerchantAdded also makes the merchant's key;
// a change of auditors begins a log key. It returns the event's index in the log. An event that
// does not fit the state fails with book.ErrTransition, and with it the caller's part of the
// transaction.
func (tx *Tx) Append(e book.Event) (index uint64, err error) {
	if !tx.bolt.Writable() {
		return 0, errReadOnly
	}
	if index, err = tx.append(e); err != nil {
		return 0, tx.fail(err)
	}
	return index, nil
}

func (tx *Tx) append(e book.Event) (uint64, error) {
	e.Time = tx.now
	if _, adding := e.Body.(book.MerchantAdded); adding {
		if err := tx.NewMerchantKey(e.Merchant); err != nil {
			return 0, err
		}
	}
	if err := book.Retired(e.Body); err != nil {
		return 0, err
	}
	issued, err := book.Apply(tx.State, e)
	if err != nil {
		return 0, err
	}
	var facts []byte
	if issued != nil {
		if facts, err = envelope.EncodeFacts(issued.Facts); err != nil {
			return 0, fmt.Errorf("%s: encode its result: %w", e.Body.Kind(), err)
		}
	}
	if _, adding := e.Body.(book.AuditorAdded); adding {
		if err := tx.newLogKey(); err != nil {
			return 0, err
		}
	}
	place, err := tx.ledger.options.logEvent(tx, e, facts)
	if err != nil {
		return 0, err
	}
	if _, removing := e.Body.(book.AuditorRemoved); removing {
		if err := tx.newLogKey(); err != nil {
			return 0, err
		}
	}
	tx.changed = true
	tx.head.Time = tx.now
	if issued != nil {
		return place.Index, tx.putIssued(issued, facts, place)
	}
	return place.Index, nil
}

// logEvent seals an event into the log's next leaf, with the line of the result that it issues or
// nil.
func (tx *Tx) logEvent(e book.Event, facts []byte) (envelope.Place, error) {
	event, err := e.MarshalJSON() // not json.Marshal, which would read it all once more
	if err != nil {
		return envelope.Place{}, err
	}
	return merkle.Append(rows{tx.bolt}, &tx.tail, tx.ledger.origin, tx.logKey, event, facts)
}

// finish writes back what the transaction changed; the commit follows.
func (tx *Tx) finish() error {
	if err := tx.writeBack(); err != nil {
		return err
	}
	return tx.writeHead()
}

// TreeSize is the number of events in the log.
func (tx *Tx) TreeSize() (int64, error) {
	if tx.bolt.Writable() {
		return tx.tail.Size(), nil
	}
	head, err := tx.readHead()
	return head.Size, err
}

// Checkpoint signs the log's size and root.
func (tx *Tx) Checkpoint(signer *note.Signer) ([]byte, error) {
	c := proof.Checkpoint{Origin: tx.ledger.origin}
	if tx.bolt.Writable() {
		c.Size, c.Root = tx.tail.Size(), tx.tail.Root()
	} else {
		head, err := tx.readHead()
		if err != nil {
			return nil, err
		}
		c.Size, c.Root = head.Size, head.root()
	}
	return proof.SignCheckpoint(c, signer)
}

// Proof returns the inclusion proof of the leaf at index in the log's first size leaves.
func (tx *Tx) Proof(index uint64, size int64) (tlog.RecordProof, error) {
	have, err := tx.TreeSize()
	if err != nil {
		return nil, err
	}
	if size > have || index >= uint64(max(size, 0)) {
		return nil, fmt.Errorf("the log has %d entries: no proof of %d in %d", have, index, size)
	}
	return tlog.ProveRecord(size, int64(index), merkle.Hashes(rows{tx.bolt}))
}

// LogEntry is one event with its place in the log.
type LogEntry struct {
	Place  envelope.Place
	LogKey uint32
	Event  book.Event
	Record [proof.LeafBytes]byte
}

// LogEntry reads the event at index of the log.
func (tx *Tx) LogEntry(index uint64) (LogEntry, error) {
	read, err := merkle.Read(rows{tx.bolt}, int64(index), tx.ledger.origin, func(number uint32) (merkle.Box, error) {
		return tx.box(keyring.LogKeyPurpose(number))
	})
	if err != nil {
		return LogEntry{}, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	e := LogEntry{LogKey: read.Key, Record: read.Record}
	e.Place = envelope.Place{Index: index, Salt: read.Salt, Entry: fmt.Sprintf("%x", read.Record[len(read.Record)/2:])}
	if err := json.Unmarshal(read.Event, &e.Event); err != nil {
		return LogEntry{}, fmt.Errorf("read event %d: %w", index, err)
	}
	return e, nil
}

// Hint records where intake was in the channel's stream. It is a hint: sequences are no identity
// (specification 8).
type Hint struct {
	Sequence uint64 `json:"sequence"` // of the last bag taken, 0 for none
	Digest   string `json:"digest"`   // of that bag's message or note, as intake has it
}

// BagHint returns what SetBagHint kept last.
func (tx *Tx) BagHint() (Hint, error) {
	h, err := tx.hints()
	return h.Hint, err
}

// SetBagHint keeps where intake is, in the same transaction as the bag's effects.
func (tx *Tx) SetBagHint(h Hint) error {
	all, err := tx.hints()
	if err != nil {
		return err
	}
	all.mark(h, tx.Now().Time)
	all.Hint = h
	return tx.setHints(all)
}
