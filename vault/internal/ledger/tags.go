package ledger

import (
	"bytes"
	"hash/maphash"
	"sync"

	"nightdrop/vault/internal/ledger/pages"
)

// tags is what the open ledger remembers of the buckets that are proven first: of each record and
// index entry 32 bits over its value; of each bucket, and each part of an index that is read as
// one, how many it has. It is filled while the buckets are compared with their sums, and follows
// every commit. What is read later must agree, present or absent, so that a file that changes under
// the open ledger is noticed. The hash is keyed by the process. About 26 bytes an entry (a Go map
// of 8 and 4 bytes).
//
// A snapshot sees the tags of its own commit: what a commit replaced is kept while an older reader
// may need it.
type tags struct {
	seed maphash.Seed

	mu        sync.RWMutex
	now       map[uint64]uint32
	before    map[uint64][]replacedTag // by place, oldest first
	kept      []keptTags               // what before holds, oldest first
	committed int                      // the newest commit that is known to have happened
	readers   map[int]int              // that began when this one was the newest -> how many
}

// tag is what is known of one place: count, or 32 bits of a value; not there is a known absence.
type tag struct {
	bits  uint32
	there bool
}

type replacedTag struct {
	by int // the commit that replaced it
	tag
}

type keptTags struct {
	by     int
	places []uint64
}

func newTags(entries int) *tags {
	return &tags{seed: maphash.MakeSeed(), now: make(map[uint64]uint32, entries), before: map[uint64][]replacedTag{}, readers: map[int]int{}}
}

// slot is where a record's tag is kept.
func (t *tags) slot(bucket string, key []byte) uint64 {
	var h maphash.Hash
	h.SetSeed(t.seed)
	_, _ = h.WriteString(bucket)
	_ = h.WriteByte(0)
	_, _ = h.Write(key)
	return h.Sum64()
}

// countPlace is where the number of a bucket's records under prefix (as of groupOf) is kept.
func (t *tags) countPlace(bucket string, prefix []byte) uint64 {
	return t.slot("number of "+bucket, prefix)
}

func (t *tags) value(value []byte) tag {
	return tag{uint32(maphash.Bytes(t.seed, value)), true}
}

// groupOf is the beginning of a key by which an index is read; "" for those that are read whole.
func groupOf(bucket string, key []byte) []byte {
	from, cuts := 0, 1
	switch bucket {
	case indexMerchant, indexStage:
	case indexBatch:
		from = 4
	case indexOf:
		cuts = 2
	default:
		return nil
	}
	for range cuts {
		at := bytes.IndexByte(key[min(from, len(key)):], '/')
		if at < 0 {
			return key
		}
		from += at + 1
	}
	return key[:from]
}

// fill adds what a leaf holds, before anything is read.
func (t *tags) fill(bucket string, records []pages.Element) {
	for _, e := range records {
		t.now[t.slot(bucket, e.Key)] = t.value(e.Value).bits
		t.now[t.countPlace(bucket, groupOf(bucket, e.Key))]++
	}
}

// at returns what was known at a snapshot of this transaction number.
func (t *tags) at(snapshot int, place uint64) tag {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, old := range t.before[place] {
		if old.by > snapshot {
			return old.tag
		}
	}
	bits, there := t.now[place]
	return tag{bits, there}
}

// apply adds what a transaction changed, before its commit: a snapshot may see that before the
// writer.
func (t *tags) apply(by int, changed map[uint64]tag) {
	t.mu.Lock()
	defer t.mu.Unlock()
	kept := keptTags{by: by, places: make([]uint64, 0, len(changed))}
	for place, now := range changed {
		bits, there := t.now[place]
		t.before[place] = append(t.before[place], replacedTag{by, tag{bits, there}})
		kept.places = append(kept.places, place)
		if now.there {
			t.now[place] = now.bits
		} else {
			delete(t.now, place)
		}
	}
	t.kept = append(t.kept, kept)
}

// advance notes that a commit has happened, and forgets what no reader needs any more.
func (t *tags) advance(by int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed = by
	t.forget()
}

// enter is called before a snapshot begins, and leave, with what it returned, after it ends.
func (t *tags) enter() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.readers[t.committed]++
	return t.committed
}

func (t *tags) leave(entered int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.readers[entered]--; t.readers[entered] == 0 {
		delete(t.readers, entered)
	}
	t.forget()
}

func (t *tags) forget() {
	oldest := t.committed
	for entered := range t.readers {
		oldest = min(oldest, entered)
	}
	done := 0
	for ; done < len(t.kept) && t.kept[done].by <= oldest; done++ {
		for _, place := range t.kept[done].places {
			if t.before[place] = t.before[place][1:]; len(t.before[place]) == 0 {
				delete(t.before, place)
			}
		}
	}
	if t.kept = t.kept[done:]; len(t.kept) == 0 {
		t.kept = nil
	}
}
