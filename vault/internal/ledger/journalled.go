package ledger

import (
	"fmt"
	"maps"
	"sync"

	"go.etcd.io/bbolt"
)

// Journalled is how much of the log a second place has confirmed (package journal).
type Journalled struct {
	Generation uint64 `json:"generation"` // of the vault whose journal it is
	Size       int64  `json:"size"`       // the log's first Size entries were durable there
	// index of the oldest that is kept: a full place drops its oldest
	First int64 `json:"first,omitempty"`
}

// journalled is what the second places have confirmed, by name. It is safe for concurrent use.
type journalled struct {
	mu     sync.Mutex
	places map[string]Journalled
}

func (j *journalled) all() map[string]Journalled {
	j.mu.Lock()
	defer j.mu.Unlock()
	return maps.Clone(j.places)
}

func (j *journalled) change(fn func(map[string]Journalled)) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.places == nil {
		j.places = map[string]Journalled{}
	}
	fn(j.places)
}

// Journalled returns what each second place has confirmed, by name, as far as this ledger knows.
func (l *Ledger) Journalled() map[string]Journalled { return l.journal.all() }

// SetJournalled notes what a second place has confirmed, in the head of the next commit or of
// Close: it needs no event or fsync of its own, and a crash before leaves an older note, which is
// less strict.
func (l *Ledger) SetJournalled(place string, j Journalled) {
	l.journal.change(func(places map[string]Journalled) { places[place] = j })
}

// DropJournalled forgets a second place that is given up, in the way of [Ledger.SetJournalled].
func (l *Ledger) DropJournalled(place string) {
	l.journal.change(func(places map[string]Journalled) { delete(places, place) })
}

// keepJournalled writes what was noted since the last commit; only Close calls it.
func (l *Ledger) keepJournalled() error {
	if maps.Equal(l.head.Journal, l.journal.all()) {
		return nil
	}
	err := guard(func() error { return l.db.Update(func(b *bbolt.Tx) error { return l.newTx(b).writeHead() }) })
	if err != nil {
		return fmt.Errorf("keep how far the journal has come: %w", err)
	}
	return nil
}
