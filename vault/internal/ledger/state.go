package ledger

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"

	"nightdrop/vault/internal/payment"
)

// row is one record that the fold read or wrote in a transaction.
type row[V any] struct {
	value V
	found bool
	dirty bool
}

type runKey struct{ relay, run string }

type bagKey struct {
	relay, run string
	number     uint64
}

func (k runKey) bytes() []byte { return []byte(k.relay + "/" + k.run) }
func (k bagKey) bytes() []byte {
	return append([]byte(k.relay+"/"+k.run+"/"), orderedKey(k.number)...)
}
func batchKey(number uint32) []byte { return binary.BigEndian.AppendUint32(nil, number) }

// load reads a record of the vault's own; a writing transaction reads each once.
func load[K comparable, V any](tx *Tx, rows map[K]*row[V], k K, bucket string, key []byte) (*row[V], error) {
	if r, ok := rows[k]; ok {
		return r, nil
	}
	r := &row[V]{}
	text, found, err := tx.get(bucket, key, tx.ledger.box)
	if err != nil {
		return nil, err
	}
	if found {
		if err := json.Unmarshal(text, &r.value); err != nil {
			return nil, damaged("a record of %s is no JSON", bucket)
		}
		r.found = true
	}
	if rows != nil {
		rows[k] = r
	}
	return r, nil
}

// keep makes value the record that writeBack writes.
func keep[K comparable, V any](tx *Tx, rows map[K]*row[V], k K, value V) error {
	if rows == nil {
		return errReadOnly
	}
	rows[k] = &row[V]{value: value, found: true, dirty: true}
	tx.changed = true
	return nil
}

// writeRows writes what is dirty, in the order of keys.
func writeRows[K comparable, V any](tx *Tx, rows map[K]*row[V], bucket string, key func(K) []byte) error {
	dirty := make([]K, 0, len(rows))
	for k, r := range rows {
		if r.dirty {
			dirty = append(dirty, k)
		}
	}
	slices.SortFunc(dirty, func(a, b K) int { return slices.Compare(key(a), key(b)) })
	for _, k := range dirty {
		text, err := json.Marshal(rows[k].value)
		if err != nil {
			return tx.spoil(err)
		}
		if err := tx.put(bucket, key(k), tx.ledger.box, text); err != nil {
			return err
		}
		rows[k].dirty = false
	}
	return nil
}

// writeBack writes what the fold changed and has not written yet.
func (tx *Tx) writeBack() error {
	if err := writeRows(tx, tx.vault, bucketVault, func(struct{}) []byte { return keyState }); err != nil {
		return err
	}
	if err := writeRows(tx, tx.merchants, bucketMerchants, func(id string) []byte { return []byte(id) }); err != nil {
		return err
	}
	if err := writeRows(tx, tx.batches, bucketBatches, batchKey); err != nil {
		return err
	}
	if err := writeRows(tx, tx.runs, bucketRuns, runKey.bytes); err != nil {
		return err
	}
	if err := writeRows(tx, tx.bags, bucketBags, bagKey.bytes); err != nil {
		return err
	}
	keys := slices.SortedFunc(maps.Keys(tx.payments), func(a, b paymentKey) int {
		return cmp.Compare(tx.payments[a].value.Number, tx.payments[b].value.Number)
	})
	for _, k := range keys {
		if r := tx.payments[k]; r.dirty {
			if err := tx.writePayment(r); err != nil {
				return tx.spoil(err)
			}
		}
	}
	return nil
}

// Vault implements payment.State.
func (tx *Tx) Vault() (payment.Vault, error) {
	r, err := load(tx, tx.vault, struct{}{}, bucketVault, keyState)
	if err != nil {
		return payment.Vault{}, err
	}
	return r.value, nil
}

// PutVault implements payment.State; only the fold calls it, as all Put methods.
func (tx *Tx) PutVault(v payment.Vault) error { return keep(tx, tx.vault, struct{}{}, v) }

// Merchant implements payment.State.
func (tx *Tx) Merchant(id string) (payment.Merchant, bool, error) {
	r, err := load(tx, tx.merchants, id, bucketMerchants, []byte(id))
	if err != nil {
		return payment.Merchant{}, false, err
	}
	return r.value, r.found, nil
}

// PutMerchant implements payment.State.
func (tx *Tx) PutMerchant(m payment.Merchant) error { return keep(tx, tx.merchants, m.ID, m) }

// Batch implements payment.State.
func (tx *Tx) Batch(number uint32) (payment.Batch, bool, error) {
	r, err := load(tx, tx.batches, number, bucketBatches, batchKey(number))
	if err != nil {
		return payment.Batch{}, false, err
	}
	return r.value, r.found, nil
}

// PutBatch implements payment.State.
func (tx *Tx) PutBatch(b payment.Batch) error { return keep(tx, tx.batches, b.Number, b) }

// Run implements payment.State.
func (tx *Tx) Run(relay, run string) (payment.Run, bool, error) {
	k := runKey{relay, run}
	r, err := load(tx, tx.runs, k, bucketRuns, k.bytes())
	if err != nil {
		return payment.Run{}, false, err
	}
	return r.value, r.found, nil
}

// PutRun implements payment.State.
func (tx *Tx) PutRun(r payment.Run) error { return keep(tx, tx.runs, runKey{r.Relay, r.ID}, r) }

// Bag implements payment.State.
func (tx *Tx) Bag(relay, run string, number uint64) (payment.Bag, bool, error) {
	k := bagKey{relay, run, number}
	r, err := load(tx, tx.bags, k, bucketBags, k.bytes())
	if err != nil {
		return payment.Bag{}, false, err
	}
	return r.value, r.found, nil
}

// PutBag implements payment.State.
func (tx *Tx) PutBag(b payment.Bag) error {
	return keep(tx, tx.bags, bagKey{b.Relay, b.Run, b.Number}, b)
}
