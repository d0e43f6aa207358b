package bagger

import (
	"encoding/hex"
	"time"
)

const (
	// repeatFor is how long after the ack a repeated envelope gets that bag's receipt
	// (specification 6).
	repeatFor = time.Minute
	// sweepEvery is how often older ones are forgotten for merchants that post nothing, too.
	sweepEvery = 10 * time.Second
)

// repeats remembers the places of envelopes acked within the last minute, at most `most`. When it
// is full, a merchant that has its equal part gives up its own oldest; one that has less may add,
// so nobody loses by another: the sum stays below twice `most`. It holds no pointers, so that the
// garbage collector passes over it. It is not safe for concurrent use.
type repeats struct {
	most      int
	kept      int
	merchants map[string]*recent
	swept     time.Time
}

// recent is one merchant's part: envelopes by digest, and digests in the order of their acks.
type recent struct {
	places map[digest]remembered
	order  []digest
}

type digest [32]byte

// remembered is a [Place] without its run, the bagger's own; times are Unix nanoseconds.
type remembered struct {
	number          uint64
	index           int32
	received, acked int64
}

func newRepeats(most int) *repeats { return &repeats{most: most, merchants: make(map[string]*recent)} }

// digestOf reads 64 hex digits. Anything else is not remembered.
func digestOf(text string) (d digest, ok bool) {
	n, err := hex.Decode(d[:], []byte(text))
	return d, err == nil && n == len(d)
}

// lookUp returns the place of an envelope whose bag was acked within the last minute.
func (r *repeats) lookUp(e Envelope, now time.Time) (p Place, ok bool) {
	own := r.merchants[e.Merchant]
	if own == nil {
		return Place{}, false
	}
	d, ok := digestOf(e.Digest)
	if !ok {
		return Place{}, false
	}
	found, ok := own.places[d]
	if !ok || now.UnixNano()-found.acked > int64(repeatFor) {
		return Place{}, false
	}
	return Place{Number: found.number, Index: int(found.index), Received: time.Unix(0, found.received)}, true
}

func (r *repeats) add(e Envelope, p Place, now time.Time) {
	d, ok := digestOf(e.Digest)
	if !ok || r.most == 0 {
		return
	}
	if now.Sub(r.swept) >= sweepEvery {
		r.sweep(now)
	}
	own := r.merchants[e.Merchant]
	if own == nil {
		own = &recent{places: make(map[digest]remembered)}
		r.merchants[e.Merchant] = own
	}
	r.kept -= own.expire(now)
	if r.kept >= r.most && len(own.places) >= max(1, r.most/len(r.merchants)) {
		own.drop()
		r.kept--
	}
	if _, again := own.places[d]; !again {
		own.order = append(own.order, d)
		r.kept++
	}
	own.places[d] = remembered{number: p.Number, index: int32(p.Index), received: p.Received.UnixNano(), acked: now.UnixNano()}
}

func (r *repeats) sweep(now time.Time) {
	r.swept = now
	for merchant, own := range r.merchants {
		r.kept -= own.expire(now)
		if len(own.places) == 0 {
			delete(r.merchants, merchant)
		}
	}
}

// expire forgets what is over a minute old and returns how many.
func (m *recent) expire(now time.Time) (gone int) {
	for len(m.order) > 0 && now.UnixNano()-m.places[m.order[0]].acked > int64(repeatFor) {
		m.drop()
		gone++
	}
	return gone
}

func (m *recent) drop() {
	delete(m.places, m.order[0])
	m.order = m.order[1:]
}
