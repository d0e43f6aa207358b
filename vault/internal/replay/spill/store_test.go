package spill

import (
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"testing"
)

func id(n int) string { return fmt.Sprintf("%012d", n) }

// value is what a store of tests holds.
type value struct {
	Key    string `json:"key"`
	Number int    `json:"number"`
}

// TestAStoreForgetsNothing: more values than stay in memory, written again and again, also where
// many keys have one hash.
func TestAStoreForgetsNothing(t *testing.T) {
	seed := maphash.MakeSeed()
	tenToOne := func(key string) uint32 { return uint32(maphash.String(seed, key[:len(key)-1])) }
	for name, hash := range map[string]func(string) uint32{"": nil, "with collisions": tenToOne} {
		t.Run(name, func(t *testing.T) {
			s, err := New(func(v value) string { return v.Key }, JSON[value]())
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			rounds := 10 * Recent
			if hash != nil {
				s.hash, rounds = hash, 4*Recent // chains grow
			}
			testStore(t, s, rounds)
		})
	}
}

func testStore(t *testing.T, s *Store[string, value], rounds int) {
	t.Helper()
	want := map[string]value{}
	for n := range rounds {
		key := id(n * 7919 % (3 * Recent))
		old, found, err := s.Get(key)
		if was, there := want[key]; err != nil || found != there || old != was {
			t.Fatalf("%s is %v, %v, %v; it was %v, %v", key, old, found, err, was, there)
		}
		v := value{key, n}
		want[key] = v
		if err := s.Put(key, v); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.young) + len(s.old); n > 2*Recent {
		t.Errorf("%d values in memory", n)
	}
	got := map[string]value{}
	err := s.Each(func(v value) error {
		if _, twice := got[v.Key]; twice {
			t.Errorf("%s comes twice", v.Key)
		}
		got[v.Key] = v
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d values of %d, or others", len(got), len(want))
	}
}

// TestAStoreIsUsableAfterABrokenWalk: nothing of it goes on in the background.
func TestAStoreIsUsableAfterABrokenWalk(t *testing.T) {
	s, err := New(func(v value) string { return v.Key }, JSON[value]())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	enough := errors.New("enough")
	for n := range 4 * Recent {
		if err := s.Put(id(n), value{id(n), n}); err != nil {
			t.Fatal(err)
		}
		if n%Recent == 0 {
			if err := s.Each(func(value) error { return enough }); !errors.Is(err, enough) {
				t.Fatal(err)
			}
		}
	}
	if v, found, err := s.Get(id(1)); err != nil || !found || v.Number != 1 {
		t.Errorf("%v, %v, %v", v, found, err)
	}
}
