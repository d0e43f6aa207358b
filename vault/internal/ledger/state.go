package ledger

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"maps"
	"slices"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
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

func homeOfVault(struct{}) home      { return home{bucket: bucketVault, key: keyState} }
func homeOfMerchant(id string) home  { return home{bucket: bucketMerchants, key: []byte(id)} }
func homeOfBatch(number uint32) home { return home{bucket: bucketBatches, key: batchKey(number)} }
func homeOfRun(k runKey) home        { return home{bucket: bucketRuns, key: k.bytes()} }
func homeOfBag(k bagKey) home        { return home{bucket: bucketBags, key: k.bytes()} }
func homeOfToken(k ownedKey) home    { return home{bucketTokens, k.bytes(), k.merchant} }
func homeOfBlock(k ownedKey) home    { return home{bucketBlocks, k.bytes(), k.merchant} }
func homeOfFile(name string) home    { return home{bucket: bucketFiles, key: []byte(name)} }
func homeOfEntry(trace string) home  { return home{bucket: bucketEntries, key: []byte(trace)} }

// boxOf opens the box of a merchant's records, or of the vault's own where there is no merchant.
func (tx *Tx) boxOf(merchant string) (keyring.Box, error) {
	if merchant == "" {
		return tx.ledger.box, nil
	}
	return tx.box(purposeMerchant(merchant))
}

// home says where the record of a row stands, and whose it is.
type home struct {
	bucket   string
	key      []byte
	merchant string // whose key seals it; "" for the vault's
}

