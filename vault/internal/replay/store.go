package replay

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"maps"
	"os"
	"slices"
)

// recent is how many values of a store stay in memory: twice so many at most.
const recent = 4096

// store keeps values by key. Those that were used lately are in memory, the others in a file that has no name, so that nothing of them stays
// behind; of each there is only where its newest record is. It is not safe for concurrent use.
type store[V any] struct {
	young, old map[string]kept[V]
	index      map[uint64]int64 // by a hash of the key: place of the newest record with it, plus one
	seed       maphash.Seed
	file       *os.File
	end        int64
	buffer     []byte // records to be written at end
}

type kept[V any] struct {
	value V
	dirty bool // not in the file
}

// A record is the place of an earlier record with the same hash plus one (8 bytes), the lengths of key and value (4 bytes each, all little
// endian), the key, and the value's JSON.
const recordHead = 16

func newStore[V any]() (*store[V], error) {
	file, err := os.CreateTemp("", "nightdrop-replay-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("a file for what does not fit into memory: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &store[V]{young: map[string]kept[V]{}, old: map[string]kept[V]{}, index: map[uint64]int64{}, seed: maphash.MakeSeed(), file: file}, nil
}

func (s *store[V]) close() error { return s.file.Close() }

func (s *store[V]) get(key string) (v V, found bool, err error) {
	if k, ok := s.young[key]; ok {
		return k.value, true, nil
	}
	if k, ok := s.old[key]; ok {
		delete(s.old, key)
		return k.value, true, s.keep(key, k)
	}
	for at := s.index[maphash.String(s.seed, key)]; at != 0 && !found; {
		r, err := s.read(at - 1)
		if err != nil {
			return v, false, err
		}
		if found = r.key == key; found {
			if err := json.Unmarshal(r.value, &v); err != nil {
				return v, false, err
			}
		}
		at = r.earlier
	}
	if !found {
		return v, false, nil
	}
	return v, true, s.keep(key, kept[V]{value: v})
}

func (s *store[V]) put(key string, v V) error {
	delete(s.old, key)
	return s.keep(key, kept[V]{v, true})
}

func (s *store[V]) keep(key string, k kept[V]) error {
	s.young[key] = k
	if len(s.young) < recent {
		return nil
	}
	return s.age()
}

// age writes what was not used since the last time, and makes room.
func (s *store[V]) age() error {
	for _, key := range slices.Sorted(maps.Keys(s.old)) {
		k := s.old[key]
		if !k.dirty {
			continue
		}
		value, err := json.Marshal(k.value)
		if err != nil {
			return err
		}
		h := maphash.String(s.seed, key)
		place := s.end + int64(len(s.buffer))
		s.buffer = binary.LittleEndian.AppendUint64(s.buffer, uint64(s.index[h]))
		s.buffer = binary.LittleEndian.AppendUint32(s.buffer, uint32(len(key)))
		s.buffer = binary.LittleEndian.AppendUint32(s.buffer, uint32(len(value)))
		s.buffer = append(append(s.buffer, key...), value...)
		s.index[h] = place + 1
	}
	n, err := s.file.WriteAt(s.buffer, s.end)
	if err != nil {
		return fmt.Errorf("what does not fit into memory (%s): %w", os.TempDir(), err)
	}
	s.end += int64(n)
	s.buffer = s.buffer[:0]
	s.old, s.young = s.young, make(map[string]kept[V], recent)
	return nil
}

type record struct {
	earlier int64
	key     string
	value   []byte
}

func (s *store[V]) read(at int64) (record, error) {
	block := make([]byte, min(1024, s.end-at))
	if _, err := s.file.ReadAt(block, at); err != nil {
		return record{}, err
	}
	earlier := int64(binary.LittleEndian.Uint64(block))
	keyEnd := recordHead + int(binary.LittleEndian.Uint32(block[8:]))
	end := keyEnd + int(binary.LittleEndian.Uint32(block[12:]))
	if end > len(block) {
		block = make([]byte, end)
		if _, err := s.file.ReadAt(block, at); err != nil {
			return record{}, err
		}
	}
	return record{earlier, string(block[recordHead:keyEnd]), block[keyEnd:end]}, nil
}

// each gives fn every value once, in the order in which they were last written.
func (s *store[V]) each(fn func(V) error) error {
	for range 2 { // young becomes old, and old is written
		if err := s.age(); err != nil {
			return err
		}
	}
	places := slices.Sorted(maps.Values(s.index))
	var seen []string
	for _, at := range places {
		seen = seen[:0]
		for at != 0 {
			r, err := s.read(at - 1)
			if err != nil {
				return err
			}
			at = r.earlier
			if slices.Contains(seen, r.key) {
				continue
			}
			seen = append(seen, r.key)
			var v V
			if err := json.Unmarshal(r.value, &v); err != nil {
				return err
			}
			if err := fn(v); err != nil {
				return err
			}
		}
	}
	return nil
}
