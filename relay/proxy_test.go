package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"testing"
	"time"
)

// TestAddressesComeFromABalancer runs a relay behind a balancer on loopback, which passes on
// addresses ahead of TLS.
func TestAddressesComeFromABalancer(t *testing.T) {
	s := newSite(t)
	text, err := os.ReadFile(s.file("relay.toml"))
	s.check(err)
	text = bytes.Replace(text, []byte("address_rate = 1e6\naddress_burst = 1000000"), []byte("address_rate = 0.001\naddress_burst = 3"), 1)
	s.check(os.WriteFile(s.file("relay.toml"), append([]byte("proxy_from = [\"127.0.0.0/8\"]\n"), text...), 0o600))
	s.serve()
	roots := s.client.Transport.(*http.Transport).TLSClientConfig.RootCAs
	// ask sends a request over a connection with a header; 0 when it is closed unanswered.
	ask := func(header string) int {
		t.Helper()
		conn, err := net.Dial("tcp", s.addresses["listen"])
		s.check(err)
		defer conn.Close()
		s.check(conn.SetDeadline(time.Now().Add(10 * time.Second)))
		_, _ = conn.Write([]byte(header))
		secured := tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "127.0.0.1"})
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			DialContext: func(context.Context, string, string) (net.Conn, error) { return secured, nil }}}
		answer, err := client.Get("http://relay/openapi.yaml")
		if err != nil {
			return 0
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	of := func(n int) string { return fmt.Sprintf("PROXY TCP4 192.0.2.%d 192.0.2.1 4000 443\r\n", n) }
	for n := range 3 {
		if got := ask(of(7)); got != 200 {
			t.Fatalf("request %d of an address: %d", n, got)
		}
	}
	if got := ask(of(7)); got != 429 {
		t.Errorf("over the address's rate: %d, want 429", got)
	}
	if got := ask(of(8)); got != 200 {
		t.Errorf("another address by the same balancer: %d", got)
	}
	if got := ask(""); got != 0 {
		t.Errorf("without a header: %d, want no answer", got)
	}
	s.check(s.finish())
}
