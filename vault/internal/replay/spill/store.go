// Package spill keeps values by key, most of them in a file without a name, so that nothing of them
// remains: for a replay, whose memory must not grow with a log's payments. It knows nothing of what
// the values are.
package spill

import (
	"errors"
	"fmt"
	"hash/maphash"
	"os"
)

// Recent is how many values of a store stay in memory: three times so many at most, so that the
// payments of a large batch are there from their approval to their settlement.
const Recent = 4096

// Store keeps values by key: those used lately in memory, the others in a file, with 8 bytes of
// memory each for where the newest record is. Its methods are for one goroutine.
type Store[K comparable, V any] struct {
	keyOf      func(V) K
	hash       func(K) uint32
	young, old map[K]*kept[V]
	leaving    map[K]*kept[V]    // on their way into the file: read only
	left       chan written      // what came of that
	index      map[uint32]uint32 // by a hash of the key: place of the newest record with it
	records    *records[V]
	last       K // the key that was used last, and what is young under it: mostly it is used again
	lastKept   *kept[V]
	free       []*kept[V] // that were dropped: what is kept next takes their place
}

type kept[V any] struct {
	value V
	dirty bool // not in the file
}

// written is the outcome of writing values.
type written struct {
	places map[uint32]uint32 // by hash: to be put into the index
	err    error
}

// New makes an empty store. keyOf gives a value's key.
func New[K comparable, V any](keyOf func(V) K, f Form[V]) (*Store[K, V], error) {
	r, err := newRecords(f)
	if err != nil {
		return nil, err
	}
	seed := maphash.MakeSeed()
	return &Store[K, V]{keyOf: keyOf, hash: func(key K) uint32 { return uint32(maphash.Comparable(seed, key)) }, young: map[K]*kept[V]{}, old: map[K]*kept[V]{},
		leaving: map[K]*kept[V]{}, index: map[uint32]uint32{}, records: r}, nil
}

// Close removes the file.
func (s *Store[K, V]) Close() error { return errors.Join(s.settle(), s.records.close()) }

// Get returns the value of a key.
func (s *Store[K, V]) Get(key K) (v V, found bool, err error) {
	// keep may make room, and wipe what k names: the value is copied before.
	if k, ok := s.lookup(key); ok {
		return k.value, true, nil
	}
	if k, ok := s.old[key]; ok {
		v = k.value
		delete(s.old, key)
		return v, true, s.keep(key, k)
	}
	if k, ok := s.leaving[key]; ok {
		v = k.value
		again := s.newKept()
		again.value = v
		return v, true, s.keep(key, again)
	}
	for at := s.index[s.hash(key)]; at != 0; {
		k := s.newKept()
		if at, err = s.records.read(at, &k.value); err != nil {
			return v, false, err
		}
		if s.keyOf(k.value) == key {
			v = k.value
			return v, true, s.keep(key, k)
		}
	}
	return v, false, nil
}

// Put keeps a value.
func (s *Store[K, V]) Put(key K, v V) error {
	k, ok := s.lookup(key)
	if ok {
		k.value, k.dirty = v, true
		return nil
	}
	if k, ok = s.old[key]; ok {
		delete(s.old, key)
	} else {
		k = s.newKept()
	}
	k.value, k.dirty = v, true
	return s.keep(key, k)
}

// lookup returns a value that is in memory.
func (s *Store[K, V]) lookup(key K) (*kept[V], bool) {
	if s.lastKept != nil && key == s.last {
		return s.lastKept, true
	}
	k, ok := s.young[key]
	if ok {
		s.last, s.lastKept = key, k
	}
	return k, ok
}

func (s *Store[K, V]) newKept() *kept[V] {
	n := len(s.free)
	if n == 0 {
		return &kept[V]{}
	}
	k := s.free[n-1]
	s.free = s.free[:n-1]
	return k
}

func (s *Store[K, V]) keep(key K, k *kept[V]) error {
	s.young[key] = k
	s.last, s.lastKept = key, k
	if len(s.young) < Recent {
		return nil
	}
	return s.age()
}

// age makes room: what was not used since the last time but one is written, concurrently.
func (s *Store[K, V]) age() error {
	if err := s.settle(); err != nil {
		return err
	}
	s.lastKept = nil
	s.leaving, s.old, s.young = s.old, s.young, s.leaving // which settle has emptied
	s.left = make(chan written, 1)
	go func() {
		places := map[uint32]uint32{}
		for key, k := range s.leaving {
			if !k.dirty {
				continue
			}
			h := s.hash(key)
			earlier, ok := places[h]
			if !ok {
				earlier = s.index[h]
			}
			at, err := s.records.append(earlier, &k.value)
			if err != nil {
				s.left <- written{nil, err}
				return
			}
			places[h] = at
		}
		s.left <- written{places, s.records.flush()}
	}()
	return nil
}

// settle waits until what is leaving is in the file.
func (s *Store[K, V]) settle() error {
	if s.left == nil {
		return nil
	}
	w := <-s.left
	s.left = nil
	if w.err != nil {
		return fmt.Errorf("what does not fit into memory (%s): %w", os.TempDir(), w.err)
	}
	for h, at := range w.places {
		s.index[h] = at
	}
	for _, k := range s.leaving {
		*k = kept[V]{} // what it names is given back
		s.free = append(s.free, k)
	}
	clear(s.leaving)
	return nil
}

// Each gives fn every value once, in the order in which they were last written.
func (s *Store[K, V]) Each(fn func(V) error) error {
	for range 2 { // young becomes old, and old is written
		if err := s.age(); err != nil {
			return err
		}
	}
	if err := s.settle(); err != nil {
		return err
	}
	return s.records.each(func(at uint32, v *V) error {
		newest, err := s.isNewest(s.keyOf(*v), at)
		if err != nil || !newest {
			return err
		}
		return fn(*v)
	})
}

// isNewest reports whether no later record than that at a place has the key.
func (s *Store[K, V]) isNewest(key K, place uint32) (bool, error) {
	for at := s.index[s.hash(key)]; at != place; {
		var v V
		earlier, err := s.records.read(at, &v)
		if err != nil {
			return false, err
		}
		if s.keyOf(v) == key {
			return false, nil
		}
		at = earlier
	}
	return true, nil
}
