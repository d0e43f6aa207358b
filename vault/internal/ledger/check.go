package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/bbolt"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger/pages"
	"nightdrop/vault/internal/merkle"
)

// Check proves every invariant on a snapshot: the file's structure; every record's place and form;
// the sum of each bucket; the log's tree, hashed again; the state and the results, folded again
// from the log; the indexes; each merchant's chain of results. It fails with [ErrDamaged] at the
// first that does not hold. It takes about 1 KB of memory a payment, and commits go on meanwhile.
// progress, which may be nil, is called with the entries of the log folded so far, of how many.
func (l *Ledger) Check(ctx context.Context, progress func(done, total int64)) error {
	// Only the tree of pages, in milliseconds; the leaves are checked on the snapshot.
	if err := l.submit(&request{ctx: ctx, rest: func() error { return pages.CheckBranches(l.path) }, done: make(chan error, 1)}); err != nil {
		return fmt.Errorf("check the ledger: %w", err)
	}
	err := l.View(func(tx *Tx) error {
		c := checker{Tx: tx, ctx: ctx, folded: book.NewMemory(), counts: map[string]int{}, progress: progress}
		return c.run()
	})
	if errors.Is(err, merkle.ErrIntegrity) && !errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if err != nil {
		return fmt.Errorf("check the ledger: %w", err)
	}
	return nil
}

type checker struct {
	*Tx
	ctx    context.Context
	head   head
	folded *book.State    // by the log
	issued int            // results, by the log
	counts map[string]int // of index entries, by the records
	keys   logKeys

	progress func(done, total int64)
}

// checkStep is after how many entries progress is called.
const checkStep = 1024

