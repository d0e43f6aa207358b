package ledger

import "time"

// ResendResults has all results of a payment published again, the same bytes under the same
// serials; once, however often it is called before. Pending ones are published anyway.
func (tx *Tx) ResendResults(merchant, paymentID string) error {
	p, found, err := tx.Payment(merchant, paymentID)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoPayment
	}
	for _, serial := range p.Results {
		if err := tx.ResendResult(merchant, serial); err != nil {
			return err
		}
	}
	return nil
}

// ResendResult has one result published again, such as that of book.Replies.Refused.
func (tx *Tx) ResendResult(merchant string, serial uint64) error {
	if !tx.bolt.Writable() {
		return errReadOnly
	}
	r, _, err := tx.result(merchant, serial)
	if err != nil || len(r.note) == 0 {
		return err
	}
	key := outboxKey(r.Place.Index, merchant, serial)
	if waits, err := tx.read(indexUnsent, key); waits != nil || err != nil {
		return err
	}
	return tx.point(indexUnsent, key, true)
}

// SealedResult returns a sealed result, and whether it waits to be published.
func (tx *Tx) SealedResult(merchant string, serial uint64) (sealed Ready, unsent bool, err error) {
	r, _, err := tx.result(merchant, serial)
	if err != nil {
		return Ready{}, false, err
	}
	sealed = Ready{Merchant: merchant, Serial: serial, ID: r.ID, Note: r.note, index: r.Place.Index}
	waits, err := tx.read(indexUnsent, outboxKey(r.Place.Index, merchant, serial))
	return sealed, waits != nil, err
}

// ResultsSince returns the serials of a merchant's sealed results created at since or later: first
// to last, first = last + 1 where there is none. It reads some twenty records, however many there
// are.
func (tx *Tx) ResultsSince(merchant string, since time.Time) (first, last uint64, err error) {
	end, err := tx.chain(merchant)
	if err != nil {
		return 0, 0, err
	}
	low, high := uint64(1), end.Serial+1 // all below low are older, high is not
	for low < high {
		middle := low + (high-low)/2
		r, _, err := tx.result(merchant, middle)
		if err != nil {
			return 0, 0, err
		}
		if r.Created.Before(since) {
			low = middle + 1
		} else {
			high = middle
		}
	}
	return low, end.Serial, nil
}
