package host

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"math/big"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// only makes a host with one mishap for every message.
func only(m Mishap) *Adversary { return &Adversary{Seed: 1, Rates: map[Mishap]float64{m: 1}} }

func TestDecisionsHangOnSeedMessageAndCountAlone(t *testing.T) {
	keys := make([]Key, 2000)
	for i := range keys {
		keys[i] = Key{Type: "0200", Terminal: "TERM0001", STAN: fmt.Sprintf("%06d", i), Sent: "1122170000", RRN: fmt.Sprintf("RRN%09d", i)}
	}
	decisions := func(seed uint64, order []Key) map[Key][2]Mishap {
		f, err := newFate(&Adversary{Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		got := map[Key][2]Mishap{}
		for _, k := range order {
			got[k] = [2]Mishap{f.decide(k), f.decide(k)}
		}
		return got
	}
	one := decisions(42, keys)
	backwards := slices.Clone(keys)
	slices.Reverse(backwards)
	if !maps.Equal(one, decisions(42, backwards)) {
		t.Error("another order of messages makes other decisions")
	}
	if maps.Equal(one, decisions(43, keys)) {
		t.Error("another seed makes the same decisions")
	}
	count, repeats := map[Mishap]int{}, 0
	for _, m := range one {
		count[m[0]]++
		count[m[1]]++
		if m[0] != "" && m[0] == m[1] {
			repeats++
		}
	}
	for m, rate := range DefaultRates() {
		if got := float64(count[m]) / 4000; math.Abs(got-rate) > 0.012 || count[m] == 0 {
			t.Errorf("%s happens to %.3f of all messages, want about %.3f", m, got, rate)
		}
	}
	if share := 1 - float64(count[""])/4000; math.Abs(share-0.2) > 0.03 {
		t.Errorf("%.2f of all messages meet a mishap, want about a fifth", share)
	}
	if repeats > 60 {
		t.Errorf("%d messages meet the same mishap when they come again", repeats)
	}
}

func TestRates(t *testing.T) {
	rates, err := ParseRates("crash=0,close=0.1")
	if err != nil || rates[Crash] != 0 || rates[HangUp] != 0.1 || rates[Slow] != DefaultRates()[Slow] {
		t.Errorf("rates %v, error %v", rates, err)
	}
	if rates, err := ParseRates("none,slow=1"); err != nil || len(rates) != 1 || rates[Slow] != 1 {
		t.Errorf("rates %v, error %v", rates, err)
	}
	for _, text := range []string{"", "slow", "slow=", "slow=x", "slow=-1", "slow=2", "none,slow=0.6,late=0.6", "nonsense=0.1", "slow=NaN"} {
		if rates, err := ParseRates(text); err == nil {
			t.Errorf("%q gives %v, want an error", text, rates)
		}
	}
	if _, err := Start(Config{Book: filepath.Join(t.TempDir(), "book"), Adversary: &Adversary{Rates: map[Mishap]float64{Crash: 3}}}); err == nil {
		t.Error("a host starts with a rate of 3")
	}
}

// piped starts a host without a listener in a bubble of virtual time, and one connection to it.
func piped(t *testing.T, cfg Config) (*Host, asker) {
	t.Helper()
	h, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := net.Pipe()
	go h.ServeConn(theirs)
	return h, asker{t, ours}
}

func TestMishaps(t *testing.T) {
	for _, c := range []struct {
		what    Mishap
		answers int           // how many messages come
		after   time.Duration // the first, at the earliest
		closed  bool          // and then the connection ends
		taken   int
	}{
		{"", 1, 0, false, 1},
		{DropRequest, 0, 0, false, 0},
		{DropAnswer, 0, 0, false, 1},
		{Duplicate, 2, 0, false, 1},
		{Late, 1, DefaultLateAfter, false, 1},
		{OutOfOrder, 1, reorderAfter, false, 1},
		{HalfMessage, 0, 0, true, 1},
		{HangUp, 0, 0, true, 1},
		{Slow, 1, slowPause, false, 1},
		{Crash, 0, 0, true, 1},
	} {
		t.Run(cmpName(c.what), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := Config{Book: filepath.Join(t.TempDir(), "book"), NoSync: true}
				if c.what != "" {
					cfg.Adversary = only(c.what)
				}
				h, a := piped(t, cfg)
				began := time.Now()
				a.send("0200", sale(1, 1099))
				_ = a.conn.SetReadDeadline(time.Now().Add(time.Minute))
				r, came, first := bufio.NewReader(a.conn), 0, time.Duration(0)
				var err error
				for err == nil {
					if _, err = readMessage(r, newDialect()); err == nil {
						came++
						first = max(first, time.Since(began))
					}
				}
				if ended := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF); came != c.answers || first < c.after || ended != c.closed {
					t.Errorf("%d answers, the last after %v, then %v", came, first, err)
				}
				if got := h.Statement().Sales; got != c.taken {
					t.Errorf("%d sales taken, want %d", got, c.taken)
				}
				_ = a.conn.Close()
				if err := h.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func cmpName(m Mishap) string {
	if m == "" {
		return "none"
	}
	return string(m)
}

func TestHalfMessageIsHalfOfTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, a := piped(t, Config{Book: filepath.Join(t.TempDir(), "book"), Adversary: only(HalfMessage)})
		a.send("0200", sale(1, 1099))
		half, err := io.ReadAll(a.conn)
		if err != nil || len(half) < 50 || len(half) >= int(half[0])<<8+int(half[1]) {
			t.Errorf("%d bytes, error %v", len(half), err)
		}
		_ = h.Close()
	})
}

// The answer held back goes out after the next one.
func TestOutOfOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := newFate(&Adversary{Rates: map[Mishap]float64{OutOfOrder: 0.5}})
		var first, second int // a sale that is held back and one that is not
		for stan := 1; first == 0 || second == 0; stan++ {
			s := sale(stan, 1)
			switch f.decide(Key{Type: "0200", Terminal: s[41], STAN: s[11], Sent: s[7], RRN: s[37]}) {
			case OutOfOrder:
				first = stan
			default:
				second = stan
			}
		}
		h, a := piped(t, Config{Book: filepath.Join(t.TempDir(), "book"), Adversary: &Adversary{Rates: map[Mishap]float64{OutOfOrder: 0.5}}})
		a.send("0200", sale(first, 1))
		a.send("0200", sale(second, 1))
		for _, want := range []int{second, first} {
			if m, err := readMessage(a.conn, newDialect()); err != nil || text(m, 11) != fmt.Sprintf("%06d", want) {
				t.Fatalf("answer %v, error %v, want that to %d", m, err, want)
			}
		}
		_ = h.Close()
	})
}

