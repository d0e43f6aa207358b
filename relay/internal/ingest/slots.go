package ingest

import "sync"

// slots counts what is under way, in all and for each key. It is safe for concurrent use.
//
// If one key may not have all, it gets at most half of what is left, and the last quarter is for
// keys that have next to none. So it takes very many keys to leave a newcomer without a slot.
type slots[K comparable] struct {
	mu        sync.Mutex
	all       int
	mostOfAll int
	each      map[K]int
	mostEach  int
}

func newSlots[K comparable](all, each int) *slots[K] {
	return &slots[K]{mostOfAll: all, mostEach: each, each: make(map[K]int)}
}

// acquire returns a function that gives the slot back, once.
func (s *slots[K]) acquire(key K) (release func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all >= s.mostOfAll || s.each[key] >= s.share() {
		return nil, false
	}
	s.all++
	s.each[key]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.each[key]--; s.each[key] == 0 {
			delete(s.each, key)
		}
	}, true
}

const (
	reservedPart = 4   // of all slots, one in so many is for keys that have next to none
	nextToNone   = 512 // of all slots, one in so many, but
	leastSlots   = 4   // so many at the least: a vault has two connections
)

// share returns how many slots a key may have now. s.mu is held.
func (s *slots[K]) share() int {
	if s.mostEach >= s.mostOfAll {
		return s.mostEach
	}
	left := s.mostOfAll - s.all - s.mostOfAll/reservedPart
	return min(s.mostEach, max(left/2, s.mostOfAll/nextToNone, leastSlots))
}

func (s *slots[K]) held() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all
}
