package ingest

import (
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"

	"github.com/pires/go-proxyproto"
)

// ProxyListener reads callers' addresses from PROXY headers (haproxy's proxy-protocol.txt, versions
// 1 and 2) on connections from the balancers' networks. Those must begin with one, within
// headerTimeout and at most 4 KiB. Other connections keep their own address, so nobody else can
// forge one.
func ProxyListener(inner net.Listener, balancers []netip.Prefix) net.Listener {
	if len(balancers) == 0 {
		return inner
	}
	policy := func(o proxyproto.ConnPolicyOptions) (proxyproto.Policy, error) {
		from, err := netip.ParseAddrPort(o.Upstream.String())
		if err != nil || !slices.ContainsFunc(balancers, func(p netip.Prefix) bool { return p.Contains(from.Addr().Unmap().WithZone("")) }) {
			return proxyproto.SKIP, nil
		}
		return proxyproto.REQUIRE, nil
	}
	return &proxyproto.Listener{Listener: inner, ConnPolicy: policy, ReadHeaderTimeout: headerTimeout}
}

// Listener bounds the open connections, in all and of one address. Those above are closed
// unanswered: a TLS handshake would cost the relay more than the caller.
type Listener struct {
	net.Listener
	slots    *slots[netip.Prefix]
	nameless *slots[struct{}] // of balancers, which have not said yet whose they are
	observed func(change int, refused bool)
}

// LimitListener wraps inner, which may be a [ProxyListener]. observed is called when a connection
// opens (1), closes (-1) or is refused.
func LimitListener(inner net.Listener, all, perAddress int, observed func(change int, refused bool)) *Listener {
	return &Listener{inner, newSlots[netip.Prefix](all, perAddress), newSlots[struct{}](all, all), observed}
}

// Accept waits for a connection that fits into the limits.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if limited := l.admit(c); limited != nil {
			return limited, nil
		}
		_ = c.Close()
		l.observed(0, true)
	}
}

// admit returns a connection that releases its slot, or nil if there is none. A balancer's caller
// is known only when its header has been read; that is left to the first read, so as not to delay
// others.
func (l *Listener) admit(c net.Conn) net.Conn {
	var release func()
	var ok bool
	proxied, isProxied := c.(*proxyproto.Conn)
	if isProxied {
		release, ok = l.nameless.acquire(struct{}{})
	} else {
		release, ok = l.slots.acquire(siteOf(address(c.RemoteAddr().String())))
	}
	if !ok {
		return nil
	}
	l.observed(1, false)
	limited := limitedConn{Conn: c, held: &slot{release: release}}
	limited.closed = sync.OnceFunc(func() { limited.held.give(); l.observed(-1, false) })
	if isProxied {
		return &proxiedConn{limitedConn: limited, listener: l, proxied: proxied}
	}
	return &limited
}

// slot is a held slot that may be exchanged for another.
type slot struct {
	mu      sync.Mutex
	release func()
	gone    bool
}

func (s *slot) give() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.gone {
		s.release()
		s.gone = true
	}
}

// exchange acquires another slot instead; if acquire gives none, this one stays. It fails after
// give.
func (s *slot) exchange(acquire func() (func(), bool)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		return false
	}
	release, ok := acquire()
	if ok {
		s.release()
		s.release = release
	}
	return ok
}

type limitedConn struct {
	net.Conn
	held   *slot
	closed func()
}

func (c *limitedConn) Close() error {
	defer c.closed()
	return c.Conn.Close()
}

// NetConn returns the connection as it was accepted. Only the wrapper may be closed.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

var errTurnedAway = errors.New("too many connections of one address")

// proxiedConn is a connection by a balancer.
type proxiedConn struct {
	limitedConn
	listener *Listener
	proxied  *proxyproto.Conn
	named    sync.Once
	refusal  error
}

// Read reads, first the header that names the caller.
func (c *proxiedConn) Read(b []byte) (int, error) {
	c.named.Do(func() {
		caller := siteOf(address(c.proxied.RemoteAddr().String())) // waits for the header
		if !c.held.exchange(func() (func(), bool) { return c.listener.slots.acquire(caller) }) {
			c.refusal = errTurnedAway
			_ = c.Close() // or net/http would answer
			c.listener.observed(0, true)
		}
	})
	if c.refusal != nil {
		return 0, c.refusal
	}
	return c.Conn.Read(b)
}
