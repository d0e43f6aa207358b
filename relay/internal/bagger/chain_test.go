package bagger

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
)

// TestManySubmittersOverABadChannel posts from many sides while a third of the attempts fail, and
// then reads the stream as the vault would: every bag in the chain, every accepted envelope at the
// place of its receipt.
func TestManySubmittersOverABadChannel(t *testing.T) {
	f := start(t)
	stream := &lossyStream{stored: map[string][]byte{}}
	go func() {
		for a := range f.channel.attempts {
			a.ack <- stream.take(t, a)
		}
	}()
	var accepted sync.Map
	var group sync.WaitGroup
	for i := range 200 {
		group.Go(func() {
			text := fmt.Sprintf("envelope %d", i)
			for {
				place, err := f.Submit(t.Context(), fresh(text))
				if err == nil {
					accepted.Store(text, place)
					return
				}
				time.Sleep(time.Duration(rand.IntN(5)) * time.Millisecond)
			}
		})
	}
	group.Wait()
	places := f.places(t, stream.stored)
	accepted.Range(func(text, place any) bool {
		p := place.(Place)
		if !places[fmt.Sprintf("%s %d %d", text, p.Number, p.Index)] {
			t.Errorf("%s is not at %+v", text, p)
		}
		return true
	})
}

// lossyStream takes five of six bags, and reports only four.
type lossyStream struct {
	mu     sync.Mutex
	stored map[string][]byte // by message id
}

func (l *lossyStream) take(t *testing.T, a attempt) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	fate := rand.IntN(6)
	if fate == 0 {
		return channel.ErrUnavailable
	}
	if stored, ok := l.stored[a.id]; ok && !bytes.Equal(stored, a.msg) {
		t.Errorf("bag %s came with other bytes", a.id)
	}
	l.stored[a.id] = a.msg
	if fate == 1 {
		return channel.ErrUnknown
	}
	return nil
}

// places checks that the bags are one chain and returns "envelope number index" for all in them.
func (f *fixture) places(t *testing.T, stored map[string][]byte) map[string]bool {
	t.Helper()
	numbered := map[uint64]attempt{}
	for _, msg := range stored {
		bag, _, err := envelope.OpenBag(msg, f.relay)
		if err != nil {
			t.Fatal(err)
		}
		numbered[bag.Value.Number] = attempt{msg: msg}
	}
	var previous *envelope.Signed[envelope.Bag]
	places := map[string]bool{}
	for number := uint64(1); number <= uint64(len(stored)); number++ {
		a, ok := numbered[number]
		if !ok {
			t.Fatalf("of %d bags number %d is missing", len(stored), number)
		}
		bag, envelopes := f.read(t, a, previous)
		previous = &bag
		for i, e := range envelopes {
			places[fmt.Sprintf("%s %d %d", e, number, i)] = true
		}
	}
	return places
}
