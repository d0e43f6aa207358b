package ledger

import (
	"encoding/json"
	"time"
)

// ResultsHint is how RESULTS looked when it was last compared with what was published. A broker's
// figures are hints: a difference makes the vault look closer, and publish again what is missing,
// once a day at most.
type ResultsHint struct {
	// when the stream was made; zero before it was first compared
	Created time.Time `json:"created,omitzero"`
	Last    uint64    `json:"last,omitempty"`  // highest sequence that it had, or that an ack named
	First   uint64    `json:"first,omitempty"` // lowest sequence that it had
	Oldest  time.Time `json:"oldest,omitzero"` // when the message there was stored
	Gone    uint64    `json:"gone,omitempty"`  // how many of its messages were there no more
	// when a merchant may be checked again whose turn had not come; zero where none is
	Due time.Time `json:"due,omitzero"`
	// by merchant: lowest serial that purges of the vault's own have left
	Floors map[string]uint64 `json:"floors,omitempty"`
}

// hints is one record of the ledger that no event makes: it is checked before it counts.
type hints struct {
	Hint
	Marks   []Mark       `json:"marks,omitempty"` // in their order, the newest last
	Results *ResultsHint `json:"results,omitempty"`
}

// Mark records that intake had come to a bag at a time of the vault's clock: all below its sequence
// was committed by then.
type Mark struct {
	Hint
	Time time.Time `json:"time"`
}

// Limits of marks, which are in each commit of intake.
const (
	markEvery = 12 * time.Hour
	maxMarks  = 2*8 + 2 // of a week and a day, the one that moves and one more
)

// mark notes that intake has come to a bag. The newest mark moves until it is markEvery after the
// one before it.
func (h *hints) mark(at Hint, now time.Time) {
	n := len(h.Marks)
	if at.Sequence == 0 || n > 0 && at.Sequence < h.Marks[n-1].Sequence {
		h.Marks, n = nil, 0 // the stream is another
	}
	if at.Sequence == 0 {
		return
	}
	if n > 1 && now.Sub(h.Marks[n-2].Time) < markEvery {
		h.Marks = h.Marks[:n-1]
	}
	h.Marks = append(h.Marks, Mark{at, now})
	h.Marks = h.Marks[max(0, len(h.Marks)-maxMarks):]
}

// MarkedBefore returns the newest mark at or before a time; the zero value if there is none.
func (tx *Tx) MarkedBefore(at time.Time) (found Mark, err error) {
	h, err := tx.hints()
	if err != nil {
		return found, err
	}
	for _, m := range h.Marks {
		if !m.Time.After(at) {
			found = m
		}
	}
	return found, nil
}

// ResultsHint returns what SetResultsHint saved last, or the zero value.
func (tx *Tx) ResultsHint() (ResultsHint, error) {
	h, err := tx.hints()
	if err != nil || h.Results == nil {
		return ResultsHint{}, err
	}
	return *h.Results, nil
}

// SetResultsHint keeps how RESULTS looks.
func (tx *Tx) SetResultsHint(h ResultsHint) error {
	all, err := tx.hints()
	if err != nil {
		return err
	}
	all.Results = &h
	return tx.setHints(all)
}

func (tx *Tx) hints() (h hints, err error) {
	value, found, err := tx.get(bucketVault, keyHint, tx.ledger.box)
	if err != nil || !found {
		return h, err
	}
	if err := json.Unmarshal(value, &h); err != nil {
		return h, damaged("the hint is not JSON")
	}
	return h, nil
}

func (tx *Tx) setHints(h hints) error {
	value, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return tx.put(bucketVault, keyHint, tx.ledger.box, value)
}
