package channel

import (
	"sync"

	lru "github.com/hashicorp/golang-lru/v2"
)

// tops remembers the highest serial of merchants' results, from a list over this connection on.
type tops struct {
	mu      sync.Mutex
	highest *lru.Cache[string, uint64]
}

func (t *tops) get(merchant string) (serial uint64, known bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.highest.Get(merchant)
}

// begin starts hearing a merchant's serials.
func (t *tops) begin(merchant string, serial uint64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.highest.Add(merchant, serial)
}

// raise records a serial that exists, and returns the highest known.
func (t *tops) raise(merchant string, serial uint64) uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	known, _ := t.highest.Get(merchant)
	t.highest.Add(merchant, max(known, serial))
	return max(known, serial)
}

// record keeps a serial just stored, for a merchant that was begun.
func (t *tops) record(merchant string, serial uint64) {
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