// What was booked before a crash stands after it, and a request that comes again is answered in the
// end.
func TestCrashAndRestart(t *testing.T) {
	cfg := Config{Listen: "127.0.0.1:0", Book: filepath.Join(t.TempDir(), "book"), Adversary: &Adversary{Seed: 7, Rates: map[Mishap]float64{Crash: 0.5}}}
	h, err := Start(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	run := func(h *Host) { ended <- h.Run(context.Background()) }
	go run(h)
	a, crashes := dial(t, h), 0
	for stan := 1; stan <= 40; {
		a.send("0200", sale(stan, 100))
		m, err := readMessage(a.conn, newDialect())
		if err == nil {
			if text(m, 39) != "00" {
				t.Fatalf("answered %s", text(m, 39))
			}
			stan++
			continue
		}
		if err := <-ended; !errors.Is(err, ErrCrash) {
			t.Fatalf("the host ended with %v", err)
		}
		crashes++
		if h, err = Start(cfg); err != nil {
			t.Fatal(err)
		}
		go run(h)
		a = dial(t, h)
	}
	if st := h.Statement(); st.Charged != 40 || len(st.Doubled) != 0 || st.Repeats != crashes || crashes < 20 {
		t.Errorf("%d crashes: %d charged, %d repeats, doubled %v", crashes, st.Charged, st.Repeats, st.Doubled)
	}
	_ = h.Close()
	<-ended
}

// An asker that repeats until it is answered gets through a host that misbehaves with half of all
// messages.
func TestAdvicesGetThrough(t *testing.T) {
	history := func() (lines string) {
		synctest.Test(t, func(t *testing.T) {
			cfg := Config{Book: filepath.Join(t.TempDir(), "book"), NoSync: true, Adversary: &Adversary{Seed: 3, Rates: map[Mishap]float64{
				DropRequest: 0.1, DropAnswer: 0.1, Late: 0.05, HalfMessage: 0.1, HangUp: 0.1, Crash: 0.05, Duplicate: 0.05, Slow: 0.05,
			}}}
			h, a := piped(t, cfg)
			var b strings.Builder
			for stan := 1; stan <= 60; stan++ {
				for try, mti := 0, "0100"; ; try++ {
					a.send(mti, hold(stan, 500))
					_ = a.conn.SetReadDeadline(time.Now().Add(5 * time.Second))
					m, err := readMessage(a.conn, newDialect())
					fmt.Fprintf(&b, "%d/%d %v\n", stan, try, err)
					if err == nil && text(m, 11) == fmt.Sprintf("%06d", stan) {
						break
					}
					_ = a.conn.Close()
					_ = h.Close()
					h, a = piped(t, cfg)
				}
			}
			if st := h.Statement(); st.Holds != 60 || st.Conflicts != 0 {
				t.Errorf("statement %+v", st)
			}
			lines = b.String()
			_ = a.conn.Close()
			_ = h.Close()
		})
		return lines
	}
	if one, other := history(), history(); one != other || strings.Count(one, "\n") < 80 {
		t.Errorf("one seed made two histories:\n%s\n%s", one, other)
	}
}

// selfSigned returns a certificate for 127.0.0.1 that servers and clients may show.
func selfSigned(t *testing.T) tls.Certificate {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: private, Leaf: leaf}
}

func TestTLS(t *testing.T) {
	certificate := selfSigned(t)
	roots := x509.NewCertPool()
	roots.AddCert(certificate.Leaf)
	for _, c := range []struct {
		name   string
		client *tls.Config
		auth   tls.ClientAuthType
		serves bool
	}{
		{"trusted", &tls.Config{RootCAs: roots}, tls.NoClientCert, true},
		{"another authority", &tls.Config{RootCAs: x509.NewCertPool()}, tls.NoClientCert, false},
		{"with a client's certificate", &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}}, tls.RequireAndVerifyClientCert, true},
		{"without the client's certificate", &tls.Config{RootCAs: roots}, tls.RequireAndVerifyClientCert, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, err := Start(Config{Listen: "127.0.0.1:0", Book: filepath.Join(t.TempDir(), "book"), TLS: &tls.Config{
				MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}, ClientCAs: roots, ClientAuth: c.auth,
			}})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = h.Close() }()
			conn, err := tls.Dial("tcp", h.Addr(), c.client)
			if err != nil {
				if c.serves {
					t.Error(err)
				}
				return
			}
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
			a := asker{t, conn}
			a.send("0200", sale(1, amountDrop))
			if _, err := readMessage(conn, newDialect()); err == nil || c.serves != errors.Is(err, io.EOF) {
				t.Errorf("after a request that is dropped: %v", err)
			}
			if got := h.Statement().Sales; (got == 1) != c.serves {
				t.Errorf("%d sales taken", got)
			}
		})
	}
}