func (c *checker) run() error {
	var err error
	if c.head, err = c.readHead(); err != nil {
		return err
	}
	for _, step := range []func() error{c.checkBuckets, c.checkSums, c.checkLog, c.checkRecords, c.checkOutbox, c.checkIndexes} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) checkBuckets() error {
	known := map[string]bool{}
	for _, name := range buckets() {
		known[string(name)] = true
		if c.bolt.Bucket(name) == nil {
			return damaged("bucket %s is missing", name)
		}
	}
	err := c.bolt.ForEach(func(name []byte, _ *bbolt.Bucket) error {
		if !known[string(name)] {
			return damaged("bucket %q does not belong to the ledger", name)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return c.bucket(bucketMeta).ForEach(func(k, _ []byte) error {
		if !bytes.Equal(k, keyFormat) && !bytes.Equal(k, keyHead) {
			return damaged("%s has a record %q", bucketMeta, k)
		}
		return nil
	})
}

// checkSums checks the structure of every page, and every bucket's sum in the head.
func (c *checker) checkSums() error {
	found, err := c.ledger.sumPages(c.bolt, func(string) bool { return true }, c.ctx.Err)
	if err != nil {
		return err
	}
	for _, bucket := range summedBuckets {
		if err := c.head.Sums.equal(bucket, found[bucket]); err != nil {
			return err
		}
	}
	return nil
}

// checkLog reads every entry, hashes the tree again and folds the events.
func (c *checker) checkLog() error {
	var tail merkle.Tail
	var last envelope.Time
	for tail.Size() < c.head.Size {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		if c.progress != nil && tail.Size()%checkStep == 0 {
			c.progress(tail.Size(), c.head.Size)
		}
		index := uint64(tail.Size())
		e, err := c.LogEntry(index)
		if err != nil {
			return err
		}
		if e.Event.Time.Before(last.Time) {
			return damaged("event %d is earlier than the one before", index)
		}
		last = e.Event.Time
		before := reading(c.folded)
		facts, err := c.fold(e)
		if err == nil {
			err = c.keys.next(e, before, reading(c.folded))
		}
		if err != nil {
			return fmt.Errorf("event %d: %w", index, err)
		}
		if proof.LeafRecord(e.Place.Salt, facts, [32]byte(e.Record[32:])) != e.Record {
			return damaged("leaf %d is not that of its event's result", index)
		}
		if err := tail.CheckRow(rows{c.bolt}, e.Record[:]); err != nil {
			return err
		}
	}
	if tail.Root() != c.head.root() || last != c.head.Time {
		return damaged("the log's end does not match the head")
	}
	for _, bucket := range logBuckets {
		if n := c.bolt.Bucket([]byte(bucket)).Stats().KeyN; int64(n) != c.head.Size {
			return damaged("bucket %s has %d rows of %d", bucket, n, c.head.Size)
		}
	}
	return nil
}

// fold applies an event and compares the result that it issues with the stored one.
func (c *checker) fold(e LogEntry) (facts []byte, err error) {
	issued, err := book.Apply(c.folded, e.Event)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if issued == nil {
		return nil, nil
	}
	c.issued++
	if facts, err = envelope.EncodeFacts(issued.Facts); err != nil {
		return nil, err
	}
	r, _, err := c.result(issued.Merchant, issued.Serial)
	if err != nil {
		return nil, err
	}
	if r.ID != issued.ID || r.Digest != issued.Digest || r.Created != issued.Created || r.Facts != string(facts) ||
		r.Place.Index != e.Place.Index || r.Place.Entry != e.Place.Entry || !bytes.Equal(r.Place.Salt, e.Place.Salt) {
		return nil, damaged("result %d of %s is not what its event issued", issued.Serial, issued.Merchant)
	}
	return facts, nil
}

// checkTable compares a bucket of the state's with what the fold made.
func (c *checker) checkTable(t book.Kind) error {
	bucket, want := t.Bucket(), 0
	err := t.Records(c.folded, func(at book.Place, record any) error {
		want++
		box, err := c.boxOf(at.Owner)
		if err != nil {
			return err
		}
		return c.checkRecord(bucket, at.Key, box, record)
	})
	if err != nil {
		return err
	}
	n := c.bucket(bucket).Stats().KeyN
	if bucket == bucketVault && c.bucket(bucket).Get(keyHint) != nil {
		n--
	}
	if n != want {
		return damaged("%s has %d records, the log makes %d", bucket, n, want)
	}
	return nil
}

func (c *checker) checkRecord(bucket string, key []byte, box keyring.Box, folded any) error {
	text, found, err := c.get(bucket, key, box)
	if err != nil {
		return err
	}
	want, err := json.Marshal(folded)
	if err != nil {
		return err
	}
	if !found || !bytes.Equal(text, want) {
		return damaged("a record of %s is not what the log makes it", bucket)
	}
	return nil
}

// checkRecords compares the state with what the fold of the log made.
func (c *checker) checkRecords() error {
	for _, t := range book.Tables {
		if t.Bucket() == bucketPayments { // which stand by number
			continue
		}
		if err := c.checkTable(t); err != nil {
			return err
		}
	}
	if _, err := c.BagHint(); err != nil {
		return err
	}
	payments := book.Payments.In(c.folded)
	for _, p := range payments {
		if err := c.checkPayment(p); err != nil {
			return err
		}
	}
	for _, bucket := range []string{bucketIDs, bucketPayments} {
		if n := c.bucket(bucket).Stats().KeyN; n != len(payments) {
			return damaged("%s has %d records, the log makes %d", bucket, n, len(payments))
		}
	}
	return errors.Join(c.checkKeys(), c.checkWraps(), c.checkParts(), c.checkStored())
}

func (c *checker) checkPayment(p book.Payment) error {
	box, err := c.box(purposeMerchant(p.Merchant))
	if err != nil {
		return err
	}
	number, _, err := c.get(bucketIDs, book.Key{Merchant: p.Merchant, ID: p.ID}.Bytes(), box)
	if err != nil {
		return err
	}
	if !bytes.Equal(number, book.Ordered(p.Number)) {
		return damaged("the id of payment %d names another", p.Number)
	}
	if err := c.checkRecord(bucketPayments, recordKey(p.Number, p.Merchant), box, p); err != nil {
		return err
	}
	for _, e := range indexed(p) {
		c.counts[e.index]++
		if c.bucket(e.index).Get(e.key) == nil {
			return damaged("payment %d is missing in index %s", p.Number, e.index)
		}
	}
	return nil
}

// checkKeys opens every wrapped key and counts those that must be there.
func (c *checker) checkKeys() error {
	want := 1 + len(book.Merchants.In(c.folded)) + int(c.head.LogKey)
	n := 0
	err := c.bucket(bucketKeys).ForEach(func(k, wrapped []byte) error {
		n++
		if _, err := c.ledger.keys.OpenBox(string(k), append([]byte(nil), wrapped...)); err != nil {
			return fmt.Errorf("%w: %w", err, ErrDamaged)
		}
		merchant, ok := strings.CutPrefix(string(k), purposeMerchant(""))
		if _, there := book.Merchants.In(c.folded)[merchant]; ok && !there {
			return damaged("there is a key of %s, which is not a merchant", merchant)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if n != want {
		return damaged("there are %d keys, and should be %d", n, want)
	}
	return nil
}

// checkParts opens every part and looks up its payment.
func (c *checker) checkParts() error {
	return c.bucket(bucketParts).ForEach(func(k, v []byte) error {
		merchant, part, ok := strings.Cut(string(k[min(8, len(k)):]), "/")
		if !ok || (part != string(envelope.PartAccount) && part != string(envelope.PartCode)) {
			return damaged("%s has a malformed key", bucketParts)
		}
		if _, err := c.paymentOf(k[:8+len(merchant)]); err != nil {
			return err
		}
		box, err := c.box(purposeMerchant(merchant))
		if err != nil {
			return err
		}
		value, err := unseal(bucketParts, k, box, v)
		if err != nil {
			return err
		}
		_, _, err = decodePart(value)
		return err
	})
}

// checkOutbox follows every merchant's chain of results.
func (c *checker) checkOutbox() error {
	chains := 0
	for id, m := range book.Merchants.In(c.folded) {
		end, err := c.chain(id)
		if err != nil {
			return err
		}
		if end.Serial > 0 {
			chains++
		}
		c.issued -= int(m.Results)
		previous := chain{Digest: envelope.ZeroDigest}
		for serial := uint64(1); serial <= m.Results; serial++ {
			r, _, err := c.result(id, serial)
			if err != nil {
				return err
			}
			if err := c.checkResult(id, serial, r, &previous, end); err != nil {
				return err
			}
		}
		if previous != end {
			return damaged("the chain of %s does not end as its record says", id)
		}
		c.counts[bucketResults] += int(m.Results)
	}
	if n := c.bucket(bucketResults).Stats().KeyN; c.issued != 0 || n != c.counts[bucketResults] {
		return damaged("there are %d results, the merchants' serials make %d", n, c.counts[bucketResults])
	}
	if n := c.bucket(bucketChains).Stats().KeyN; n != chains {
		return damaged("there are %d chains, and should be %d", n, chains)
	}
	return nil
}

func (c *checker) checkResult(merchant string, serial uint64, r result, previous *chain, end chain) error {
	key := outboxKey(r.Place.Index, merchant, serial)
	pending := c.bucket(indexPending).Get(key) != nil
	if pending != (len(r.note) == 0) {
		return damaged("whether result %d of %s is sealed contradicts index %s", serial, merchant, indexPending)
	}
	if pending {
		c.counts[indexPending]++
		if serial <= end.Serial {
			return damaged("the chain of %s passes result %d, which is not sealed", merchant, serial)
		}
		return nil
	}
	if c.bucket(indexUnsent).Get(key) != nil {
		c.counts[indexUnsent]++
	}
	text, err := note.Text(r.note)
	if err != nil {
		return fmt.Errorf("result %d of %s: %w: %w", serial, merchant, err, ErrDamaged)
	}
	sealed := r
	sealed.note = nil
	if err := sealed.checkNext(merchant, serial, r.ID, note.Digest(text), r.note, *previous); err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	*previous = chain{Serial: serial, Digest: note.Digest(text)}
	return nil
}

// checkIndexes detects entries that no record has; missing ones were detected before.
func (c *checker) checkIndexes() error {
	for _, index := range indexBuckets {
		n := 0
		err := c.bucket(index).ForEach(func(_, v []byte) error {
			n++
			if len(v) != 0 {
				return damaged("index %s has a value", index)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if n != c.counts[index] {
			return damaged("index %s has %d entries, the records make %d", index, n, c.counts[index])
		}
	}
	return nil
}
