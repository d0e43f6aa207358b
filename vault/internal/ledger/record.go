package ledger

import (
	"encoding/json"
	"fmt"
	"slices"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
)

// recordVersion is the first byte of every sealed record, and part of its associated data.
const recordVersion = 1

// Buckets of records, and of indexes, whose values are empty.
const (
	bucketMeta    = "meta"
	bucketKeys    = "keys"
	bucketIDs     = "ids"
	bucketParts   = "parts"
	bucketResults = "results"
	bucketChains  = "chains"
	bucketStored  = "stored"
	bucketWraps   = "wraps"

	indexMerchant = "by-merchant" // merchant/number
	indexStage    = "by-stage"    // stage/number, merchant: working stages only
	indexBatch    = "by-batch"    // batch, stage/number, merchant
	indexOf       = "by-of"       // merchant/id of the payment that it is about/number
	indexPending  = "by-pending"  // index of the event, merchant/serial: results to be sealed
	indexUnsent   = "by-unsent"   // index of the event, merchant/serial: results to be published
)

var (
	// These two tables are read by other keys than their own too.
	bucketVault    = book.TheVault.Name
	bucketPayments = book.Payments.Name

	// ownBuckets hold records that are of no table.
	ownBuckets    = []string{bucketKeys, bucketIDs, bucketParts, bucketResults, bucketChains, bucketStored, bucketWraps}
	recordBuckets = append(tableBuckets(), ownBuckets...)
	indexBuckets  = []string{indexMerchant, indexStage, indexBatch, indexOf, indexPending, indexUnsent}
	// summedBuckets are those of which the head has a sum.
	summedBuckets = slices.Concat(recordBuckets, indexBuckets)
)

func buckets() [][]byte {
	all := [][]byte{[]byte(bucketMeta)}
	for _, name := range slices.Concat(logBuckets, summedBuckets) {
		all = append(all, []byte(name))
	}
	return all
}

// makeBuckets makes those that are not there.
func makeBuckets(b *bbolt.Tx) error {
	for _, name := range buckets() {
		if _, err := b.CreateBucketIfNotExists(name); err != nil {
			return err
		}
	}
	return nil
}

// Keys of single records.
var (
	keyFormat = []byte("format")
	keyHead   = []byte("head")
	keyHint   = []byte("hint")
)

const purposeVault = "vault"

func purposeMerchant(id string) string { return "merchant/" + id }
func location(bucket string, k []byte) []byte {
	ad := append([]byte("nightdrop/record/"), '0'+recordVersion, 0)
	ad = append(append(ad, bucket...), 0)
	return append(ad, k...)
}

func (tx *Tx) bucket(name string) *bbolt.Bucket {
	b := tx.bolt.Bucket([]byte(name))
	switch name {
	case bucketPayments, bucketParts, bucketResults, book.Entries.Name:
		// Keys grow, values are seldom longer later.
		b.FillPercent = 0.9
	}
	return b
}

// put seals plaintext into its place.
func (tx *Tx) put(bucket string, key []byte, box keyring.Box, plaintext []byte) error {
	if !tx.bolt.Writable() {
		return errReadOnly
	}
	return tx.store(bucket, key, append([]byte{recordVersion}, box.Seal(plaintext, location(bucket, key))...))
}

// get opens the record in its place.
func (tx *Tx) get(bucket string, key []byte, box keyring.Box) ([]byte, bool, error) {
	value, err := tx.read(bucket, key)
	if value == nil || err != nil {
		return nil, false, err
	}
	plaintext, err := unseal(bucket, key, box, value)
	return plaintext, err == nil, err
}

func unseal(bucket string, key []byte, box keyring.Box, value []byte) ([]byte, error) {
	if len(value) == 0 || value[0] != recordVersion {
		return nil, damaged("a record of %s has no version that this build reads", bucket)
	}
	plaintext, err := box.Open(value[1:], location(bucket, key))
	if err != nil {
		return nil, damaged("a record of %s does not open in its place", bucket)
	}
	return plaintext, nil
}

// store puts a stored value, nil to remove it, and keeps the bucket's sum.
func (tx *Tx) store(bucket string, key, value []byte) error {
	if !tx.bolt.Writable() {
		return errReadOnly
	}
	b := tx.bucket(bucket)
	old := b.Get(key)
	if tx.tagsOf(bucket) {
		if err := tx.agree(bucket, key, old); err != nil {
			return tx.fail(err)
		}
	}
	if old == nil && value == nil {
		return nil
	}
	tx.head.Sums.change(tx.ledger, bucket, key, old, value)
	tx.tagChange(bucket, key, old, value)
	tx.changed = true
	if value == nil {
		return tx.failIf(b.Delete(key))
	}
	return tx.failIf(b.Put(key, value))
}

