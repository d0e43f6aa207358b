package brokertest

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Hostile is a listener in the broker's place that says what a script says. Its certificate is the
// site's.
type Hostile struct {
	Address  string
	Accepted atomic.Int64 // connections whose TLS stood

	listener net.Listener
	done     sync.WaitGroup
	mu       sync.Mutex
	open     map[net.Conn]bool
}

// Peer is one connection to a Hostile.
type Peer struct {
	net.Conn
	Number int64 // of the connection, from 1
	Nonce  string

	in *bufio.Reader
}

// Hostile listens on the site's address, while its broker is stopped, and hands each connection to
// script, which may leave it open: it is closed with the test or by Close.
func (s *Site) Hostile(script func(*Peer)) *Hostile {
	s.tb.Helper()
	certificate, err := tls.LoadX509KeyPair(s.File("broker.pem"), s.File("broker.key"))
	s.must(err)
	listener, err := tls.Listen("tcp", s.Config.Listen, &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13})
	s.must(err)
	h := &Hostile{Address: listener.Addr().String(), listener: listener, open: make(map[net.Conn]bool)}
	s.Config.Listen = h.Address
	h.done.Go(func() { h.accept(script) })
	s.tb.Cleanup(h.Close)
	return h
}

func (h *Hostile) accept(script func(*Peer)) {
	for {
		conn, err := h.listener.Accept()
		if err != nil {
			return // closed
		}
		h.mu.Lock()
		h.open[conn] = true
		h.mu.Unlock()
		h.done.Go(func() {
			if conn.(*tls.Conn).Handshake() != nil {
				return
			}
			script(&Peer{Conn: conn, Number: h.Accepted.Add(1), Nonce: "bm9uY2U", in: bufio.NewReaderSize(conn, 2<<20)})
		})
	}
}

// Close ends the listener and every connection. It may be called again.
func (h *Hostile) Close() {
	_ = h.listener.Close() // it may be closed
	h.mu.Lock()
	for conn := range h.open {
		_ = conn.Close() // the peer may have done so
	}
	clear(h.open)
	h.mu.Unlock()
	h.done.Wait()
}

// Greet sends a broker's first line, with members added to its INFO (",\"member\":value"), and
// takes the client in.
func (p *Peer) Greet(members string) error {
	if err := p.Inform(members); err != nil {
		return err
	}
	if _, err := p.Next("PING"); err != nil {
		return err
	}
	return p.Say("PONG\r\n")
}

// Inform sends INFO, with members added.
func (p *Peer) Inform(members string) error {
	return p.Say(fmt.Sprintf(`INFO {"server_id":"H","version":"2.15.2","proto":1,"headers":true,"max_payload":1048576,`+
		`"tls_required":true,"auth_required":true,"nonce":%q%s}`+"\r\n", p.Nonce, members))
}

// Say writes text as it stands.
func (p *Peer) Say(text string) error {
	_, err := io.WriteString(p, text)
	return err
}

// Flood sends text again and again until the client closes the connection or limit bytes were
// taken. It returns the bytes taken.
func (p *Peer) Flood(text string, limit int) (taken int) {
	block := strings.Repeat(text, max(1, 64<<10/len(text)))
	for taken < limit {
		n, err := io.WriteString(p, block)
		taken += n
		if err != nil {
			return taken
		}
	}
	return taken
}

// Next reads the client's lines up to one that begins with prefix, and returns its words.
func (p *Peer) Next(prefix string) ([]string, error) {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return nil, err
		}
		words := strings.Fields(line)
		if len(words) == 0 {
			continue
		}
		if strings.HasPrefix(line, prefix) {
			return words, nil
		}
		if err := p.skip(words); err != nil {
			return nil, err
		}
	}
}

// skip passes over what a PUB or HPUB carries.
func (p *Peer) skip(words []string) error {
	if words[0] != "PUB" && words[0] != "HPUB" {
		return nil
	}
	var size int
	if _, err := fmt.Sscan(words[len(words)-1], &size); err != nil {
		return err
	}
	_, err := p.in.Discard(size + len("\r\n"))
	return err
}

// Request reads the client's next request on a subject that begins with prefix, and what it
// subscribed to before it: sids by subject. It returns the reply subject.
func (p *Peer) Request(prefix string, sids map[string]string) (subject, reply string, err error) {
	for {
		line, err := p.in.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		words := strings.Fields(line)
		switch {
		case len(words) == 0:
		case words[0] == "SUB" && len(words) > 2:
			sids[words[1]] = words[len(words)-1]
		case words[0] == "PING":
			if err := p.Say("PONG\r\n"); err != nil {
				return "", "", err
			}
		default:
			if err := p.skip(words); err != nil {
				return "", "", err
			}
			if words[0] == "PUB" && len(words) == 4 && strings.HasPrefix(words[1], prefix) {
				return words[1], words[2], nil
			}
		}
	}
}

// Sid is the subscription that takes a subject, of those that Request saw.
func Sid(sids map[string]string, subject string) string {
	if sid, ok := sids[subject]; ok {
		return sid
	}
	for pattern, sid := range sids {
		if prefix, ok := strings.CutSuffix(pattern, "*"); ok && strings.HasPrefix(subject, prefix) {
			return sid
		}
	}
	return "1"
}

// Behave answers pings and nothing else until the connection ends.
func (p *Peer) Behave() {
	_ = p.SetDeadline(time.Time{})
	for {
		if _, err := p.Next("PING"); err != nil {
			return
		}
		if p.Say("PONG\r\n") != nil {
			return
		}
	}
}
