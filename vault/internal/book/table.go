package book

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
)

// Table declares one kind of record of the state: what names a record, where a [Store] keeps it,
// and under whose key. [Tables] is what stores, rebuilds, checks, saves and loads the state. In an
// existing ledger a new table begins empty: only a new kind of event, or a new member of one, may
// fill it. What older events fill needs a rebuild.
type Table[K comparable, V any] struct {
	// Name is the ledger's bucket. It is permanent: records are sealed into their place.
	Name string
	// Line names the one member of a record's line in a saved state; "": it is not saved.
	Line  string
	Key   func(V) K
	Bytes func(K) []byte // a key as it stands in the ledger, which keeps records in its order
	// Owner is the merchant whose key seals a record; nil where all are under the vault's own.
	Owner func(K) string

	number int // in Tables
}

// Kind is a [Table] of whatever types.
type Kind interface {
	// Bucket is the table's name in the ledger, Member in a saved state; "" where it is not saved.
	Bucket() string
	Member() string
	// Records calls fn for each record of s with a pointer to it; in memory in the order of places.
	Records(s *State, fn func(at Place, record any) error) error
	// Load decodes a record that was saved as JSON and puts it into s.
	Load(s *State, text []byte) error

	setNumber(n int)
}

// Place is where a [Store] keeps a record.
type Place struct {
	Bucket string
	Key    []byte
	Owner  string // merchant whose key seals it; "" for the vault's own
}

// Store keeps the records of a state outside memory. Records are given and taken as pointers.
type Store interface {
	// Load reads the record of a place into one, and reports whether there is any.
	Load(at Place, into any) (bool, error)
	Save(at Place, record any) error
	// Each calls fn with a decoder of each record of one of the vault's own buckets, in key order.
	Each(bucket string, fn func(decode func(into any) error) error) error
	// Keeps reports whether what was read or written is held in memory until [State.Flush], because
	// nobody else writes meanwhile. Otherwise Put saves at once.
	Keeps() bool
}

// Rows are the records of one table in one state, not safe for concurrent use.
type Rows[K comparable, V any] interface {
	Get(K) (V, bool, error)
	Put(K, V) error
	// Each calls fn for every record. fn may put records of other tables.
	Each(fn func(V) error) error
}

// State is what the fold reads and writes: the rows of every table. Getters report false where
// there is nothing; every error is the store's own and aborts the transaction. It is not safe for
// concurrent use.
type State struct {
	store Store // nil: in memory
	rows  []any // by number of the table: its *held; nil before the first use
	began bool  // the vault is known to be there
}

// NewMemory returns the state before the first event, in memory: for checks, replays and tests.
// About 1 KB a payment.
func NewMemory() *State { return NewState(nil) }

// NewState returns the state that a store keeps.
func NewState(s Store) *State { return &State{store: s, rows: make([]any, len(Tables))} }

