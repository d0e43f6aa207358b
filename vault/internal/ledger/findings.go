package ledger

import (
	"encoding/binary"
	"errors"

	"nightdrop/vault/internal/book"
)

// Findings calls fn for every finding with a number below before (0: all), newest first. fn must
// not write.
func (tx *Tx) Findings(before uint64, fn func(book.Found) error) error {
	if before == 0 {
		before = 1<<64 - 1
	}
	cursor := tx.bucket(book.Findings.Name).Cursor()
	step := cursor.Prev
	if k, _ := cursor.Seek(book.Ordered(before)); k == nil {
		step = cursor.Last
	}
	k, value := step()
	met, writes, all := 0, tx.writes, before == 1<<64-1
	for ; k != nil; k, value = cursor.Prev() {
		met++
		if err := tx.agree(book.Findings.Name, k, value); err != nil {
			return err
		}
		var f book.Found
		if err := decodeRecord(book.Findings.Name, k, tx.ledger.box, value, &f); err != nil {
			return err
		}
		if f.Number != binary.BigEndian.Uint64(k) {
			return damaged("a record of %s is not a well-formed finding", book.Findings.Name)
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	if !all {
		return nil
	}
	return tx.walked(book.Findings.Name, nil, met, writes)
}

// FindingEntry returns the index of the log's entry that reports a finding.
func (tx *Tx) FindingEntry(f book.Found) (index int64, err error) {
	if index, err = tx.FirstSince(f.Time.Time); err != nil {
		return 0, err
	}
	size, err := tx.TreeSize()
	for ; err == nil && index < size; index++ {
		e, err := tx.LogEntry(uint64(index))
		if err != nil {
			return 0, err
		}
		if e.Event.Body == book.Body(f.What) && e.Event.Origin == f.Origin && e.Event.Evidence == f.Evidence {
			return index, nil
		}
		if e.Event.Time.After(f.Time.Time) {
			break
		}
	}
	return 0, errors.Join(err, damaged("no entry of the log is of finding %d", f.Number))
}
