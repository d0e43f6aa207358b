package outbox

import (
	"sync"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/ledger"
)

// Lost is what RESULTS lost of what it had taken, since the vault was unlocked.
type Lost struct {
	Results   uint64    // that are published again
	Merchants int       // whose they were
	At        time.Time // when that was last seen; zero where nothing was
	// until when more of a merchant waits, for what was lost is published again once a day; zero
	// where none does
	Waiting time.Time
}

// losses is what the outbox knows of how RESULTS should look.
type losses struct {
	mu      sync.Mutex
	began   ledger.ResultsHint // how it looked before this process
	rewinds uint64             // of the acks, that led to a look
	counted uint64             // of again, when RESULTS was last compared
	// results published so far whose serial had gone before, or that were purged: they take the
	// place of what is there
	again uint64
	tops  map[string]uint64 // by merchant: the highest serial that was sent
	lost  Lost
}

func newLosses() *losses { return &losses{tops: map[string]uint64{}} }

// begin reads how RESULTS looked when it was last compared. It is called before anything is
// published.
func (l *losses) begin(from *ledger.Ledger) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return from.View(func(tx *ledger.Tx) (err error) {
		l.began, err = tx.ResultsHint()
		return err
	})
}

func (l *losses) known() Lost {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// repeated is how many messages so far took the place of others, or destroyed them.
func (l *losses) repeated() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again
}

// maxBacklog is how far findTops looks back for the end of what was sent: where more waits, what
// stands before it counts as sent.
const maxBacklog = 4096

// findTops finds the highest serial that was sent of each merchant of whom it is not known yet.
func (l *losses) findTops(tx *ledger.Tx, ready []ledger.Ready) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range ready {
		if _, known := l.tops[r.Merchant]; known {
			continue
		}
		top, _, err := tx.PreviousDigest(r.Merchant)
		if err != nil {
			return err
		}
		for looked := 0; top > 0 && looked < maxBacklog; looked++ {
			_, unsent, err := tx.SealedResult(r.Merchant, top)
			if err != nil {
				return err
			}
			if !unsent {
				break
			}
			top--
		}
		l.tops[r.Merchant] = top
	}
	return nil
}

// publishing counts a result that is about to be published: one whose serial was sent before takes
// the place of that one.
func (l *losses) publishing(r ledger.Ready) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Serial <= l.tops[r.Merchant] {
		l.again++
		return
	}
	l.tops[r.Merchant] = r.Serial
}

// reached notes, with the results that are marked as sent, how far the acks went: a stream that
// ends before that has lost its tail.
func (o *Outbox) reached(tx *ledger.Tx) error {
	acked := o.Channel.ResultsAcked()
	hint, err := tx.ResultsHint()
	if err != nil || hint.Created.IsZero() || acked.Last <= hint.Last || o.losses.rewound(acked) {
		return err
	}
	hint.Last = acked.Last
	return tx.SetResultsHint(hint)
}

// rewound reports whether acks named sequences that were there before: since the last look, or
// before this process.
func (l *losses) rewound(acked channel.Acked) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return acked.Rewinds > l.rewinds || acked.First > 0 && acked.First <= l.began.Last
}

// since is how many messages took the place of others since the last look that was compared. Those
// published during this look may be seen in it, or in the next.
func (l *losses) since() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again - min(l.counted, l.again)
}

// compared notes that a look was compared.
func (l *losses) compared(s look, now ledger.ResultsHint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counted, l.rewinds, l.began.Last = s.again, s.acked.Rewinds, 0
	l.lost.Waiting = now.Due
}

// purging counts messages that the vault itself had destroyed.
func (l *losses) purging(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again += n
}

// republished notes what is published again.
func (l *losses) republished(results uint64, merchants int, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost.Results, l.lost.Merchants, l.lost.At = l.lost.Results+results, merchants, at
}

// top is the highest serial that was sent of a merchant, or end where that is not known.
func (l *losses) top(merchant string, end uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if top, known := l.tops[merchant]; known {
		return top
	}
	return end
}
