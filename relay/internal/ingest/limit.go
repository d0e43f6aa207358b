package ingest

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Limits bound what the edge takes. A rate of 0 means no limit; everything else must be above 0.
type Limits struct {
	AddressRate  float64 // requests a second of one address (IPv6: of one /64)
	AddressBurst int     // requests that an address may send at once
	// addresses, and merchants, remembered; the least recently seen is forgotten first, and starts
	// afresh
	Tracked int
	// posts a second, and reads a second, of one merchant, counted once it has proved who it is
	MerchantRate  float64
	MerchantBurst int
	Polls         int // reads of results that wait at a time, and as many that do not
	MerchantPolls int // of one merchant

	// Posts at a time whose bodies are in: in all, of one address, and of one merchant that has
	// proved who it is.
	InFlight         int
	AddressInFlight  int
	MerchantInFlight int

	// how long a post waits for the durable ack before it is told to try again
	AckWait time.Duration
}

// budgets gives each key its own token bucket, in bounded memory. It is safe for concurrent use.
type budgets[K comparable] struct {
	rate  rate.Limit
	burst int
	now   func() time.Time

	mu   sync.Mutex
	keys *simplelru.LRU[K, *rate.Limiter]
}

func newBudgets[K comparable](perSecond float64, burst, keys int, now func() time.Time) (*budgets[K], error) {
	lru, err := simplelru.NewLRU[K, *rate.Limiter](keys, nil)
	if err != nil {
		return nil, err
	}
	return &budgets[K]{rate: rate.Limit(perSecond), burst: burst, now: now, keys: lru}, nil
}

// spend takes one token of key. Without one it reports how long to wait for the next.
func (b *budgets[K]) spend(key K) (wait time.Duration, ok bool) {
	if b.rate == 0 {
		return 0, true
	}
	b.mu.Lock()
	limiter, found := b.keys.Get(key)
	if !found {
		limiter = rate.NewLimiter(b.rate, b.burst)
		b.keys.Add(key, limiter)
	}
	b.mu.Unlock()
	now := b.now()
	if limiter.AllowN(now, 1) {
		return 0, true
	}
	missing := 1 - limiter.TokensAt(now)
	return time.Duration(missing / float64(b.rate) * float64(time.Second)), false
}

// address is whom a connection counts against: an IPv4 address, or the /64 of an IPv6 one, which is
// what a site or a household is given.
func address(remote string) netip.Prefix {
	endpoint, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	ip, bits := endpoint.Addr().Unmap().WithZone(""), 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

const (
	// siteBits is the length of the prefix that whoever runs a site of his own gets (RFC 6177):
	// 65,536 of address's prefixes.
	siteBits = 48
	// siteRates is how many times an address's rate a site has.
	siteRates = 16
)

// siteOf is whose an address is: of an IPv6 prefix the /48 around it. What is held, connections and
// places, counts against that, or one site could hold all of it, a little by each of its prefixes.
func siteOf(of netip.Prefix) netip.Prefix {
	if !of.Addr().Is6() {
		return of
	}
	return netip.PrefixFrom(of.Addr(), siteBits).Masked()
}

// spendAddress takes a token of the request's address and, where that is one of a site's many, of
// the site.
func (e *Edge) spendAddress(r *http.Request) (wait time.Duration, ok bool) {
	of := addressOf(r)
	if wait, ok := e.addresses.spend(of); !ok || !of.Addr().Is6() {
		return wait, ok
	}
	return e.sites.spend(siteOf(of))
}

func addressOf(r *http.Request) netip.Prefix { return address(r.RemoteAddr) }
