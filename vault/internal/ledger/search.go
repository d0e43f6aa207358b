package ledger

import (
	"bytes"
	"context"
	"encoding/binary"
	"sort"
	"time"

	"go.etcd.io/bbolt"

	"nightdrop/vault/internal/book"
)

// Search is a query that a person waits for: it reads a bounded number of records, newest first,
// and goes on where it ended.
type Search struct {
	Query                          // Limit is how many payments are found at most, and is above 0
	Before uint64                  // payments with a lower Number only; 0 for all
	Oldest bool                    // oldest first, by Number
	From   time.Time               // received at that time or later; zero for all
	Until  time.Time               // received before that time; zero for all
	Most   int                     // at most so many records are read; above 0
	Match  func(book.Payment) bool // reports whether a payment is looked for; nil: every one
}

// Searched is how far a search came.
type Searched struct {
	Reached uint64 // number of the payment that was read last, or the bound where there was none
	More    bool   // there are records that it has not read
	Read    int    // so many records were read
	Newest  uint64 // number of the vault's newest payment
}

// direction walks one scan in the order of numbers, or against it.
type direction struct {
	scan
	cursor *bbolt.Cursor
	oldest bool
	key    []byte // where it stands, nil at the end
	value  []byte
}

// start sets it before the first number above after, or below before.
func (d *direction) start(after, before uint64) {
	if d.oldest {
		d.key, d.value = d.cursor.Seek(append(bytes.Clone(d.prefix), book.Ordered(after+1)...))
		return
	}
	d.key, d.value = d.cursor.Seek(append(bytes.Clone(d.prefix), book.Ordered(before)...))
	if d.key == nil { // beyond the last key of the bucket
		d.key, d.value = d.cursor.Last()
		return
	}
	d.key, d.value = d.cursor.Prev()
}

func (d *direction) step() {
	if d.oldest {
		d.key, d.value = d.cursor.Next()
	} else {
		d.key, d.value = d.cursor.Prev()
	}
}

// record is the key of the payment where it stands, nil beyond the last.
func (d *direction) record() []byte {
	if d.key == nil || !bytes.HasPrefix(d.key, d.prefix) {
		return nil
	}
	return d.scan.record(bytes.Clone(d.key[len(d.prefix):]))
}

// Search calls fn for what s finds, in the order of numbers. It needs a transaction that does not
// write. That nothing is missing between is proved as [Tx.Payments] proves it, by the search that
// comes to the end.
func (tx *Tx) Search(ctx context.Context, s Search, fn func(book.Payment) error) (Searched, error) {
	newest, err := tx.newest()
	done := Searched{Newest: newest}
	if err == nil {
		err = tx.narrow(&s, newest)
	}
	if err != nil || s.Before <= s.After+1 {
		return done, err
	}
	var walks []*direction
	for _, part := range s.scans() {
		d := &direction{scan: part, cursor: tx.bucket(part.bucket).Cursor(), oldest: s.Oldest}
		d.start(s.After, s.Before)
		walks = append(walks, d)
	}
	done.Reached = s.Before
	if s.Oldest {
		done.Reached = s.After
	}
	for found := 0; ; {
		d, number, err := nearest(walks)
		if err != nil {
			return done, err
		}
		if d == nil || number <= s.After || number >= s.Before {
			return done, tx.searched(walks, done, s)
		}
		if found == s.Limit || done.Read == s.Most {
			done.More = true
			return done, ctx.Err()
		}
		p, err := tx.met(d, done.Reached, number)
		if err != nil {
			return done, err
		}
		done.Reached = number
		done.Read++
		if s.matches(p) && (s.Match == nil || s.Match(p)) {
			found++
			if err := fn(p); err != nil {
				return done, err
			}
		}
		d.step()
	}
}

