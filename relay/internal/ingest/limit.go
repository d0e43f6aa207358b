package ingest

import (
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/time/rate"
)

// Limits bound what the edge accepts. A rate of 0 means no limit; all else must be above 0.
type Limits struct {
	AddressRate  float64 // requests a second of one address (IPv6: of one /64)
	AddressBurst int     // requests that an address may send at once
	// addresses and merchants remembered; the least recently seen is forgotten first
	Tracked int
	// posts and reads a second of one merchant, counted once its signature has verified
	MerchantRate  float64
	MerchantBurst int
	Polls         int // reads of results that wait at a time, and as many that do not
	MerchantPolls int // of one merchant

	// posts at a time whose bodies are in: in all, of one address, and of one verified merchant
	InFlight         int
	AddressInFlight  int
	MerchantInFlight int

	AckWait time.Duration // how long a post waits for the durable ack before it is answered 503
}

// budgets gives each key its own token bucket, in bounded memory. Safe for concurrent use.
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

// spend uses one token of key. If there is none it returns how long to wait for the next.
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

// address is what a connection counts against: an IPv4 address, or an IPv6 /64, as a household
// gets.
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
	// siteBits is the prefix length of an IPv6 site (RFC 6177): 65,536 of address's prefixes.
	siteBits = 48
	// siteRates is how many times an address's rate a site has.
	siteRates = 16
)

// siteOf returns the site of an address: for IPv6 the /48 around it. Connections and slots count
// against that too, or one site could hold them all through its many prefixes.
func siteOf(of netip.Prefix) netip.Prefix {
	if !of.Addr().Is6() {
		return of
	}
	return netip.PrefixFrom(of.Addr(), siteBits).Masked()
}

// spendAddress uses a token of the request's address and, if that is an IPv6 prefix, of its site.
func (e *Edge) spendAddress(r *http.Request) (wait time.Duration, ok bool) {
	of := addressOf(r)
	if wait, ok := e.addresses.spend(of); !ok || !of.Addr().Is6() {
		return wait, ok
	}
	return e.sites.spend(siteOf(of))
}

func addressOf(r *http.Request) netip.Prefix { return address(r.RemoteAddr) }
