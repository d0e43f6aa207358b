package channel

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/nats-io/nats.go"
)

const (
	// maxResults is the most results of one answer (specification 6).
	maxResults = 100
	// getBatch is the most messages of one read; a multi-subject read may have 1,024.
	getBatch = 1000
)

// Results returns at most limit (1 to 100) of a merchant's results with serial above after, in
// order of serial. If the first have aged out it begins at the oldest left. None is no error.
//
// A result is looked up by its subject, not its position: one published again has moved to the end.
func (r *Relay) Results(ctx context.Context, merchant string, after uint64, limit int) ([][]byte, error) {
	if !token(merchant) {
		return nil, fmt.Errorf("merchant: %w", ErrSubject)
	}
	limit = min(max(limit, 1), maxResults)
	found, err := r.window(ctx, merchant, after, limit)
	if err != nil || len(found) > 0 {
		return found, err
	}
	if r.heights.reached(merchant, after) {
		return nil, nil
	}
	newest, err := r.highestSerial(ctx, merchant)
	if err != nil || newest == 0 {
		return nil, err
	}
	if newest > after && newest-after <= uint64(limit) { // it came between the two reads
		return r.window(ctx, merchant, after, limit)
	}
	oldest, err := r.lowestAbove(ctx, merchant, after, newest <= after)
	if err != nil {
		return nil, err
	}
	if oldest == 0 {
		r.heights.set(merchant, max(newest, after))
		return nil, nil
	}
	return r.window(ctx, merchant, oldest-1, limit)
}

func (r *Relay) window(ctx context.Context, merchant string, after uint64, limit int) ([][]byte, error) {
	subjects := make([]string, limit)
	for i := range subjects {
		subjects[i] = "res." + merchant + "." + strconv.FormatUint(after+1+uint64(i), 10) + ".*"
	}
	return r.results(ctx, subjects)
}

func (r *Relay) results(ctx context.Context, subjects []string) ([][]byte, error) {
	found, err := r.reads.get(ctx, streamResults, getRequest{MultiLast: subjects, Batch: getBatch, MaxBytes: fetchBytes})
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(found, func(a, b Message) int {
		x, _ := serialOf(a.Subject)
		y, _ := serialOf(b.Subject)
		return cmp.Compare(x, y)
	})
	notes := make([][]byte, len(found))
	for i, m := range found {
		notes[i] = m.Data
	}
	return notes, nil
}

// highestSerial returns the highest serial of the merchant's results, 0 if none. The broker lists
// them once; later ones are heard of. If a merchant has more than a list holds, it is the one
// stored last, or heard of: the vault publishes its newest again behind older ones, so that this
// differs from the highest only for a moment.
func (r *Relay) highestSerial(ctx context.Context, merchant string) (uint64, error) {
	newest, err := r.newestSerial(ctx, merchant)
	if err != nil || newest == 0 {
		return 0, err
	}
	if top, known := r.heights.tops.get(merchant); known {
		return max(top, newest), nil
	}
	// before the list is requested: what comes meanwhile is heard
	r.heights.tops.begin(merchant, newest)
	kept, err := r.reads.kept(ctx, infoSubject(streamResults), merchant)
	if err != nil {
		r.heights.tops.forget(merchant)
		return 0, err
	}
	highest := newest
	for serial := range kept.Serials {
		highest = max(highest, serial)
	}
	return r.heights.tops.raise(merchant, highest), nil
}

// newestSerial returns the serial of the merchant's result stored last; 0 if none.
func (r *Relay) newestSerial(ctx context.Context, merchant string) (uint64, error) {
	found, err := r.reads.get(ctx, streamResults, getRequest{Last: "res." + merchant + ".*.*"})
	if err != nil || len(found) == 0 {
		return 0, err
	}
	serial, _ := serialOf(found[0].Subject)
	return serial, nil
}

// heights remembers how far some merchants' results went when a reader had seen all. Asking the
// broker costs it a look at each of the merchant's subjects; later results fall into the reader's
// window.
type heights struct {
	known *lru.Cache[string, height]
	tops  *tops
}

type height struct {
	serial uint64
	uses   int
}

const (
	heightsKept = 4096
	// heightUses is how often a height is used: a reader may stay away until the window has aged
	// out.
	heightUses = 20
)

func newHeights() (heights, error) {
	known, err := lru.New[string, height](heightsKept)
	if err != nil {
		return heights{}, err
	}
	highest, err := lru.New[string, uint64](heightsKept)
	return heights{known: known, tops: &tops{highest: highest}}, err
}

func (h heights) set(merchant string, serial uint64) {
	h.known.Add(merchant, height{serial: serial})
}

// forget drops a merchant, because a result of it was stored since.
func (h heights) forget(merchant string) { h.known.Remove(merchant) }

