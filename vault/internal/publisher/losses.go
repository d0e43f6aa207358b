package publisher

import (
	"sync"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/vault/internal/ledger"
)

// Lost is what RESULTS has lost since the vault was unlocked.
type Lost struct {
	Results   uint64    // that were republished
	Merchants int       // whose they were
	At        time.Time // when that was last detected; zero: never
	// when more of a merchant, who is republished once a day, is due; zero: none waits
	Waiting time.Time
}

// losses is what is known of how RESULTS should be.
type losses struct {
	mu      sync.Mutex
	began   ledger.ResultsHint // its state before this process
	rewinds uint64             // of the acks, as of the last comparison
	counted uint64             // of again, as of the last comparison
	// results republished or purged so far: they replace or remove messages
	again uint64
	tops  map[string]uint64 // by merchant: the highest serial sent
	lost  Lost
}

func newLosses() *losses { return &losses{tops: map[string]uint64{}} }

// begin reads the state of RESULTS as last compared. Call it before anything is published.
func (l *losses) begin(from *ledger.Ledger) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return from.View(func(tx *ledger.Tx) (err error) {
		l.began, err = tx.ResultsHint()
		return err
	})
}

func (l *losses) total() Lost {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// repeated returns again.
func (l *losses) repeated() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again
}

// maxBacklog is how far findTops looks back for the last sent result: what is before counts as
// sent.
const maxBacklog = 4096

// findTops sets each merchant's unknown highest sent serial.
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

// countPublished is called before a result is published: one whose serial was sent before replaces
// that one.
func (l *losses) countPublished(r ledger.Ready) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r.Serial <= l.tops[r.Merchant] {
		l.again++
		return
	}
	l.tops[r.Merchant] = r.Serial
}

// recordAcked records, with the results that are marked as sent, how far the acks went: a stream
// that ends before that has lost its tail.
func (o *Publisher) recordAcked(tx *ledger.Tx) error {
	acked := o.Channel.ResultsAcked()
	hint, err := tx.ResultsHint()
	if err != nil || hint.Created.IsZero() || acked.Last <= hint.Last || o.losses.rewound(acked) {
		return err
	}
	hint.Last = acked.Last
	return tx.SetResultsHint(hint)
}

// rewound reports whether acks named sequences again: since the last comparison, or from before
// this process.
func (l *losses) rewound(acked channel.Acked) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return acked.Rewinds > l.rewinds || acked.First > 0 && acked.First <= l.began.Last
}

// since returns how many messages were replaced since the last comparison. Those published during
// this one may show in it, or in the next.
func (l *losses) since() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.again - min(l.counted, l.again)
}

// compared records a comparison.
func (l *losses) compared(s observation, now ledger.ResultsHint) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.counted, l.rewinds, l.began.Last = s.again, s.acked.Rewinds, 0
	l.lost.Waiting = now.Due
}

// countPurged counts messages that the vault itself purged.
func (l *losses) countPurged(n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again += n
}

// republished records what was republished.
func (l *losses) republished(results uint64, merchants int, at time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost.Results, l.lost.Merchants, l.lost.At = l.lost.Results+results, merchants, at
}

// top returns a merchant's highest sent serial, or end where it is unknown.
func (l *losses) top(merchant string, end uint64) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if top, known := l.tops[merchant]; known {
		return top
	}
	return end
}
