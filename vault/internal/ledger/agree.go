package ledger

// known is what the tags say of a place, as of this transaction.
func (tx *Tx) known(place uint64) tag {
	if changed, ok := tx.tagged[place]; ok {
		return changed
	}
	return tx.ledger.tags.at(tx.id, place)
}

// tagsOf reports whether there are tags of a bucket.
func (tx *Tx) tagsOf(bucket string) bool { return tx.ledger.tags != nil && provenFirst(bucket) }

// read returns the stored value of a key, nil where there is none, once it agrees with its tag.
func (tx *Tx) read(bucket string, key []byte) ([]byte, error) {
	value := tx.bucket(bucket).Get(key)
	return value, tx.agree(bucket, key, value)
}

// agree compares what was read of a key, nil for nothing, with its tag. In a bucket that is
// compared after the unlock an absence counts only once that is done.
func (tx *Tx) agree(bucket string, key, value []byte) error {
	if !tx.tagsOf(bucket) {
		if value == nil {
			return tx.ledger.awaitProof(bucket)
		}
		return nil
	}
	known := tx.known(tx.ledger.tags.slot(bucket, key))
	switch {
	case known.there && value == nil:
		return damaged("a record of %s that was there is gone from the file", bucket)
	case !known.there && value != nil:
		return damaged("%s has a record that nobody wrote", bucket)
	case known.there && known != tx.ledger.tags.value(value):
		return damaged("a record of %s is not the one that was written last", bucket)
	}
	return nil
}

// tagChange notes what a write makes of a key, for the tags; nil is none.
func (tx *Tx) tagChange(bucket string, key, old, value []byte) {
	tx.writes++
	if !tx.tagsOf(bucket) {
		return
	}
	if tx.tagged == nil {
		tx.tagged = map[uint64]tag{}
	}
	t := tx.ledger.tags
	place := t.slot(bucket, key)
	if value == nil {
		tx.tagged[place] = tag{}
	} else {
		tx.tagged[place] = t.value(value)
	}
	if (old == nil) == (value == nil) {
		return
	}
	counted := t.countPlace(bucket, groupOf(bucket, key))
	count := tx.known(counted)
	if value == nil {
		count.bits--
	} else {
		count.bits++
	}
	count.there = count.bits > 0
	tx.tagged[counted] = count
}

// walked compares how many records a walk over a bucket under prefix met with how many there are,
// unless this transaction wrote meanwhile (since its writes-th write).
func (tx *Tx) walked(bucket string, prefix []byte, met int, writes int) error {
	if !tx.tagsOf(bucket) || tx.writes != writes {
		return nil
	}
	if known := tx.known(tx.ledger.tags.countPlace(bucket, prefix)); uint32(met) != known.bits {
		return damaged("%d records of %s were read where there are %d: some are gone from the file, or out of order", met, bucket, known.bits)
	}
	return nil
}

// forEach calls fn for all that a bucket has, in the order of keys. fn must not write.
func (tx *Tx) forEach(bucket string, fn func(key, value []byte) error) error {
	met := 0
	writes := tx.writes
	err := tx.bucket(bucket).ForEach(func(k, value []byte) error {
		met++
		if err := tx.agree(bucket, k, value); err != nil {
			return err
		}
		return fn(k, value)
	})
	if err != nil {
		return err
	}
	return tx.walked(bucket, nil, met, writes)
}

// awaitProof waits until a bucket that is compared after the unlock has been, and returns what was
// found; at once for the others.
func (l *Ledger) awaitProof(bucket string) error {
	proven, ok := l.proven[bucket]
	if !ok {
		return nil
	}
	select {
	case <-proven:
		return nil
	case <-l.stop:
		return ErrClosed
	case <-l.unproven:
		return l.latchedError()
	}
}
