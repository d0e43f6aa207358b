package journal

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// reading is how far the place was read from its beginning, while nothing had to be sent: losses in
// the middle do not show at the ends.
type reading struct {
	from    Cursor
	begun   bool
	done    bool
	until   int64  // the journal's size when it began
	end     int64  // entries from the first up to here are there
	spans   []span // read after end: entries that were sent again are out of order
	invalid int    // messages that the vault did not sign, or of another generation
}

// span is entries from first up to size.
type span struct{ first, size int64 }

func (r *reading) add(m Message) {
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

// readOn reads the next page of the place, from its beginning once since the start and whenever it
// shrank. It reports whether there was anything to read. What is missing is sent again, with a
// finding: the newest message has shown that this ledger is the newest.
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

// survey reads the place from its beginning for Config.Survey, before it is trusted; readOn goes on
// from there. It returns what is missing so far, or "".
func (j *Journal) survey(ctx context.Context, generation uint64, size int64) (gap string, err error) {
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

// lack describes what is missing.
func (r reading) lack(place string) string {
	lack := fmt.Sprintf("the %s holds all entries up to %d, but not all up to %d", place, r.end, r.until)
	if r.invalid > 0 {
		lack += fmt.Sprintf("; %d of its messages are not the vault's", r.invalid)
	}
	return lack
}

func (j *Journal) page(ctx context.Context, generation uint64, r *reading) error {
	messages, next, err := j.cfg.Place.Page(ctx, generation, r.from)
	if err != nil {
		return placeError{err}
	}
	for _, data := range messages {
		m, err := Decode(data, j.cfg.Signer.Verifier())
		if err != nil || m.Generation != generation {
			r.invalid++
			continue
		}
		if err := j.sameRoot(m); err != nil {
			return err
		}
		r.add(m)
	}
	if r.done = next == nil; !r.done {
		r.from = *next
	}
	return nil
}

// refill sets aside what is damaged, reads what is left, and has what is missing sent again. Then
// all is read once more.
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
	if err := j.recordLoss(ctx, generation, now, lack); err != nil {
		return err
	}
	j.adopt(generation, now)
	return nil
}
