package channel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"nightdrop/shared/config"
)

const defaultPort = "4222"

// dialer makes the library's connections, to the brokers of [Options].URL only: it does TLS itself,
// so that a guard stands between broker and library. One link uses it, one connection at a time.
type dialer struct {
	config   *tls.Config
	hosts    map[string]bool // host:port
	violated func(error)

	mu   sync.Mutex
	last net.Conn
}

func newDialer(options Options, violated func(error)) (*dialer, error) {
	config, err := clientTLS(options)
	if err != nil {
		return nil, err
	}
	hosts, err := brokers(options.URL)
	if err != nil {
		return nil, err
	}
	return &dialer{config: config, hosts: hosts, violated: violated}, nil
}

func brokers(urls string) (map[string]bool, error) {
	hosts := map[string]bool{}
	for text := range strings.SplitSeq(urls, ",") {
		text = strings.TrimSpace(text)
		if !strings.Contains(text, "://") {
			text = "tls://" + text
		}
		u, err := url.Parse(text)
		if err != nil || u.Hostname() == "" || u.Scheme != "tls" && u.Scheme != "nats" || u.User != nil || strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment != "" {
			return nil, errURL
		}
		port := u.Port()
		if port == "" {
			port = defaultPort
		}
		address := net.JoinHostPort(u.Hostname(), port)
		if config.CheckAddress(address) != nil {
			return nil, errURL
		}
		hosts[address] = true
	}
	return hosts, nil
}

// errURL does not repeat the URL: some write a password into it.
var errURL = errors.New("the channel's URL is not of the form tls://host:port, several with commas")

// SkipTLSHandshake: the connection has its TLS already.
func (d *dialer) SkipTLSHandshake() bool { return true }

// Dial connects to the broker, trying its addresses in random order.
func (d *dialer) Dial(_, address string) (net.Conn, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.last != nil {
		_ = d.last.Close() // the library forgets a connection that failed before it stood
		d.last = nil
	}
	if !d.hosts[address] {
		return nil, fmt.Errorf("broker %s is not one of the configured: it is not dialled", address)
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("broker %s: %w", address, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	addresses, err := net.DefaultResolver.LookupHost(ctx, host)
	if err != nil {
		return nil, fmt.Errorf("broker %s: %w", address, err)
	}
	// #nosec G404 -- spreads load, hides nothing
	rand.Shuffle(len(addresses), func(i, j int) { addresses[i], addresses[j] = addresses[j], addresses[i] })
	var failures []error
	for _, each := range addresses {
		conn, err := d.handshake(ctx, connectTimeout/time.Duration(len(addresses)), host, net.JoinHostPort(each, port))
		if err == nil {
			d.last = conn
			return newGuard(conn, conn.NetConn(), address, d.violated), nil
		}
		failures = append(failures, err)
	}
	return nil, fmt.Errorf("broker %s: %w", address, errors.Join(failures...))
}

// handshake connects to one address of host, whose name the certificate must hold.
func (d *dialer) handshake(ctx context.Context, timeout time.Duration, host, address string) (*tls.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var plain net.Dialer
	raw, err := plain.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	config := d.config.Clone()
	config.ServerName = host
	conn := tls.Client(raw, config)
	if err := conn.HandshakeContext(ctx); err != nil {
		_ = raw.Close() // the handshake's error is the one that counts
		return nil, fmt.Errorf("TLS with %s: %w", address, err)
	}
	return conn, nil
}
