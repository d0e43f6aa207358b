package journal

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// reading is how far the place was read from its beginning, while nothing had to be sent: what is
// lost in the middle shows in no end.
type reading struct {
	from  Cursor
	begun bool
	done  bool
	until int64 // how far the journal had come when it began
	end   int64 // entries from the first on up to here are there
	// of entries that were read, behind end: sent again, they stand out of their order
	spans   []span
	unsound int // messages that no vault signed, or of another generation
}

// span is entries from first up to size.
type span struct{ first, size int64 }

// take adds a message's entries.
func (r *reading) take(m Message) {
	if !r.begun {
		r.begun, r.end = true, m.First
	}
	r.spans = append(r.spans, span{m.First, m.Size()})
	slices.SortFunc(r.spans, func(a, b span) int { return int(a.first - b.first) })
	for len(r.spans) > 0 && r.spans[0].first <= r.end {
		r.end = max(r.end, r.spans[0].size)
		r.spans = r.spans[1:]
	}
}

// readOn reads the next page of the place, from its beginning once since the start, and once more
// whenever it shrank. It reports whether there was anything to read. What is missing is sent again,
// with a finding: the newest message has shown that this ledger is the newest.
func (j *Journal) readOn(ctx context.Context) (more bool, err error) {
	generation, err := j.generation()
	if err != nil {
		return false, err
	}
	j.mu.Lock()
	r, size := j.reading, j.size
	j.mu.Unlock()
	if r.done {
		return false, nil
	}
	if r.until == 0 {
		r.until = size
	}
	r.spans = slices.Clone(r.spans)
	if err := j.page(ctx, generation, &r); err != nil {
		return false, err
	}
	j.mu.Lock()
	j.reading = r
	j.mu.Unlock()
	if r.done && r.end < r.until {
		return true, j.refill(ctx, generation, r)
	}
	return true, nil
}

// survey reads the place from its beginning before anything is believed of it, for as long as
// Config.Survey; readOn goes on from there. It says what is missing, "" for nothing as far as it
// came.
func (j *Journal) survey(ctx context.Context, generation uint64, size int64) (hole string, err error) {
	r := reading{until: size}
	for begun := time.Now(); !r.done && time.Since(begun) < j.cfg.Survey; {
		if err := j.page(ctx, generation, &r); err != nil {
			return "", err
		}
	}
	if r.done && r.end < size {
		return r.lack(j.cfg.Name), nil
	}
	j.mu.Lock()
	j.reading = r
	j.mu.Unlock()
	return "", nil
}

// lack says what was found to be missing.
func (r reading) lack(place string) string {
	lack := fmt.Sprintf("the %s holds entries up to %d, and then not all up to %d", place, r.end, r.until)
	if r.unsound > 0 {
		lack += fmt.Sprintf("; %d messages in it are not the vault's", r.unsound)
	}
	return lack
}

// page reads one page.
func (j *Journal) page(ctx context.Context, generation uint64, r *reading) error {
	messages, next, err := j.cfg.Place.Page(ctx, generation, r.from)
	if err != nil {
		return placeError{err}
	}
	for _, data := range messages {
		m, err := Decode(data, j.cfg.Signer.Verifier())
		if err != nil || m.Generation != generation {
			r.unsound++
			continue
		}
		if err := j.sameRoot(m); err != nil {
			return err
		}
		r.take(m)
	}
	if r.done = next == nil; !r.done {
		r.from = *next
	}
	return nil
}

// refill takes what is damaged out of the way, reads what is left, and sends again what is missing
// from there on. Then all is read once more.
func (j *Journal) refill(ctx context.Context, generation uint64, r reading) error {
	lack := r.lack(j.cfg.Name)
	if err := j.cfg.Place.SetAside(ctx, generation); err != nil {
		return placeError{err}
	}
	left := reading{}
	for !left.done {
		if err := j.page(ctx, generation, &left); err != nil {
			return err
		}
	}
	j.mu.Lock()
	now := contents{first: j.first, size: left.end, room: j.room}
	j.reading = reading{}
	j.mu.Unlock()
	if !left.begun {
		now.size = now.first
	}
	if err := j.lost(ctx, generation, now, lack); err != nil {
		return err
	}
	j.found(generation, now)
	return nil
}
