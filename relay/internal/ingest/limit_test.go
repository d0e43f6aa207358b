package ingest

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/shared/waittest"
)

func TestBudgets(t *testing.T) {
	now := time.Now()
	b, err := newBudgets[string](2, 3, 2, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	spend := func(key string, ok bool) time.Duration {
		t.Helper()
		wait, got := b.spend(key)
		if got != ok {
			t.Errorf("%s at %s: %v, want %v", key, now, got, ok)
		}
		return wait
	}
	for range 3 {
		spend("a", true)
	}
	if wait := spend("a", false); wait != 500*time.Millisecond {
		t.Errorf("wait %s, want half a second", wait)
	}
	spend("b", true) // another's budget is its own
	now = now.Add(500 * time.Millisecond)
	spend("a", true)
	spend("a", false)
	// Memory is bounded: a third key pushes out the one not seen for longest, which then starts
	// afresh.
	spend("c", true)
	for range 3 {
		spend("b", true)
	}
	if b.keys.Len() != 2 {
		t.Errorf("%d keys remembered, want 2", b.keys.Len())
	}
	if _, err := newBudgets[string](1, 1, 0, time.Now); err == nil {
		t.Error("a memory of nothing was accepted")
	}
	free, err := newBudgets[string](0, 1, 1, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, ok := free.spend("a"); !ok {
			t.Fatal("a rate of 0 is no limit")
		}
	}
}

func TestAddressesCountBySite(t *testing.T) {
	tests := map[string]string{
		"192.0.2.7:1234":              "192.0.2.7/32",
		"[::ffff:192.0.2.7]:1234":     "192.0.2.7/32",
		"[2001:db8:1:2:3:4:5:6]:1234": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:1234":         "fe80::/64",
	}
	for remote, want := range tests {
		if got := address(remote); got != netip.MustParsePrefix(want) {
			t.Errorf("%s counts as %s, want %s", remote, got, want)
		}
	}
	if got := address("@"); got != (netip.Prefix{}) {
		t.Errorf("no address counts as %s", got)
	}
}

// TestOneSiteIsNotManyAddresses has a site use a prefix of its own for each request and connection.
func TestOneSiteIsNotManyAddresses(t *testing.T) {
	s := newSite(t, func(p *plan) { p.noServer = true; p.limits.AddressRate, p.limits.AddressBurst = 0.001, 2 })
	served := func(network, n int) int {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/openapi.yaml", nil)
		r.RemoteAddr = fmt.Sprintf("[2001:db8:%x:%x::1]:4000", network, n)
		s.edge.ServeHTTP(w, r)
		return w.Code
	}
	for n := range 2 * siteRates {
		if got := served(7, n); got != 200 {
			t.Fatalf("request %d of a site: %d", n, got)
		}
	}
	if got := served(7, 1000); got != 429 {
		t.Errorf("a further prefix of the site: %d, want 429", got)
	}
	if got := served(8, 0); got != 200 {
		t.Errorf("another site: %d", got)
	}
	address, _, refused := proxied(t, 2)
	of := func(n int) string { return fmt.Sprintf("PROXY TCP6 2001:db8:7:%x::1 2001:db8::1 4000 443\r\n", n) }
	for n := range 2 {
		if answer, _ := send(t, address, of(n)); answer != "HTTP/1.1 204" {
			t.Fatalf("connection %d of a site: %q", n, answer)
		}
	}
	if answer, _ := send(t, address, of(2)); answer != "" {
		t.Errorf("a third connection of a site: %q", answer)
	}
	waittest.Receive(t, "the refusal", refused)
}

func TestConnectionsAreBounded(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var open atomic.Int64
	turned := make(chan struct{}, 10)
	l := LimitListener(inner, 10, 2, func(change int, refused bool) {
		open.Add(int64(change))
		if refused {
			turned <- struct{}{}
		}
	})
	defer l.Close()
	accepted := make(chan net.Conn, 10)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				close(accepted)
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	dial()
	dial()
	first, second := <-accepted, <-accepted
	third := dial()
	<-turned
	_ = third.SetReadDeadline(time.Now().Add(5 * time.Second))
	if n, err := third.Read(make([]byte, 1)); n != 0 || err == nil || err.Error() != io.EOF.Error() && !isReset(err) {
		t.Errorf("a connection too many: %d, %v; want it closed", n, err)
	}
	_ = first.Close()
	_ = first.Close() // releases its place once
	dial()
	fourth := <-accepted
	if open.Load() != 2 {
		t.Errorf("%d connections counted, want 2", open.Load())
	}
	_, _ = second.Close(), fourth.Close()
}

func isReset(err error) bool {
	_, ok := err.(*net.OpError) //nolint:errorlint // Read returns it unwrapped
	return ok
}