// nearest is the walk that comes next by its number, nil where all are at their end.
func nearest(walks []*direction) (next *direction, number uint64, err error) {
	for _, d := range walks {
		record := d.record()
		if record == nil {
			continue
		}
		if len(record) < 8 {
			return nil, 0, damaged("index %s has a malformed key", d.bucket)
		}
		n := binary.BigEndian.Uint64(record)
		if next == nil || d.oldest == (n < number) {
			next, number = d, n
		}
	}
	return next, number, nil
}

// met reads the payment where a walk stands, which came there from the number reached.
func (tx *Tx) met(d *direction, reached, number uint64) (book.Payment, error) {
	// they have every number from 1 on
	if d.bucket == bucketPayments && number+1 != reached && number != reached+1 {
		return book.Payment{}, damaged("a payment is gone from the file, or stands in another's place")
	}
	if err := tx.agree(d.bucket, d.key, d.value); err != nil {
		return book.Payment{}, err
	}
	return tx.paymentOf(d.record())
}

// searched proves, at a search's end, that nothing of its scans is missing.
func (tx *Tx) searched(walks []*direction, done Searched, s Search) error {
	for _, d := range walks {
		if d.bucket == bucketPayments {
			if d.oldest && done.Reached+1 != s.Before || !d.oldest && done.Reached != s.After+1 {
				return damaged("a payment is gone from the file, or stands in another's place")
			}
			continue
		}
		met := 0
		cursor := tx.bucket(d.bucket).Cursor()
		for k, value := cursor.Seek(d.prefix); k != nil && bytes.HasPrefix(k, d.prefix); k, value = cursor.Next() {
			met++ // and agrees: a key that was bent to a number out of the bounds counts as another
			if err := tx.agree(d.bucket, k, value); err != nil {
				return err
			}
		}
		if err := tx.walked(d.bucket, d.prefix, met, tx.writes); err != nil {
			return err
		}
	}
	return nil
}

// newest is the number of the newest payment, 0 where there is none. Payments have every number
// from 1 on, so that it is also how many there are.
func (tx *Tx) newest() (uint64, error) {
	key, _ := tx.bucket(bucketPayments).Cursor().Last()
	if key == nil {
		return 0, tx.walked(bucketPayments, nil, 0, tx.writes)
	}
	if len(key) < 8 {
		return 0, damaged("a payment has a malformed key")
	}
	number := binary.BigEndian.Uint64(key)
	return number, tx.walked(bucketPayments, nil, int(number), tx.writes)
}

// narrow sets the bounds of a search to numbers that are there, and its days to numbers: no event
// of the log is earlier than the one before, so that payments stand in the order of reception.
func (tx *Tx) narrow(s *Search, newest uint64) error {
	if s.Before == 0 || s.Before > newest+1 {
		s.Before = newest + 1
	}
	s.After = min(s.After, newest)
	if !s.From.IsZero() {
		first, err := tx.firstSince(s.From, newest)
		if err != nil {
			return err
		}
		s.After = max(s.After, first-1)
	}
	if !s.Until.IsZero() {
		first, err := tx.firstSince(s.Until, newest)
		if err != nil {
			return err
		}
		s.Before = min(s.Before, first)
	}
	return nil
}

// firstSince is the number of the first payment that was received at a time or later; newest+1
// where none was.
func (tx *Tx) firstSince(since time.Time, newest uint64) (uint64, error) {
	var failure error
	n := sort.Search(int(newest), func(i int) bool {
		if failure != nil {
			return true
		}
		number := uint64(i) + 1
		key, value := tx.bucket(bucketPayments).Cursor().Seek(book.Ordered(number))
		if len(key) < 8 || binary.BigEndian.Uint64(key) != number {
			failure = damaged("payment %d is missing", number)
			return true
		}
		if failure = tx.agree(bucketPayments, key, value); failure != nil {
			return true
		}
		p, err := tx.paymentOf(bytes.Clone(key))
		failure = err
		return !p.Received.Before(since)
	})
	return uint64(n) + 1, failure
}