func (h heights) forgetAll() {
	h.known.Purge()
	h.tops.forgetAll()
}

// reached reports whether a reader at after is known to have seen all.
func (h heights) reached(merchant string, after uint64) bool {
	k, ok := h.known.Get(merchant)
	if !ok || after < k.serial || k.uses >= heightUses {
		return false
	}
	h.known.Add(merchant, height{serial: k.serial, uses: k.uses + 1})
	return true
}

// lowestAbove returns a merchant's lowest serial above after, or 0. Republished results stand
// behind later ones, so all are listed; if the merchant has more than a list holds, it is the
// stream's first.
func (r *Relay) lowestAbove(ctx context.Context, merchant string, after uint64, firstOnly bool) (uint64, error) {
	if firstOnly {
		return r.oldestAbove(ctx, merchant, after, true)
	}
	kept, err := r.reads.kept(ctx, infoSubject(streamResults), merchant)
	if err != nil {
		return 0, err
	}
	if kept.Serials == nil {
		return r.oldestAbove(ctx, merchant, after, false)
	}
	lowest := uint64(0)
	for serial := range kept.Serials {
		if serial > after && (lowest == 0 || serial < lowest) {
			lowest = serial
		}
	}
	return lowest, nil
}

// oldestAbove searches from the stream's head for the merchant's first result with a serial above
// after. The head is what ages out or is purged, so it is nearly always the first message.
// firstOnly reads no other: for a reader as far as the newest, only a republication can have hidden
// a later one, and a reader who names a position far ahead must not have all of it read.
func (r *Relay) oldestAbove(ctx context.Context, merchant string, after uint64, firstOnly bool) (uint64, error) {
	from, batch := uint64(1), 1
	for {
		found, err := r.reads.get(ctx, streamResults, getRequest{Next: "res." + merchant + ".*.*", Sequence: from, Batch: batch, MaxBytes: fetchBytes})
		if err != nil || len(found) == 0 {
			return 0, err
		}
		for _, m := range found {
			if serial, ok := serialOf(m.Subject); ok && serial > after {
				return serial, nil
			}
		}
		if firstOnly {
			return 0, nil
		}
		from, batch = found[len(found)-1].Sequence+1, getBatch
	}
}

// ResultsOf returns the results of an envelope id, oldest first. None is no error.
func (r *Relay) ResultsOf(ctx context.Context, merchant, id string) ([][]byte, error) {
	if !token(merchant) || !token(id) {
		return nil, fmt.Errorf("merchant or id: %w", ErrSubject)
	}
	return r.results(ctx, []string{"res." + merchant + ".*." + id})
}

// ResultArrived returns a channel that gets a value, without piling up, when a result of the
// merchant was stored, or may have been, as after a new connection. Call it before reading, so that
// nothing is missed, and cancel when done; it may be called twice.
func (r *Relay) ResultArrived(merchant string) (<-chan struct{}, func()) {
	return r.arrivals.wait(merchant)
}

// arrivals wakes those who wait for results: one subscription for all, one signal for each.
type arrivals struct {
	heights heights

	mu      sync.Mutex
	waiting map[string]map[chan struct{}]struct{}
}

func newArrivals(l *link, known heights) (*arrivals, error) {
	a := &arrivals{heights: known, waiting: make(map[string]map[chan struct{}]struct{})}
	_, err := l.subscribe(storedPrefix+"res.*.*.*", func(m *nats.Msg) {
		if tokens := strings.Split(m.Subject, "."); len(tokens) == 5 {
			if serial, ok := serialOf(strings.TrimPrefix(m.Subject, storedPrefix)); ok {
				a.heights.tops.record(tokens[2], serial)
			}
			a.heights.forget(tokens[2])
			a.wake(tokens[2])
		}
	})
	if err != nil {
		return nil, fmt.Errorf("watch results: %w", err)
	}
	l.watch(&watcher{connected: a.wakeAll})
	return a, nil
}

func (a *arrivals) wait(merchant string) (<-chan struct{}, func()) {
	signal := make(chan struct{}, 1)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting[merchant] == nil {
		a.waiting[merchant] = make(map[chan struct{}]struct{})
	}
	a.waiting[merchant][signal] = struct{}{}
	return signal, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting[merchant], signal)
		if len(a.waiting[merchant]) == 0 {
			delete(a.waiting, merchant)
		}
	}
}

func (a *arrivals) wake(merchant string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for signal := range a.waiting[merchant] {
		ring(signal)
	}
}

func (a *arrivals) wakeAll() {
	a.heights.forgetAll()
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, signals := range a.waiting {
		for signal := range signals {
			ring(signal)
		}
	}
}

func ring(signal chan<- struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}
