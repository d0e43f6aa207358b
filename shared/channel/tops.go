package channel

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// tops remembers the highest serial of some merchants' results, from a list over this connection
// on.
type tops struct {
	mu      sync.Mutex
	highest *lru.Cache[string, uint64]
}

func (t *tops) get(merchant string) (serial uint64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.highest.Get(merchant)
}

// begin has a merchant's serials heard from now on.
func (t *tops) begin(merchant string, serial uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.highest.Add(merchant, serial)
}

// raise takes a serial that is there, and returns the highest that is known.
func (t *tops) raise(merchant string, serial uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, _ := t.highest.Get(merchant)
	t.highest.Add(merchant, max(known, serial))
	return max(known, serial)
}

// hear takes a serial that was stored just now; of a merchant that nobody asked for it is left out.
func (t *tops) hear(merchant string, serial uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if known, ok := t.highest.Peek(merchant); ok && serial > known {
		t.highest.Add(merchant, serial)
	}
}

func (t *tops) forget(merchant string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.highest.Remove(merchant)
}

func (t *tops) forgetAll() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.highest.Purge()
}
