package iso8583_test

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
)

func TestHostThatIsNotThere(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	_ = listener.Close()
	a := iso8583.New(iso8583.Config{Address: address, ConnectTimeout: 200 * time.Millisecond})
	defer func() { _ = a.Close() }()
	if _, err := a.Authorise(t.Context(), testSale(t, 1)); !errors.Is(err, acquirer.ErrNotSent) || !strings.Contains(err.Error(), address) {
		t.Errorf("error %v, want ErrNotSent that names the host", err)
	}
	if err := a.Ready(); err == nil || !strings.Contains(err.Error(), address) {
		t.Errorf("ready: %v, want why not, and which host", err)
	}
}

func TestSignOnRefusedOrUnanswered(t *testing.T) {
	for code, why := range map[string]string{"91": `the host refused it with code "91"`, "": "the host did not answer"} {
		h := newCrookedHost(t, nil)
		h.mu.Lock()
		h.signOn = code
		h.mu.Unlock()
		a := iso8583.New(iso8583.Config{Address: h.listener.Addr().String(), ConnectTimeout: 300 * time.Millisecond})
		if _, err := a.Authorise(t.Context(), testSale(t, 1)); !errors.Is(err, acquirer.ErrNotSent) {
			t.Errorf("sign-on answered %q: error %v, want ErrNotSent", code, err)
		}
		waittest.For(t, "the reason: "+why, func() bool {
			err := a.Ready()
			return err != nil && strings.Contains(err.Error(), why) && !strings.Contains(err.Error(), "reversal")
		})
		if lines, _ := h.count(); lines == 0 {
			t.Error("the host was never dialled")
		}
		_ = a.Close()
	}
}

func TestIdleLineIsTestedAndDeadLineReplaced(t *testing.T) {
	h := newCrookedHost(t, func(s string) []string { return []string{s} })
	a := iso8583.New(iso8583.Config{Address: h.listener.Addr().String(), AnswerTimeout: 200 * time.Millisecond,
		ConnectTimeout: 400 * time.Millisecond, EchoInterval: 30 * time.Millisecond})
	defer func() { _ = a.Close() }()
	waittest.For(t, "three echo tests", func() bool { _, echoes := h.count(); return echoes >= 3 })
	if c := a.Counts(); c.Connects != 1 {
		t.Fatalf("%d lines for an idle host that answers, want 1", c.Connects)
	}
	h.mu.Lock()
	h.signOn = "" // it reads and no longer answers
	h.mu.Unlock()
	waittest.For(t, "the dead line to be given up", func() bool { return a.Ready() != nil })
	h.mu.Lock()
	h.signOn = "00"
	h.mu.Unlock()
	waittest.For(t, "a new line", func() bool { return a.Ready() == nil })
	if answer, err := a.Authorise(t.Context(), testSale(t, 1)); err != nil || answer.Outcome != acquirer.Approves {
		t.Errorf("on the new line: answer %+v, error %v", answer, err)
	}
}

func TestHostsOwnEchoIsAnswered(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	b := client(t, listener.Addr().String())
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(conn)
	signOn, err := readText(r)
	if err != nil || signOn[len(signOn)-3:] != "001" {
		t.Fatalf("first message %q, error %v, want a sign-on", signOn, err)
	}
	writeText(conn, "0800"+"82200000000000000400000000000000"+"1122170405"+"000042"+"301")
	got, err := readText(r)
	if want := "0810" + "82200000020000000400000000000000" + "1122170405" + "000042" + "00" + "301"; err != nil || got != want {
		t.Errorf("echo answered %q, error %v, want %q", got, err, want)
	}
	_ = b.Close()
}

// Answers that came before the line's end count.
func TestLinesThatFailUnderLoad(t *testing.T) {
	h := startHost(t, host.Config{})
	a := client(t, h.Addr())
	stop := make(chan struct{})
	hung := make(chan struct{})
	go func() {
		defer close(hung)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
				h.HangUp()
			}
		}
	}()
	outcome := authoriseMany(t, a, 1000)
	close(stop)
	<-hung
	check(t, a, outcome, h.Statement)
	if a.Counts().Connects < 3 {
		t.Errorf("only %d lines: nothing was tested", a.Counts().Connects)
	}
}

