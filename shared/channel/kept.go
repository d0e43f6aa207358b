package channel

import (
	"context"
	"fmt"
	"strings"
	"sync"
)

const (
	// maxListed bounds the results listed: their subjects, of at most 94 bytes, fit an answer
	// within the guard's limits.
	maxListed = 10_000
	// beyondAll is an offset beyond any list, to get only its length.
	beyondAll = 1 << 30
)

// Kept is what RESULTS holds of one merchant, as the broker says.
type Kept struct {
	Results uint64          // how many
	Serials map[uint64]bool // which; nil where they are more than 10,000, which no answer holds
}

// KeptResults asks what RESULTS holds of a merchant: a hint, as the relay's side owns that stream.
func (v *Vault) KeptResults(ctx context.Context, merchant string) (Kept, error) {
	return v.reads.kept(ctx, stateSubject(streamResults), merchant)
}

func (l *link) kept(ctx context.Context, subject, merchant string) (Kept, error) {
	if !token(merchant) {
		return Kept{}, fmt.Errorf("the results of merchant %q: %w", merchant, ErrSubject)
	}
	request := struct {
		Offset   int    `json:"offset"`
		Subjects string `json:"subjects_filter"`
	}{beyondAll, "res." + merchant + ".*.*"}
	var info streamInfo
	if err := l.call(ctx, subject, request, &info); err != nil {
		return Kept{}, err
	}
	kept := Kept{Results: info.Total}
	if kept.Results > maxListed {
		return kept, nil
	}
	kept.Serials = make(map[uint64]bool, kept.Results)
	if kept.Results == 0 {
		return kept, nil
	}
	request.Offset = 0
	if err := l.call(ctx, subject, request, &info); err != nil {
		return Kept{}, err
	}
	for subject := range info.State.Subjects {
		if serial, ok := serialOf(subject); ok && strings.HasPrefix(subject, "res."+merchant+".") {
			kept.Serials[serial] = true
		}
	}
	return kept, nil
}

// Acked is how far the durable acks of RESULTS went in this process.
type Acked struct {
	First uint64 // sequence that the first named, 0 before it
	Last  uint64 // sequence that the newest named
	// how often a sequence was not above the last: the stream had lost its tail, or was another
	Rewinds uint64
}

// ResultsAcked returns how far RESULTS has been acked in this process.
func (v *Vault) ResultsAcked() Acked { return v.acked.read() }

// acked watches the acks of RESULTS, which come in the order of publishing.
type acked struct {
	mu    sync.Mutex
	known Acked
}

func (a *acked) read() Acked {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.known
}

func (a *acked) note(subject string, sequence uint64) {
	if !strings.HasPrefix(subject, "res.") {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known.First == 0 {
		a.known.First = sequence
	}
	if sequence <= a.known.Last {
		a.known.Rewinds++
	}
	a.known.Last = sequence
}
