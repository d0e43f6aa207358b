package ledger

import (
	"encoding/binary"
	"encoding/json"
	"errors"

	"nightdrop/vault/internal/book"
)

func homeOfFinding(number uint64) home { return home{bucket: bucketFindings, key: orderedKey(number)} }

// Finding implements book.State.
func (tx *Tx) Finding(number uint64) (book.Found, bool, error) {
	r, err := load(tx, tx.findings, number, homeOfFinding(number))
	if err != nil {
		return book.Found{}, false, err
	}
	return r.value, r.found, nil
}

// PutFinding implements book.State.
func (tx *Tx) PutFinding(f book.Found) error { return keep(tx, tx.findings, f.Number, f) }

// Findings calls fn for every finding with a number below before (0: for all), the newest first. fn must not write.
func (tx *Tx) Findings(before uint64, fn func(book.Found) error) error {
	if before == 0 {
		before = 1<<64 - 1
	}
	cursor := tx.bucket(bucketFindings).Cursor()
	step := cursor.Prev
	if k, _ := cursor.Seek(orderedKey(before)); k == nil {
		step = cursor.Last
	}
	k, value := step()
	met, writes, all := 0, tx.writes, before == 1<<64-1
	for ; k != nil; k, value = cursor.Prev() {
		met++
		if err := tx.agree(bucketFindings, k, value); err != nil {
			return err
		}
		text, err := unseal(bucketFindings, k, tx.ledger.box, value)
		if err != nil {
			return err
		}
		var f book.Found
		if json.Unmarshal(text, &f) != nil || f.Number != binary.BigEndian.Uint64(k) {
			return damaged("a record of %s has not the form of a finding", bucketFindings)
		}
		if err := fn(f); err != nil {
			return err
		}
	}
	if !all {
		return nil
	}
	return tx.walked(bucketFindings, nil, met, writes)
}

// FindingEntry returns the index of the log's entry that tells of a finding.
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
	return 0, errors.Join(err, damaged("no entry of the log tells of finding %d", f.Number))
}