// load reads a record; a writing transaction reads each once.
func load[K comparable, V any](tx *Tx, rows map[K]*row[V], k K, at home) (*row[V], error) {
	if r, ok := rows[k]; ok {
		return r, nil
	}
	r := &row[V]{}
	value, err := tx.read(at.bucket, at.key)
	if err != nil {
		return nil, err
	}
	if value != nil { // a merchant who is not there has no box
		box, err := tx.boxOf(at.merchant)
		if err != nil {
			return nil, err
		}
		text, _, err := tx.get(at.bucket, at.key, box)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(text, &r.value); err != nil {
			return nil, damaged("a record of %s is no JSON", at.bucket)
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
func writeRows[K comparable, V any](tx *Tx, rows map[K]*row[V], where func(K) home) error {
	dirty := make([]K, 0, len(rows))
	for k, r := range rows {
		if r.dirty {
			dirty = append(dirty, k)
		}
	}
	slices.SortFunc(dirty, func(a, b K) int { return slices.Compare(where(a).key, where(b).key) })
	for _, k := range dirty {
		at := where(k)
		box, err := tx.boxOf(at.merchant)
		if err != nil {
			return tx.spoil(err)
		}
		text, err := json.Marshal(rows[k].value)
		if err != nil {
			return tx.spoil(err)
		}
		if err := tx.put(at.bucket, at.key, box, text); err != nil {
			return err
		}
		rows[k].dirty = false
	}
	return nil
}

// writeBack writes what the fold changed and has not written yet.
func (tx *Tx) writeBack() error {
	for _, write := range [...]func() error{
		func() error { return writeRows(tx, tx.vault, homeOfVault) },
		func() error { return writeRows(tx, tx.merchants, homeOfMerchant) },
		func() error { return writeRows(tx, tx.batches, homeOfBatch) },
		func() error { return writeRows(tx, tx.runs, homeOfRun) },
		func() error { return writeRows(tx, tx.bags, homeOfBag) },
		func() error { return writeRows(tx, tx.tokens, homeOfToken) },
		func() error { return writeRows(tx, tx.blocks, homeOfBlock) },
		func() error { return writeRows(tx, tx.files, homeOfFile) },
		func() error { return writeRows(tx, tx.entries, homeOfEntry) },
		func() error { return writeRows(tx, tx.auditors, homeOfAuditor) },
		func() error { return writeRows(tx, tx.findings, homeOfFinding) },
		tx.writePayments,
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

// writePayments writes what is dirty, in the order of arrival.
func (tx *Tx) writePayments() error {
	keys := slices.SortedFunc(maps.Keys(tx.payments), func(a, b ownedKey) int {
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

// Vault implements book.State.
func (tx *Tx) Vault() (book.Vault, error) {
	r, err := load(tx, tx.vault, struct{}{}, homeOfVault(struct{}{}))
	if err != nil {
		return book.Vault{}, err
	}
	return r.value, nil
}

// PutVault implements book.State; only the fold calls it, as all Put methods.
func (tx *Tx) PutVault(v book.Vault) error { return keep(tx, tx.vault, struct{}{}, v) }

// Merchant implements book.State.
func (tx *Tx) Merchant(id string) (book.Merchant, bool, error) {
	r, err := load(tx, tx.merchants, id, homeOfMerchant(id))
	if err != nil {
		return book.Merchant{}, false, err
	}
	return r.value, r.found, nil
}

// PutMerchant implements book.State.
func (tx *Tx) PutMerchant(m book.Merchant) error { return keep(tx, tx.merchants, m.ID, m) }

// Batch implements book.State.
func (tx *Tx) Batch(number uint32) (book.Batch, bool, error) {
	r, err := load(tx, tx.batches, number, homeOfBatch(number))
	if err != nil {
		return book.Batch{}, false, err
	}
	return r.value, r.found, nil
}

// PutBatch implements book.State.
func (tx *Tx) PutBatch(b book.Batch) error { return keep(tx, tx.batches, b.Number, b) }

// Run implements book.State.
func (tx *Tx) Run(relay, run string) (book.Run, bool, error) {
	k := runKey{relay, run}
	r, err := load(tx, tx.runs, k, homeOfRun(k))
	if err != nil {
		return book.Run{}, false, err
	}
	return r.value, r.found, nil
}

// PutRun implements book.State.
func (tx *Tx) PutRun(r book.Run) error { return keep(tx, tx.runs, runKey{r.Relay, r.ID}, r) }

// Bag implements book.State.
func (tx *Tx) Bag(relay, run string, number uint64) (book.Bag, bool, error) {
	k := bagKey{relay, run, number}
	r, err := load(tx, tx.bags, k, homeOfBag(k))
	if err != nil {
		return book.Bag{}, false, err
	}
	return r.value, r.found, nil
}

// PutBag implements book.State.
func (tx *Tx) PutBag(b book.Bag) error {
	return keep(tx, tx.bags, bagKey{b.Relay, b.Run, b.Number}, b)
}

// Token implements book.State.
func (tx *Tx) Token(merchant, token string) (book.Token, bool, error) {
	k := ownedKey{merchant, token}
	r, err := load(tx, tx.tokens, k, homeOfToken(k))
	if err != nil {
		return book.Token{}, false, err
	}
	return r.value, r.found, nil
}

// PutToken implements book.State.
func (tx *Tx) PutToken(t book.Token) error {
	return keep(tx, tx.tokens, ownedKey{t.Merchant, t.Token}, t)
}

// Block implements book.State.
func (tx *Tx) Block(merchant, fingerprint string) (book.Block, bool, error) {
	k := ownedKey{merchant, fingerprint}
	r, err := load(tx, tx.blocks, k, homeOfBlock(k))
	if err != nil {
		return book.Block{}, false, err
	}
	return r.value, r.found, nil
}

// PutBlock implements book.State.
func (tx *Tx) PutBlock(b book.Block) error {
	return keep(tx, tx.blocks, ownedKey{b.Merchant, b.Fingerprint}, b)
}

// File implements book.State.
func (tx *Tx) File(name string) (book.File, bool, error) {
	r, err := load(tx, tx.files, name, homeOfFile(name))
	if err != nil {
		return book.File{}, false, err
	}
	return r.value, r.found, nil
}

// PutFile implements book.State.
func (tx *Tx) PutFile(f book.File) error { return keep(tx, tx.files, f.Name, f) }

// Entry implements book.State.
func (tx *Tx) Entry(trace string) (book.Entry, bool, error) {
	r, err := load(tx, tx.entries, trace, homeOfEntry(trace))
	if err != nil {
		return book.Entry{}, false, err
	}
	return r.value, r.found, nil
}

// PutEntry implements book.State.
func (tx *Tx) PutEntry(e book.Entry) error { return keep(tx, tx.entries, e.Trace, e) }
