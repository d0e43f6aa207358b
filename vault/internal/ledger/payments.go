package ledger

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
)

// paymentRow is a payment in a writing transaction. was is what its record and the indexes say.
type paymentRow struct {
	value  book.Payment
	found  bool
	dirty  bool
	stored bool
	was    book.Payment
}

// recordKey is where a payment stands: in the order of arrival, so that new ones fill whole pages.
func recordKey(number uint64, merchant string) []byte {
	return append(book.Ordered(number), merchant...)
}

// paymentRows are the payments in a transaction.
type paymentRows struct {
	tx   *Tx
	rows map[book.Key]*paymentRow // nil in a snapshot
}

// Get implements [book.Rows].
func (s *paymentRows) Get(k book.Key) (book.Payment, bool, error) {
	if r, ok := s.rows[k]; ok {
		return r.value, r.found, nil
	}
	p, found, err := s.tx.readPayment(k)
	if err != nil {
		return book.Payment{}, false, err
	}
	if s.rows != nil {
		s.rows[k] = &paymentRow{value: p, found: found, stored: found, was: p}
	}
	return p, found, nil
}

// Each implements [book.Rows]: in the order of arrival.
func (s *paymentRows) Each(fn func(book.Payment) error) error { return s.tx.Payments(Query{}, fn) }

func (tx *Tx) readPayment(k book.Key) (p book.Payment, found bool, err error) {
	value, err := tx.read(bucketIDs, k.Bytes())
	if value == nil || err != nil { // a merchant who is not there has no box
		return p, false, err
	}
	box, err := tx.box(purposeMerchant(k.Merchant))
	if err != nil {
		return p, false, err
	}
	number, err := unseal(bucketIDs, k.Bytes(), box, value)
	if err != nil {
		return p, false, err
	}
	if len(number) != 8 {
		return p, false, damaged("an id has no number of a payment")
	}
	p, err = tx.paymentAt(binary.BigEndian.Uint64(number), k.Merchant, box)
	if err == nil && p.ID != k.ID {
		err = damaged("an id has the number of another payment")
	}
	return p, err == nil, err
}

func (tx *Tx) paymentAt(number uint64, merchant string, box keyring.Box) (p book.Payment, err error) {
	text, found, err := tx.get(bucketPayments, recordKey(number, merchant), box)
	if err != nil {
		return p, err
	}
	if !found {
		return p, damaged("payment %d is missing", number)
	}
	if json.Unmarshal(text, &p) != nil || p.Number != number || p.Merchant != merchant {
		return p, damaged("the record of payment %d is malformed", number)
	}
	return p, nil
}

// Put implements [book.Rows].
func (s *paymentRows) Put(k book.Key, p book.Payment) error {
	r, ok := s.rows[k]
	if !ok {
		// The fold reads before it writes; this is for a caller that does not.
		if _, _, err := s.Get(k); err != nil {
			return err
		}
		if r, ok = s.rows[k]; !ok {
			return errReadOnly
		}
	}
	r.value, r.found, r.dirty = p, true, true
	return nil
}

// Flush writes what is dirty, in the order of arrival.
func (s *paymentRows) Flush() error {
	byNumber := func(a, b *paymentRow) int { return cmp.Compare(a.value.Number, b.value.Number) }
	for _, r := range slices.SortedFunc(maps.Values(s.rows), byNumber) {
		if r.dirty {
			if err := s.tx.writePayment(r); err != nil {
				return s.tx.fail(err)
			}
		}
	}
	return nil
}