func (tx *Tx) failIf(err error) error {
	if err != nil {
		return tx.fail(err)
	}
	return nil
}

// point adds an entry to an index or takes it out.
func (tx *Tx) point(index string, key []byte, there bool) error {
	if there {
		return tx.store(index, key, []byte{})
	}
	return tx.store(index, key, nil)
}

// head is what one commit fixes of the whole: sealed in meta, outside the sums that it holds.
type head struct {
	Size   int64         `json:"size"` // of the log
	Root   []byte        `json:"root"`
	Time   envelope.Time `json:"time"`   // of the last event
	Sums   sums          `json:"sums"`   // of what stands in each bucket, but for those of the log
	LogKey uint32        `json:"logKey"` // number of the newest
	LogDay string        `json:"logDay"` // when it was made, YYYY-MM-DD

	// what the second places had confirmed before this commit, by name
	Journal map[string]Journalled `json:"journal,omitempty"`
}

func (h head) root() (root tlog.Hash) {
	copy(root[:], h.Root)
	return root
}

func (tx *Tx) writeHead() error {
	root := tx.tail.Root()
	tx.head.Size, tx.head.Root = tx.tail.Size(), root[:]
	tx.head.Journal = tx.ledger.journal.all()
	text, err := json.Marshal(tx.head)
	if err != nil {
		return err
	}
	value := append([]byte{recordVersion}, tx.ledger.box.Seal(text, location(bucketMeta, keyHead))...)
	return tx.bucket(bucketMeta).Put(keyHead, value)
}

func (l *Ledger) readHead(b *bbolt.Tx) (h head, err error) {
	value := b.Bucket([]byte(bucketMeta)).Get(keyHead)
	text, err := unseal(bucketMeta, keyHead, l.box, value)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(text, &h); err != nil || h.Size < 1 || len(h.Root) != tlog.HashSize {
		return h, damaged("the head is malformed")
	}
	return h, h.Sums.checkKnown()
}

func (tx *Tx) readHead() (head, error) { return tx.ledger.readHead(tx.bolt) }

// newBox makes a key, which must not be there, and keeps it wrapped.
func (tx *Tx) newBox(purpose string) (keyring.Box, error) {
	wrapped, box, err := tx.ledger.keys.NewBox(purpose)
	if err != nil {
		return nil, tx.fail(fmt.Errorf("make the key of %s: %w", purpose, err))
	}
	tx.boxes[purpose] = box
	return box, tx.store(bucketKeys, []byte(purpose), wrapped)
}

// box opens a key; opened ones are kept.
func (tx *Tx) box(purpose string) (keyring.Box, error) {
	if box, ok := tx.boxes[purpose]; ok {
		return box, nil
	}
	if box, ok := tx.ledger.boxes.Load(purpose); ok {
		return box.(keyring.Box), nil
	}
	wrapped, err := tx.read(bucketKeys, []byte(purpose))
	if err != nil {
		return nil, err
	}
	if wrapped == nil {
		return nil, damaged("the key of %s is missing", purpose)
	}
	box, err := tx.ledger.keys.OpenBox(purpose, append([]byte(nil), wrapped...))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if !tx.bolt.Writable() {
		tx.ledger.boxes.Store(purpose, box)
	}
	tx.boxes[purpose] = box
	return box, nil
}

// NewMerchantKey makes the key of a merchant's records; one that is there stays.
func (tx *Tx) NewMerchantKey(merchant string) error {
	if !tx.bolt.Writable() {
		return errReadOnly
	}
	wrapped, err := tx.read(bucketKeys, []byte(purposeMerchant(merchant)))
	if wrapped != nil || err != nil {
		return err
	}
	_, err = tx.newBox(purposeMerchant(merchant))
	return err
}

// Fingerprint returns the hex HMAC-SHA-256 of a whole account number under the merchant's key: it
// names the account for this merchant only. The caller clears whole.
func (tx *Tx) Fingerprint(merchant string, whole []byte) (string, error) {
	box, err := tx.box(purposeMerchant(merchant))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", box.MAC(whole)), nil
}
