package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
)

// desk is a vault of which the tests say what it answers; what they do not say panics.
type desk struct {
	Vault
	status  func(context.Context) (Status, error)
	unlock  func(operator.Actor, Shares, bool) (Unlocked, error)
	suspend func(operator.Actor, string) (Merchant, error)
	settle  func(context.Context, operator.Actor, uint32, book.Method, operator.Progress) (Settlement, error)
	show    func(string, string) (Payment, error)
	list    func(PaymentQuery) (PaymentPage, error)
}

func (d desk) Status(ctx context.Context) (Status, error) { return d.status(ctx) }
func (d desk) Unlock(_ context.Context, a operator.Actor, s Shares, o UnlockOptions) (Unlocked, error) {
	return d.unlock(a, s, o.ConfirmClock)
}
func (d desk) SuspendMerchant(_ context.Context, a operator.Actor, id string) (Merchant, error) {
	return d.suspend(a, id)
}
func (d desk) Settle(ctx context.Context, a operator.Actor, n uint32, m book.Method, p operator.Progress) (Settlement, error) {
	return d.settle(ctx, a, n, m, p)
}
func (d desk) Payment(_ context.Context, merchant, id string) (Payment, error) {
	return d.show(merchant, id)
}
func (d desk) Payments(_ context.Context, q PaymentQuery) (PaymentPage, error) { return d.list(q) }

var errStrange = errors.New("strange")

// serve answers for v on a socket and returns its path.
func serve(t *testing.T, v Vault) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	listener, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(ServerConfig{Vault: v, Logger: slog.New(slog.DiscardHandler), Classify: func(err error) Code {
		if errors.Is(err, errStrange) {
			return CodeIntegrity
		}
		return CodeFailed
	}})
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		server.Shutdown(ctx)
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return path
}

func codeOf(err error) Code {
	if known, ok := errors.AsType[*Error](err); ok {
		return known.Code
	}
	return ""
}

// TestActorIsThePeer: the kernel says who acts, the caller what for.
func TestActorIsThePeer(t *testing.T) {
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	var got operator.Actor
	path := serve(t, desk{suspend: func(a operator.Actor, id string) (Merchant, error) { got = a; return Merchant{ID: id}, nil }})
	m, err := NewClient(path, "ticket 4711 & more").SuspendMerchant(t.Context(), "shop-1")
	if err != nil || m.ID != "shop-1" {
		t.Fatalf("answer %+v %v", m, err)
	}
	if want := (operator.Actor{Name: "user:" + me.Username, Origin: "socket", Purpose: "ticket 4711 & more"}); got != want {
		t.Errorf("actor %+v, want %+v", got, want)
	}
	if _, err := NewClient(path, strings.Repeat("x", maxPurpose+1)).SuspendMerchant(t.Context(), "shop-1"); codeOf(err) != CodeUsage {
		t.Errorf("a long reason: %v", err)
	}
}

// TestErrorsKeepTheirKind: every code crosses the socket, and an error without one gets it from
// Classify.
func TestErrorsKeepTheirKind(t *testing.T) {
	var next error
	client := NewClient(serve(t, desk{status: func(context.Context) (Status, error) { return Status{}, next }}), "")
	for _, code := range []Code{CodeFailed, CodeUsage, CodeLocked, CodeNotAllowed, CodeNotFound, CodeConflict, CodeIntegrity, CodeUnavailable} {
		next = fmt.Errorf("wrapped: %w", &Error{code, "do this"})
		_, err := client.Status(t.Context())
		if codeOf(err) != code || err.Error() != "do this" {
			t.Errorf("%s arrived as %q %v", code, codeOf(err), err)
		}
	}
	next = fmt.Errorf("wrapped: %w", errStrange)
	if _, err := client.Status(t.Context()); codeOf(err) != CodeIntegrity {
		t.Errorf("a classified error arrived as %v", err)
	}
}

func TestNobodyAnswers(t *testing.T) {
	_, err := NewClient(filepath.Join(t.TempDir(), "none"), "").Status(t.Context())
	if codeOf(err) != CodeUnavailable || !strings.Contains(err.Error(), "vault serve") {
		t.Errorf("no daemon: %v", err)
	}
}

// TestProgressThenResult: long work says how far it is, and its result comes even with a failure.
func TestProgressThenResult(t *testing.T) {
	path := serve(t, desk{settle: func(_ context.Context, _ operator.Actor, n uint32, _ book.Method, p operator.Progress) (Settlement, error) {
		for i := range 3 {
			p(i+1, 3)
		}
		return Settlement{Payments: int(n)}, &Error{CodeIntegrity, "totals differ"}
	}})
	var seen []int
	s, err := NewClient(path, "").Settle(t.Context(), 17, "", func(done, total int) { seen = append(seen, done*10+total) })
	if s.Payments != 17 || codeOf(err) != CodeIntegrity || fmt.Sprint(seen) != "[13 23 33]" {
		t.Errorf("settlement %+v, %v, progress %v", s, err, seen)
	}
}

// TestClientGoesAway: work for a client that left is told to stop.
func TestClientGoesAway(t *testing.T) {
	begun, stopped := make(chan struct{}), make(chan struct{})
	path := serve(t, desk{settle: func(ctx context.Context, _ operator.Actor, _ uint32, _ book.Method, _ operator.Progress) (Settlement, error) {
		close(begun)
		<-ctx.Done()
		close(stopped)
		return Settlement{}, ctx.Err()
	}})
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-begun; leave() }()
	if _, err := NewClient(path, "").Settle(ctx, book.AllBatches, "", nil); !errors.Is(err, context.Canceled) {
		t.Errorf("the client that left got %v", err)
	}
	waittest.Receive(t, "the work to stop", stopped)
}