func (tx *Tx) writePayment(r *paymentRow) error {
	p := r.value
	box, err := tx.box(purposeMerchant(p.Merchant))
	if err != nil {
		return err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if !r.stored {
		if err := tx.put(bucketIDs, book.Payments.Bytes(book.Payments.Key(p)), box, book.Ordered(p.Number)); err != nil {
			return err
		}
	}
	if err := tx.put(bucketPayments, recordKey(p.Number, p.Merchant), box, text); err != nil {
		return err
	}
	var before []indexEntry
	if r.stored {
		before = indexed(r.was)
	}
	after := indexed(p)
	for _, e := range before {
		if !slices.ContainsFunc(after, e.equal) {
			if err := tx.point(e.index, e.key, false); err != nil {
				return err
			}
		}
	}
	for _, e := range after {
		if !slices.ContainsFunc(before, e.equal) {
			if err := tx.point(e.index, e.key, true); err != nil {
				return err
			}
		}
	}
	tx.holdTraces(r.was, p)
	r.stored, r.dirty, r.was = true, false, p
	return nil
}

type indexEntry struct {
	index string
	key   []byte
}

func (e indexEntry) equal(o indexEntry) bool {
	return e.index == o.index && bytes.Equal(e.key, o.key)
}

// indexed lists the index entries that a payment has.
func indexed(p book.Payment) []indexEntry {
	record := recordKey(p.Number, p.Merchant)
	entries := []indexEntry{{indexMerchant, append(merchantPrefix(p.Merchant), book.Ordered(p.Number)...)}}
	if slices.Contains(book.Working[:], p.Stage) {
		entries = append(entries, indexEntry{indexStage, append(stagePrefix(p.Stage), record...)})
	}
	if p.Batch != 0 {
		entries = append(entries, indexEntry{indexBatch, append(batchPrefix(p.Batch, p.Stage), record...)})
	}
	if p.Of != "" {
		entries = append(entries, indexEntry{indexOf, append(ofPrefix(p.Merchant, p.Of), book.Ordered(p.Number)...)})
	}
	return entries
}

func merchantPrefix(merchant string) []byte { return []byte(merchant + "/") }
func stagePrefix(stage book.Stage) []byte   { return []byte(stage + "/") }
func batchPrefix(batch uint32, stage book.Stage) []byte {
	return append(book.Batches.Bytes(batch), stagePrefix(stage)...)
}

func ofPrefix(merchant, id string) []byte { return []byte(merchant + "/" + id + "/") }

// Query selects payments; zero members select all.
type Query struct {
	Merchant string
	Stage    book.Stage
	Batch    uint32
	After    uint64 // payments with a higher Number only
	Limit    int    // at most so many; 0 for all
	// Skip says of which numbers the payment is left out without being read; nil: none.
	Skip func(number uint64) bool
}

func (q Query) matches(p book.Payment) bool {
	return (q.Merchant == "" || p.Merchant == q.Merchant) && (q.Stage == "" || p.Stage == q.Stage) &&
		(q.Batch == 0 || p.Batch == q.Batch) && p.Number > q.After
}

// scan is the part of an index, or of the payments, that holds what a query selects, by number.
type scan struct {
	bucket string
	prefix []byte
	record func(rest []byte) []byte // key of the payment from what follows the prefix
}

func (q Query) scans() []scan {
	whole := func(rest []byte) []byte { return rest }
	switch {
	case q.Batch != 0 && q.Stage != "":
		return []scan{{indexBatch, batchPrefix(q.Batch, q.Stage), whole}}
	case q.Batch != 0:
		var all []scan
		for _, stage := range book.Stages {
			all = append(all, scan{indexBatch, batchPrefix(q.Batch, stage), whole})
		}
		return all
	case slices.Contains(book.Working[:], q.Stage):
		return []scan{{indexStage, stagePrefix(q.Stage), whole}}
	case q.Merchant != "":
		return []scan{{indexMerchant, merchantPrefix(q.Merchant), numbersOf(q.Merchant)}}
	}
	return []scan{{bucketPayments, nil, whole}}
}

// numbersOf makes record keys of an index that holds the numbers of one merchant's payments.
func numbersOf(merchant string) func(rest []byte) []byte {
	return func(rest []byte) []byte { return append(append([]byte(nil), rest...), merchant...) }
}

// errLimit ends a query that has found enough.
var errLimit = errors.New("enough")

// Payments calls fn for what q selects, in the order of arrival (of a batch without a stage: stage
// by stage), in constant memory. fn may change the state; a payment that no longer matches by its
// turn is left out.
func (tx *Tx) Payments(q Query, fn func(book.Payment) error) error {
	if err := tx.writeBack(); err != nil {
		return err
	}
	left := q.Limit
	for _, s := range q.scans() {
		err := tx.scan(s, q, func(p book.Payment) error {
			if err := fn(p); err != nil {
				return err
			}
			if left--; left == 0 {
				return errLimit
			}
			return nil
		})
		if errors.Is(err, errLimit) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Operations calls fn for the captures, refunds and voids of a payment, also rejected ones, in the
// order of arrival. fn may change the state.
func (tx *Tx) Operations(merchant, id string, fn func(book.Payment) error) error {
	if err := tx.writeBack(); err != nil {
		return err
	}
	return tx.scan(scan{indexOf, ofPrefix(merchant, id), numbersOf(merchant)}, Query{}, fn)
}

// scanChunk is how many keys are read ahead: fn may write, which a cursor does not survive.
const scanChunk = 256

func (tx *Tx) scan(s scan, q Query, fn func(book.Payment) error) error {
	after, met, writes := q.After, 0, tx.writes
	for {
		records, err := tx.scanKeys(s, after)
		if err != nil {
			return err
		}
		met += len(records)
		for _, record := range records {
			if len(record) < 8 {
				return damaged("index %s has a malformed key", s.bucket)
			}
			number := binary.BigEndian.Uint64(record)
			if s.bucket == bucketPayments && number != after+1 { // they have every number from 1 on
				return damaged("a payment is gone from the file, or stands in another's place")
			}
			after = number
			if q.Skip != nil && q.Skip(after) {
				continue
			}
			p, err := tx.paymentOf(record)
			if err != nil {
				return err
			}
			if !q.matches(p) {
				continue
			}
			if err := fn(p); err != nil {
				return err
			}
		}
		if len(records) == scanChunk {
			continue
		}
		return tx.scanned(s, q.After, met, writes)
	}
}

// scanned compares how many keys a scan from after on met, to the end, with how many there are.
func (tx *Tx) scanned(s scan, after uint64, met, writes int) error {
	switch {
	case after == 0:
	case s.bucket == bucketPayments && met == 0:
		return nil // after may be beyond the last
	case s.bucket == bucketPayments:
		met += int(after)
	default:
		met = 0
		cursor := tx.bucket(s.bucket).Cursor()
		for k, _ := cursor.Seek(s.prefix); k != nil && bytes.HasPrefix(k, s.prefix); k, _ = cursor.Next() {
			met++
		}
	}
	return tx.walked(s.bucket, s.prefix, met, writes)
}

// scanKeys returns the next keys of payments with numbers above after, copies.
func (tx *Tx) scanKeys(s scan, after uint64) (records [][]byte, err error) {
	if after == 1<<64-1 {
		return nil, nil
	}
	cursor := tx.bucket(s.bucket).Cursor()
	from := append(append([]byte(nil), s.prefix...), book.Ordered(after+1)...)
	for k, value := cursor.Seek(from); k != nil && bytes.HasPrefix(k, s.prefix) && len(records) < scanChunk; k, value = cursor.Next() {
		if err := tx.agree(s.bucket, k, value); err != nil {
			return nil, err
		}
		records = append(records, s.record(append([]byte(nil), k[len(s.prefix):]...)))
	}
	return records, nil
}

// paymentOf reads the payment of a record key, as the transaction has it now.
func (tx *Tx) paymentOf(record []byte) (book.Payment, error) {
	number, merchant := binary.BigEndian.Uint64(record), string(record[8:])
	box, err := tx.box(purposeMerchant(merchant))
	if err != nil {
		return book.Payment{}, err
	}
	p, err := tx.paymentAt(number, merchant, box)
	if err != nil {
		return p, err
	}
	if r, ok := tx.payments.rows[book.Key{Merchant: merchant, ID: p.ID}]; ok {
		return r.value, nil
	}
	return p, nil
}

func next(cursor *bbolt.Cursor, last []byte, b *bbolt.Tx) (k, value []byte) {
	if !b.Writable() {
		return cursor.Next()
	}
	if k, value = cursor.Seek(last); bytes.Equal(k, last) {
		return cursor.Next()
	}
	return k, value
}

// Merchants calls fn for every merchant, in the order of names.
func (tx *Tx) Merchants(fn func(book.Merchant) error) error { return book.Merchants.Each(tx.State, fn) }

// Batches calls fn for every batch, oldest first.
func (tx *Tx) Batches(fn func(book.Batch) error) error { return book.Batches.Each(tx.State, fn) }

// Runs calls fn for every run of a relay of which a bag came at since or later, by relay and run.
func (tx *Tx) Runs(since time.Time, fn func(book.Run) error) error {
	return book.Runs.Each(tx.State, func(r book.Run) error {
		if r.Latest.Before(since) {
			return nil
		}
		return fn(r)
	})
}

func (tx *Tx) partKey(merchant, id string, part envelope.PartName) ([]byte, keyring.Box, bool, error) {
	p, found, err := tx.Payment(merchant, id)
	if err != nil || !found {
		return nil, nil, false, err
	}
	box, err := tx.box(purposeMerchant(merchant))
	return append(recordKey(p.Number, merchant+"/"), part...), box, err == nil, err
}

// ErrNoPayment is returned when a part is to be put for a payment that is not there.
var ErrNoPayment = errors.New("no such payment: append envelope-received before its parts")

// PutPart keeps an account or code part as it came, sealed to the vault, and sealed again under the
// merchant's key.
func (tx *Tx) PutPart(merchant, id string, part envelope.PartName, p envelope.Part) error {
	key, box, found, err := tx.partKey(merchant, id, part)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoPayment
	}
	value := append([]byte{byte(len(p.Key))}, p.Key...)
	return tx.put(bucketParts, key, box, append(value, p.Sealed...))
}

// Part returns a part that was put and not deleted.
func (tx *Tx) Part(merchant, id string, part envelope.PartName) (p envelope.Part, found bool, err error) {
	key, box, found, err := tx.partKey(merchant, id, part)
	if err != nil || !found {
		return p, false, err
	}
	value, found, err := tx.get(bucketParts, key, box)
	if err != nil || !found {
		return p, false, err
	}
	return decodePart(value)
}

func decodePart(value []byte) (p envelope.Part, ok bool, err error) {
	if len(value) == 0 || len(value) < 1+int(value[0]) {
		return p, false, damaged("a part is cut")
	}
	end := 1 + int(value[0])
	return envelope.Part{Key: envelope.KeyName(value[1:end]), Sealed: value[end:]}, true, nil
}

// DeletePart deletes a part; one that is not there is no error. Free pages may hold the ciphertext
// until they are used again; its key dies on time.
func (tx *Tx) DeletePart(merchant, id string, part envelope.PartName) error {
	key, _, found, err := tx.partKey(merchant, id, part)
	if err != nil || !found {
		return err
	}
	return tx.store(bucketParts, key, nil)
}
