package ledger

import (
	"nightdrop/vault/internal/book"
)

// openStages are those in which a payment can hold a trace number.
var openStages = [...]book.Stage{book.StageAuthorising, book.StageCapturing, book.StageVoiding,
	book.StageUnknown, book.StageManual, book.StageCorrecting}

// traceKey is a trace number at its terminal, of whatever day.
type traceKey struct {
	terminal string
	stan     uint32
}

// heldTraces counts the open messages that bear a trace number, as of the last commit. It is read
// from the payments when the ledger is opened, and follows each commit that has happened. About 100
// bytes an open message.
type heldTraces map[traceKey]int

// heldTrace is one message more, or one fewer, that bears a trace number.
type heldTrace struct {
	key traceKey
	by  int
}

// apply takes in what a commit changed.
func (h heldTraces) apply(changes []heldTrace) {
	for _, c := range changes {
		if h[c.key] += c.by; h[c.key] == 0 {
			delete(h, c.key)
		}
	}
}

// holdTraces notes what becoming p, from was, changes.
func (tx *Tx) holdTraces(was, p book.Payment) {
	request, reversal := was.OpenTraces()
	nowRequest, nowReversal := p.OpenTraces()
	for _, c := range [...]struct{ was, now *book.Trace }{{request, nowRequest}, {reversal, nowReversal}} {
		switch {
		case c.was == c.now || c.was != nil && c.now != nil && *c.was == *c.now:
			continue
		case c.was != nil:
			tx.traces = append(tx.traces, heldTrace{traceKey{c.was.Terminal, c.was.STAN}, -1})
		}
		if c.now != nil {
			tx.traces = append(tx.traces, heldTrace{traceKey{c.now.Terminal, c.now.STAN}, 1})
		}
	}
}

// HoldsTrace reports whether an open message of any day bears this trace number at its terminal: a
// request, capture or reversal that may still be answered or sent again. Changes of this
// transaction do not count. It is for writing transactions.
func (tx *Tx) HoldsTrace(terminal string, stan uint32) bool {
	return tx.ledger.held[traceKey{terminal, stan}] > 0
}

// readHeld reads which trace numbers are held, from the open payments.
func (l *Ledger) readHeld(tx *Tx) error {
	l.held = heldTraces{}
	for _, stage := range openStages {
		err := tx.Payments(Query{Stage: stage}, func(p book.Payment) error {
			tx.holdTraces(book.Payment{}, p)
			return nil
		})
		if err != nil {
			return err
		}
	}
	l.held.apply(tx.traces)
	return nil
}
