package settle

import (
	"context"
	"fmt"
	"sync"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/loggable"
)

// maxOddities bounds a misbehaving host's findings in the log, an hour; further ones are counted,
// and reported with the next.
const maxOddities = 60

// oddities counts what was reported in the hour that began at since.
type oddities struct {
	mu     sync.Mutex
	since  time.Time
	logged int
	silent int // not reported since the last one that was
}

// Odd commits a finding that the acquirer's host sent what it should not have, at most 60 an hour.
// kind and detail are for a person; a detail in which an account number could stand is left out.
// What cannot be committed is logged.
func (e *Engine) Odd(kind, detail string) {
	silent, report := e.odd.admit(e.cfg.Now())
	if !report {
		return
	}
	found := book.IntegrityFound{Finding: book.FindingMessage, Detail: kind}
	if quotable(detail) != "" {
		found.Detail += ": " + quotable(detail)
	}
	if silent > 0 {
		found.Detail += fmt.Sprintf(" (and %d others before it that were not reported)", silent)
		found.Count = uint64(silent) + 1
	}
	err := e.cfg.Ledger.Commit(context.Background(), func(tx *ledger.Tx) error {
		return appendEvent(tx, "acquirer", "host", "", found)
	})
	if err != nil {
		e.cfg.Logger.Error("a finding about the acquirer's host could not be committed", "kind", kind, "error", err)
	}
}

// admit reports whether there is room for another finding, and how many had none.
func (o *oddities) admit(now time.Time) (silent int, report bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if age := now.Sub(o.since); age < 0 || age >= time.Hour {
		o.since, o.logged = now, 0
	}
	if o.logged >= maxOddities {
		o.silent++
		return 0, false
	}
	o.logged++
	silent, o.silent = o.silent, 0
	return silent, true
}

// maxText bounds what a person or the acquirer's host can say in one event of the log.
const maxText = 200

// quotable returns a text from outside for a person to read, cut to maxText; nothing of one that
// may not stand in the log.
func quotable(text string) string {
	text = text[:min(len(text), maxText)]
	if !loggable.Text(text) {
		return ""
	}
	return text
}
