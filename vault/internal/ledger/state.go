package ledger

import (
	"encoding/json"
	"slices"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
)

// records is a transaction as the [book.Store] of its state: each table is a bucket, each record a
// sealed one there.
type records struct{ *Tx }

// newState is the state as the transaction has it, with its own changes.
func (tx *Tx) newState() *book.State {
	s := book.NewState(records{tx})
	tx.payments = &paymentRows{tx: tx}
	if tx.bolt.Writable() {
		tx.payments.rows = map[book.Key]*paymentRow{}
	}
	book.Payments.Keep(s, tx.payments)
	return s
}

func tableBuckets() (names []string) {
	for _, t := range book.Tables {
		names = append(names, t.Bucket())
	}
	return names
}

// boxOf opens the box of a merchant's records, or of the vault's own where there is no merchant.
func (tx *Tx) boxOf(merchant string) (keyring.Box, error) {
	if merchant == "" {
		return tx.ledger.box, nil
	}
	return tx.box(purposeMerchant(merchant))
}

// Keeps implements [book.Store]: a writing transaction reads and writes each record once.
func (r records) Keeps() bool { return r.bolt.Writable() }

// Load implements [book.Store].
func (r records) Load(at book.Place, into any) (bool, error) {
	value, err := r.read(at.Bucket, at.Key)
	if value == nil || err != nil { // a merchant who is not there has no box
		return false, err
	}
	box, err := r.boxOf(at.Owner)
	if err != nil {
		return false, err
	}
	return true, decodeRecord(at.Bucket, at.Key, box, value, into)
}

func decodeRecord(bucket string, key []byte, box keyring.Box, value []byte, into any) error {
	text, err := unseal(bucket, key, box, value)
	if err != nil {
		return err
	}
	if json.Unmarshal(text, into) != nil {
		return damaged("a record of %s is not JSON", bucket)
	}
	return nil
}

// Save implements [book.Store].
func (r records) Save(at book.Place, record any) error {
	if !r.bolt.Writable() {
		return errReadOnly
	}
	box, err := r.boxOf(at.Owner)
	if err != nil {
		return r.fail(err)
	}
	text, err := json.Marshal(record)
	if err != nil {
		return r.fail(err)
	}
	return r.put(at.Bucket, at.Key, box, text)
}

// Each implements [book.Store].
func (r records) Each(bucket string, fn func(decode func(into any) error) error) error {
	if err := r.writeBack(); err != nil {
		return err
	}
	met, writes := 0, r.writes
	cursor := r.bucket(bucket).Cursor()
	for k, value := cursor.First(); k != nil; met++ {
		if err := r.agree(bucket, k, value); err != nil {
			return err
		}
		last := slices.Clone(k)
		err := fn(func(into any) error { return decodeRecord(bucket, last, r.ledger.box, value, into) })
		if err != nil {
			return err
		}
		// fn may have written: find the place again.
		k, value = next(cursor, last, r.bolt)
	}
	return r.walked(bucket, nil, met, writes)
}

// writeBack writes what the fold changed and has not written yet.
func (tx *Tx) writeBack() error { return tx.Flush() }