// Kill -9 of the host at random moments: what it approved is in its book, what is unknown is
// reversed, none is charged twice.
func TestHostIsKilledUnderLoad(t *testing.T) {
	p := newSimulator(t)
	p.start(t)
	a := client(t, p.address)
	stop := make(chan struct{})
	done := make(chan int, 1)
	go func() {
		kills := 0
		defer func() { done <- kills }()
		for ; kills < 6; kills++ {
			select {
			case <-stop:
				return
			case <-time.After(40 * time.Millisecond):
			}
			p.kill(t)
			p.start(t)
		}
	}()
	outcome := authoriseMany(t, a, 2000)
	close(stop)
	if kills := <-done; kills < 3 {
		t.Errorf("%d kills: nothing was tested", kills)
	}
	check(t, a, outcome, func() host.Statement { return p.read(t) })
}

// attempt is a sale and its result.
type attempt struct {
	sale     acquirer.Request
	approved bool
	err      error
}

// authoriseMany runs 64 sales at a time, each once, and again only where it was certainly not sent.
func authoriseMany(t *testing.T, a acquirer.Acquirer, many int) []attempt {
	t.Helper()
	attempts := make([]attempt, many)
	next := make(chan int)
	var wg sync.WaitGroup
	for range 64 {
		wg.Go(func() {
			for i := range next {
				sale := attempts[i].sale
				answer, err := a.Authorise(t.Context(), sale)
				for errors.Is(err, acquirer.ErrNotSent) {
					answer, err = a.Authorise(t.Context(), sale)
				}
				attempts[i].approved, attempts[i].err = answer.Outcome == acquirer.Approves, err
				time.Sleep(10 * time.Millisecond)
			}
		})
	}
	run := rand.Text()[:5]
	for i := range attempts {
		sale := testSale(t, uint32(i+1))
		sale.RRN = fmt.Sprintf("%s%07d", run, i)
		attempts[i].sale = sale
		next <- i
	}
	close(next)
	wg.Wait()
	return attempts
}

// check reverses what is unknown and compares every outcome with the host's book.
func check(t *testing.T, a acquirer.Acquirer, attempts []attempt, book func() host.Statement) {
	t.Helper()
	unknown := 0
	for i, at := range attempts {
		if at.err == nil {
			continue
		}
		unknown++
		reversal := acquirer.Reversal{Trace: at.sale.Trace, Original: acquirer.Original{Trace: at.sale.Trace, Kind: at.sale.Kind}, Batch: 7, Amount: 1099, Currency: "USD"}
		reversal.STAN += 500_000
		for {
			answer, err := a.Reverse(t.Context(), reversal)
			if err == nil && answer.Outcome == acquirer.Stands {
				break
			}
			if reversal.Repeat++; reversal.Repeat > 20 {
				t.Fatalf("sale %d cannot be reversed: %+v, %v", i, answer, err)
			}
		}
	}
	st := book()
	booked := map[string]host.Transaction{}
	for _, s := range st.Transactions {
		booked[s.RRN] = s
	}
	charged := 0
	for i, at := range attempts {
		s, ok := booked[at.sale.RRN]
		stands := ok && s.Answer == "00" && !s.Reversed
		if at.err == nil && (!at.approved || !stands) {
			t.Errorf("sale %d was approved and is not charged", i)
		}
		if at.err != nil && stands {
			t.Errorf("sale %d was reversed and is charged", i)
		}
		if stands {
			charged++
		}
	}
	if st.Charged != charged || len(st.Doubled) != 0 || charged+unknown != len(attempts) {
		t.Errorf("%d charged of %d in the book, %d unknown of %d, doubled %v", charged, st.Charged, unknown, len(attempts), st.Doubled)
	}
	t.Logf("%d sales, %d charged, %d unknown and reversed, %d repeats", len(attempts), charged, unknown, st.Repeats)
}
