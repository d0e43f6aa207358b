package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/waittest"
)

// TestAHostThatIsSilentForAWhile takes whatever it is sent and answers none of it, though its line
// is up. Nothing is left to a person, however often it is repeated; status reports that new
// requests wait; and when the host answers again everything has its end by itself, and settles.
func TestAHostThatIsSilentForAWhile(t *testing.T) {
	s := newSite(t, site.Options{AnswerTimeout: 200 * time.Millisecond, ReversalRetry: 20 * time.Millisecond, RepeatFor: 24 * time.Hour,
		Acquirer: []string{`repeat_every = "300ms"`, "silences = 3", "outstanding = 4"}})
	line := newDeafLine(t, s)
	if err := s.Launch(t.Context(), site.Merchant{ID: "bookshop", Currencies: []string{"EUR"}}); err != nil {
		t.Fatal(err)
	}
	c := newCheckout(t, s, "bookshop")
	hold, _ := c.do(envelope.Order{Operation: envelope.OpAuthorize, Amount: 5000, Currency: "EUR"}, testCard, envelope.StatusApproved, approved)
	sold, _ := c.do(sale(1999, "EUR"), testCard, envelope.StatusApproved, approved)
	line.deaf.Store(true)
	const waits = 12
	for range waits {
		c.give(sale(1000, "EUR"), testCard)
	}
	capture, void := c.give(of(envelope.OpCapture, hold, 5000), ""), c.give(of(envelope.OpVoid, sold, 0), "")
	waittest.For(t, "everything to be repeated more than six times", func() bool {
		for _, stage := range []string{"unknown", "capturing", "voiding"} {
			repeated := list(t, s, stage)
			for _, p := range repeated {
				if shown(t, s, p.ID).Repeats < 7 {
					return false
				}
			}
			if len(repeated) == 0 {
				return false
			}
		}
		return true
	})
	status := vaultStatus(t, s)
	if n := len(list(t, s, "manual")); n != 0 || !strings.Contains(status, "silent since") || !strings.Contains(status, "new authorisations wait") {
		t.Errorf("%d payments wait for a person, and status tells:\n%s", n, status)
	}
	if waiting, unknown := len(list(t, s, "received"))+len(list(t, s, "authorising")), len(list(t, s, "unknown")); unknown > 8 || waiting+unknown != waits {
		t.Errorf("%d sales were sent to a host that answers none, and %d of %d wait", unknown, waiting, waits)
	}
	if shown := shown(t, s, capture.ID); shown.RepeatedSince.IsZero() || shown.Answer != "" {
		t.Errorf("the capture is shown as %+v", shown)
	}
	line.deaf.Store(false)
	waittest.For(t, "everything to have its end", func() bool {
		return len(list(t, s, "approved"))+len(list(t, s, "reversed")) == waits && len(list(t, s, "captured")) == 1 && len(list(t, s, "voided")) == 1
	})
	c.await(capture, envelope.StatusCaptured, approved)
	c.await(void, envelope.StatusVoided, approved)
	if status := vaultStatus(t, s); strings.Contains(status, "silent since") || strings.Contains(status, "repeating") {
		t.Errorf("afterwards status tells:\n%s", status)
	}
	stands := len(list(t, s, "approved")) + 1
	if done := c.settle(); done.Payments != stands {
		t.Errorf("settled %+v, and %d stood", done, stands)
	}
	if b := readBook(t, s); b.Charged != stands || len(b.Doubled) != 0 {
		t.Errorf("the host charged %d of %d, twice %v", b.Charged, stands, b.Doubled)
	}
}

// deafLine is the vault's line to the acquirer's host: while it is deaf, messages about payments go
// in and none comes out; echo tests do.
type deafLine struct{ deaf atomic.Bool }

// newDeafLine puts the line between the vault of a site that is not started yet and the host.
func newDeafLine(t *testing.T, s *site.Site) *deafLine {
	t.Helper()
	config := s.Path("vault", "vault.toml")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	_, address, _ := strings.Cut(string(text), "address = \"")
	address, _, _ = strings.Cut(address, "\"")
	near, far := lineTLS(t, s, "simulator"), lineTLS(t, s, "vault")
	listener, err := tls.Listen("tcp", "127.0.0.1:0", near)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	changed := strings.Replace(string(text), address, listener.Addr().String(), 1)
	if err := os.WriteFile(config, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	l := &deafLine{}
	go func() {
		for {
			vault, err := listener.Accept()
			if err != nil {
				return
			}
			host, err := tls.Dial("tcp", address, far)
			if err != nil {
				_ = vault.Close()
				continue
			}
			go func() { _, _ = io.Copy(vault, host); _ = vault.Close() }()
			go func() { l.pass(host, vault); _ = host.Close() }()
		}
	}()
	return l
}

// lineTLS is for one end of the line, with the certificate of a program of the site.
func lineTLS(t *testing.T, s *site.Site, program string) *tls.Config {
	t.Helper()
	certificate, err := tls.LoadX509KeyPair(s.Path("tls", program+".pem"), s.Path("tls", program+".key"))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(s.CA())
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	return &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: pool, ServerName: "simulator", MinVersion: tls.VersionTLS13}
}

// pass carries frames, two bytes of length and a message, as long as they come.
func (l *deafLine) pass(to io.Writer, from io.Reader) {
	for {
		frame := make([]byte, 2)
		if _, err := io.ReadFull(from, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint16(frame))...)
		if _, err := io.ReadFull(from, frame[2:]); err != nil {
			return
		}
		if l.deaf.Load() && !strings.HasPrefix(string(frame[2:]), "08") {
			continue
		}
		if _, err := to.Write(frame); err != nil {
			return
		}
	}
}

func vaultStatus(t *testing.T, s *site.Site) string {
	t.Helper()
	out, err := s.VaultRun(t.Context(), "status")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// repeatedAs is what `vault payment show --json` shows of a payment that is repeated.
type repeatedAs struct {
	RepeatedSince time.Time
	Repeats       int
	Answer        envelope.Code
}

func shown(t *testing.T, s *site.Site, id string) (r repeatedAs) {
	t.Helper()
	out, err := s.VaultRun(t.Context(), "payment", "show", "bookshop/"+id, "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &r)
	}
	if err != nil {
		t.Fatal(err)
	}
	return r
}