// TestSharesAreLinesOfBytes: they arrive as given, print as nothing, and are cleared when the call
// is over.
func TestSharesAreLinesOfBytes(t *testing.T) {
	var kept [][]byte
	var text string
	var confirmed bool
	var mu sync.Mutex
	path := serve(t, desk{unlock: func(_ operator.Actor, s Shares, confirm bool) (Unlocked, error) {
		mu.Lock()
		defer mu.Unlock()
		kept, confirmed = s.Lines(), confirm
		for _, line := range kept {
			text += string(line) + "|"
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v %s", s, s, s, s), "share") {
			t.Error("shares print")
		}
		return Unlocked{Vault: "v"}, nil
	}})
	if _, err := NewClient(path, "").Unlock(t.Context(), [][]byte{[]byte("share one"), []byte("share two")}, UnlockOptions{ConfirmClock: true}); err != nil {
		t.Fatal(err)
	}
	mu.Lock()
	defer mu.Unlock()
	if text != "share one|share two|" || !confirmed {
		t.Errorf("arrived: %q, confirm %v", text, confirmed)
	}
	for _, line := range kept {
		if strings.Trim(string(line), "\x00") != "" {
			t.Errorf("a share is still in memory after the call")
		}
	}
}

func TestQueries(t *testing.T) {
	var got PaymentQuery
	var merchant, id string
	client := NewClient(serve(t, desk{
		list: func(q PaymentQuery) (PaymentPage, error) { got = q; return PaymentPage{}, nil },
		show: func(m, i string) (Payment, error) { merchant, id = m, i; return Payment{}, nil },
	}), "")
	want := PaymentQuery{Merchant: "shop-1", Status: "approved", Batch: 17, Operation: "sale", Reference: "order 10*", LastFour: "4242",
		Approval: "A1B2C3", RRN: "633601000017", Amount: "19.99 USD", From: "2026-11-01", To: "2026-11-30", After: 1 << 40, Before: 1 << 50,
		Oldest: true, Limit: 7}
	if _, err := client.Payments(t.Context(), want); err != nil || got != want {
		t.Errorf("query %+v (%v), want %+v", got, err, want)
	}
	if _, err := client.Payments(t.Context(), PaymentQuery{Limit: MaxPage + 1}); codeOf(err) != CodeUsage {
		t.Errorf("too large a page: %v", err)
	}
	if _, err := client.Payment(t.Context(), "a/b", "c?d"); err != nil || merchant != "a/b" || id != "c?d" {
		t.Errorf("payment %q %q (%v)", merchant, id, err)
	}
}

// TestBadRequests: what no client of ours sends is refused, not guessed at.
func TestBadRequests(t *testing.T) {
	path := serve(t, desk{})
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", path)
	}}}
	tests := []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/nothing", "", 404},
		{"DELETE", "/status", "", 405},
		{"POST", "/merchants", `{"id":"shop-1","colour":"red"}`, 400},
		{"POST", "/merchants", `{`, 400},
		{"POST", "/merchants", strings.Repeat(" ", maxBody+1), 400},
		{"POST", "/unlock", strings.Repeat("x", maxBody+1), 400},
		{"GET", "/batches/seventeen", "", 400},
		{"GET", "/batches/0", "", 400},
		{"GET", "/batches?method=cash", "", 400},
		{"POST", "/batches/0/compare", "", 400},
		{"POST", "/merchants/shop-1/policy", `{"storage":"yes"}`, 400},
		{"POST", "/merchants/shop-1/policy", `{"colour":"red"}`, 400},
		{"POST", "/payments/resolve", `{`, 400},
		{"POST", "/returns", "x", 400},
		{"POST", "/returns?name=" + strings.Repeat("x", 101), "x", 400},
		{"POST", "/returns?name=4242424242424242.ach", "x", 400},
		{"POST", "/returns?name=a%0Ab", "x", 400},
		{"GET", "/payments?batch=-1", "", 400},
		{"GET", "/payments?after=x", "", 400},
		{"GET", "/payments?limit=0", "", 400},
	}
	for _, test := range tests {
		request, err := http.NewRequestWithContext(t.Context(), test.method, "http://vault"+test.path, strings.NewReader(test.body))
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		if response.StatusCode != test.status {
			t.Errorf("%s %s: status %d, want %d", test.method, test.path, response.StatusCode, test.status)
		}
	}
}

func TestSocket(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); codeOf(err) != CodeNotAllowed {
		t.Errorf("an open directory: %v", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(filepath.Join(dir, strings.Repeat("x", 120))); codeOf(err) != CodeUsage {
		t.Errorf("a long path: %v", err)
	}
	first, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v (%v)", info.Mode(), err)
	}
	if _, err := Listen(path); codeOf(err) != CodeConflict {
		t.Errorf("a second server: %v", err)
	}
	// What a killed process leaves is replaced.
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = first.Close()
	again, err := Listen(path)
	if err != nil {
		t.Fatalf("after a kill: %v", err)
	}
	_ = again.Close()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(path); codeOf(err) != CodeConflict {
		t.Errorf("a file in the way: %v", err)
	}
}
