package ledger

import (
	"encoding/json"
	"time"
)

// ResultsHint is how RESULTS looked when it was last compared with what was published. What the broker says is a hint: a difference has the
// vault look closer, and publish again what is missing, once a day at most.
type ResultsHint struct {
	Created time.Time         `json:"created,omitzero"` // when the stream was made; zero before it was first compared
	Last    uint64            `json:"last,omitempty"`   // highest sequence that it had, or that an ack named
	First   uint64            `json:"first,omitempty"`  // lowest sequence that it had
	Oldest  time.Time         `json:"oldest,omitzero"`  // when the message there was stored
	Gone    uint64            `json:"gone,omitempty"`   // how many of its messages were there no more
	Due     time.Time         `json:"due,omitzero"`     // from when a merchant may be looked at again whose turn had not come; zero where none is
	Floors  map[string]uint64 `json:"floors,omitempty"` // by merchant: lowest serial that purges of the vault's own have left
}

// hints is one record of the ledger that no event makes: what it says is held against what is there before it counts.
type hints struct {
	Hint
	Results *ResultsHint `json:"results,omitempty"`
}

// ResultsHint returns what SetResultsHint kept last, the zero value before that.
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
		return h, damaged("the hint is no JSON")
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