// Flush saves what was put and is not saved yet, table by table in the order of keys.
func (s *State) Flush() error {
	for _, rows := range s.rows {
		if pending, ok := rows.(interface{ Flush() error }); ok {
			if err := pending.Flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

// held are the rows of a table in a state: of one type, which is asked for fast.
type held[K comparable, V any] struct{ Rows[K, V] }

// Flush saves what the rows have not saved yet, if they are such.
func (h *held[K, V]) Flush() error {
	if rows, ok := h.Rows.(interface{ Flush() error }); ok {
		return rows.Flush()
	}
	return nil
}

func numbered(tables ...Kind) []Kind {
	for i, t := range tables {
		t.setNumber(i)
	}
	return tables
}

func (t *Table[K, V]) setNumber(n int) { t.number = n }

// Bucket implements [Kind].
func (t *Table[K, V]) Bucket() string { return t.Name }

// Member implements [Kind].
func (t *Table[K, V]) Member() string { return t.Line }

// Get returns a record of s.
func (t *Table[K, V]) Get(s *State, key K) (V, bool, error) { return t.of(s).Get(key) }

// Put puts a record into s, over the one with its key. Only the fold, and tests, put records.
func (t *Table[K, V]) Put(s *State, v V) error { return t.of(s).Put(t.Key(v), v) }

// Each calls fn for every record of s: of a store's in key order, of those in memory in none.
func (t *Table[K, V]) Each(s *State, fn func(V) error) error { return t.of(s).Each(fn) }

// In returns the records of a state in memory, which the caller must not change.
func (t *Table[K, V]) In(s *State) map[K]V { return t.of(s).(inMemory[K, V]) }

// Keep has s keep the table's records in rows of the caller's.
func (t *Table[K, V]) Keep(s *State, rows Rows[K, V]) { s.rows[t.number] = &held[K, V]{rows} }

// At is where a store keeps the record with a key.
func (t *Table[K, V]) At(key K) Place {
	at := Place{Bucket: t.Name, Key: t.Bytes(key)}
	if t.Owner != nil {
		at.Owner = t.Owner(key)
	}
	return at
}

func (t *Table[K, V]) of(s *State) Rows[K, V] {
	if h, ok := s.rows[t.number].(*held[K, V]); ok {
		return h.Rows
	}
	return t.begin(s)
}

// begin gives s the rows that it has by itself.
func (t *Table[K, V]) begin(s *State) Rows[K, V] {
	var rows Rows[K, V] = inMemory[K, V]{}
	switch {
	case s.store == nil:
	case s.store.Keeps():
		rows = &stored[K, V]{t, s.store, map[K]*row[V]{}}
	default:
		rows = &stored[K, V]{t, s.store, nil}
	}
	t.Keep(s, rows)
	return rows
}

// Records implements [Kind].
func (t *Table[K, V]) Records(s *State, fn func(at Place, record any) error) error {
	rows := t.of(s)
	if m, ok := rows.(inMemory[K, V]); ok {
		rows = inOrder[K, V]{m, t.Bytes}
	}
	return rows.Each(func(v V) error { return fn(t.At(t.Key(v)), &v) })
}

var errNoRecord = errors.New("it holds no record")

// Load implements [Kind].
func (t *Table[K, V]) Load(s *State, text []byte) error {
	var v *V
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&v); err != nil {
		return err
	}
	if v == nil || decoder.More() {
		return errNoRecord
	}
	return t.Put(s, *v)
}

// inMemory are rows in a map.
type inMemory[K comparable, V any] map[K]V

func (m inMemory[K, V]) Get(key K) (V, bool, error) {
	v, ok := m[key]
	return v, ok, nil
}

func (m inMemory[K, V]) Put(key K, v V) error {
	m[key] = v
	return nil
}

func (m inMemory[K, V]) Each(fn func(V) error) error {
	for _, v := range m {
		if err := fn(v); err != nil {
			return err
		}
	}
	return nil
}

// inOrder are rows in a map that are walked in the order of their places.
type inOrder[K comparable, V any] struct {
	inMemory[K, V]
	bytes func(K) []byte
}

func (m inOrder[K, V]) Each(fn func(V) error) error {
	inOrder := func(a, b K) int { return bytes.Compare(m.bytes(a), m.bytes(b)) }
	for _, key := range slices.SortedFunc(maps.Keys(m.inMemory), inOrder) {
		if err := fn(m.inMemory[key]); err != nil {
			return err
		}
	}
	return nil
}

// stored are rows in a store. What was read or put is held until Flush if [Store.Keeps].
type stored[K comparable, V any] struct {
	table *Table[K, V]
	store Store
	rows  map[K]*row[V] // nil: nothing is held
}

// row is a record that was read or put in a transaction.
type row[V any] struct {
	value V
	found bool
	dirty bool
}

func (s *stored[K, V]) Get(key K) (V, bool, error) {
	if r, ok := s.rows[key]; ok {
		return r.value, r.found, nil
	}
	r := &row[V]{}
	var err error
	if r.found, err = s.store.Load(s.table.At(key), &r.value); err != nil {
		return *new(V), false, err
	}
	if s.rows != nil {
		s.rows[key] = r
	}
	return r.value, r.found, nil
}

func (s *stored[K, V]) Put(key K, v V) error {
	if s.rows == nil {
		return s.store.Save(s.table.At(key), &v)
	}
	s.rows[key] = &row[V]{value: v, found: true, dirty: true}
	return nil
}

// Each saves what is held first: the store's records are then the state's.
func (s *stored[K, V]) Each(fn func(V) error) error {
	if err := s.Flush(); err != nil {
		return err
	}
	return s.store.Each(s.table.Name, func(decode func(any) error) error {
		var v V
		if err := decode(&v); err != nil {
			return err
		}
		return fn(v)
	})
}

// Flush saves what is dirty, in the order of keys.
func (s *stored[K, V]) Flush() error {
	type dirty struct {
		Place
		row *row[V]
	}
	var all []dirty
	for key, r := range s.rows {
		if r.dirty {
			all = append(all, dirty{s.table.At(key), r})
		}
	}
	slices.SortFunc(all, func(a, b dirty) int { return bytes.Compare(a.Key, b.Key) })
	for _, d := range all {
		if err := s.store.Save(d.Place, &d.row.value); err != nil {
			return err
		}
		d.row.dirty = false
	}
	return nil
}

// Key names what is a merchant's: a payment by its id, a token, a block by its fingerprint.
type Key struct{ Merchant, ID string }

// String is MERCHANT/ID, as commands take a payment.
func (k Key) String() string { return k.Merchant + "/" + k.ID }

// Bytes is the key in the ledger.
func (k Key) Bytes() []byte { return []byte(k.String()) }

func (k Key) owner() string { return k.Merchant }

// named is a key of one name in the ledger.
func named(name string) []byte { return []byte(name) }

// Ordered is a number as a key: records stand in the order of numbers.
func Ordered(number uint64) []byte { return binary.BigEndian.AppendUint64(nil, number) }
