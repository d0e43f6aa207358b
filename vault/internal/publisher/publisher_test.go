package publisher

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/uuid"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/intake"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// recorder is a channel that keeps what was published and answers from a list.
type recorder struct {
	mu      sync.Mutex
	away    bool
	answers []error // of the next results, then nil
	before  func()  // of each publishing
	results []ledger.Ready
	notices map[channel.Notice][][]byte
}

func (r *recorder) PublishResult(merchant string, serial uint64, id string, note []byte) channel.Ack {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.before != nil {
		r.before()
	}
	r.results = append(r.results, ledger.Ready{Merchant: merchant, Serial: serial, ID: id, Note: note})
	ack := make(chan error, 1)
	var err error
	if len(r.answers) > 0 {
		err, r.answers = r.answers[0], r.answers[1:]
	}
	ack <- err
	return ack
}

func (r *recorder) PublishNotice(_ context.Context, kind channel.Notice, note []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.away {
		return channel.ErrUnavailable
	}
	if r.notices == nil {
		r.notices = map[channel.Notice][][]byte{}
	}
	r.notices[kind] = append(r.notices[kind], note)
	return nil
}

func (r *recorder) Connected() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.away
}

func (r *recorder) ResultsRoom(context.Context) (channel.Room, error) {
	return channel.Room{MaxBytes: 1 << 30}, nil
}

func (r *recorder) PurgeResults(context.Context, string, uint64) (uint64, error) {
	return 0, errors.New("nothing is to be purged")
}

func (r *recorder) KeptResults(_ context.Context, merchant string) (channel.Kept, error) {
	kept := channel.Kept{Serials: map[uint64]bool{}}
	for _, result := range r.published() {
		if result.Merchant == merchant {
			kept.Serials[result.Serial] = true
		}
	}
	kept.Results = uint64(len(kept.Serials))
	return kept, nil
}

func (r *recorder) ResultsAcked() channel.Acked { return channel.Acked{} }

func (r *recorder) setAway(away bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.away = away
}

func (r *recorder) published() []ledger.Ready {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.results
}

// fixture is a vault with a Publisher and one merchant.
type fixture struct {
	*vaulttest.Vault
	shop *vaulttest.Storefront
}

func newFixture(t testing.TB) *fixture {
	t.Helper()
	v := vaulttest.New(t)
	v.SetRelays("relay-1")
	return &fixture{v, v.Enrol("shop-1")}
}

func (d *fixture) intake() *intake.Intake {
	d.TB.Helper()
	i, err := intake.New(intake.Config{Ledger: d.Ledger, Opener: d.Ring, Now: d.Clock.Now})
	if err != nil {
		d.TB.Fatal(err)
	}
	return i
}

func (d *fixture) publisher(c Channel) *Publisher {
	d.TB.Helper()
	o, err := New(Config{Ledger: d.Ledger, Keys: d.Ring, Channel: c, Position: d.intake().Position, Now: d.Clock.Now})
	if err != nil {
		d.TB.Fatal(err)
	}
	return o
}

// reject issues n results to a merchant and returns their envelopes' ids.
func (d *fixture) reject(merchant string, n int) []string {
	d.TB.Helper()
	ids := make([]string, n)
	bodies := make([]book.Body, n)
	for k := range ids {
		ids[k] = uuid.NewString()
		bodies[k] = book.EnvelopeRejected{ID: ids[k], Digest: digest(k), Code: envelope.CodeLuhn, Remembered: true,
			Operation: envelope.OpSale, Amount: int64(k + 1), Currency: "USD", Reference: fmt.Sprintf("order %d", k)}
	}
	d.Append(merchant, bodies...)
	return ids
}

func digest(n int) string { return fmt.Sprintf("%064x", n+1) }

// counts returns how many results are unsealed and unsent.
func (d *fixture) counts() (pending, unsent int) {
	d.TB.Helper()
	d.View(func(tx *ledger.Tx) error {
		p, err := tx.PendingResults(1 << 20)
		if err != nil {
			return err
		}
		u, err := tx.UnsentResults(1 << 20)
		pending, unsent = len(p), len(u)
		return err
	})
	return pending, unsent
}

// start runs a Publisher until stop, which returns Run's error.
func start(o *Publisher) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- o.Run(ctx) }()
	return func() error {
		cancel()
		return <-done
	}
}

// checkChain checks that a merchant's results are an unbroken chain from serial 1.
func checkChain(t *testing.T, shop *vaulttest.Storefront, notes [][]byte) []vaulttest.Opened {
	t.Helper()
	previous := envelope.ZeroDigest
	opened := make([]vaulttest.Opened, len(notes))
	for n, msg := range notes {
		r := shop.Open(msg)
		if r.Serial != uint64(n+1) || r.Previous != previous || r.Merchant != shop.ID {
			t.Fatalf("result %d has serial %d and breaks the chain", n+1, r.Serial)
		}
		opened[n], previous = r, r.Note
	}
	return opened
}

func notesOf(ready []ledger.Ready) [][]byte {
	notes := make([][]byte, len(ready))
	for n, r := range ready {
		notes[n] = r.Note
	}
	return notes
}

// A crash between any two steps repeats a step with the same bytes.
func TestCrashBetweenEachStep(t *testing.T) {
	d := newFixture(t)
	ids := d.reject("shop-1", 3)
	ctx := t.Context()

	// Sealed and signed, not committed: nothing is left of it.
	o := d.publisher(&recorder{})
	chains, n, err := o.pending(d.Ring.Signer())
	if err != nil || n != 3 {
		t.Fatalf("%d pending, %v", n, err)
	}
	if err := errors.Join(o.sealParts(chains), o.sign(chains, d.Ring.Signer())); err != nil {
		t.Fatal(err)
	}
	d.Reopen()
	if pending, unsent := d.counts(); pending != 3 || unsent != 0 {
		t.Fatalf("%d pending, %d unsent", pending, unsent)
	}

	// Committed, not published.
	if n, err := d.publisher(&recorder{}).sealRound(ctx); n != 3 || err != nil {
		t.Fatalf("sealed %d, %v", n, err)
	}
	d.Reopen()
	if pending, unsent := d.counts(); pending != 0 || unsent != 3 {
		t.Fatalf("%d pending, %d unsent", pending, unsent)
	}

	// Published, and the marks are lost.
	cancelled, cancel := context.WithCancel(ctx)
	lost := &recorder{before: cancel}
	if _, _, err := d.publisher(lost).sendRound(cancelled); !errors.Is(err, context.Canceled) || len(lost.published()) == 0 {
		t.Fatalf("%d published by a round that was cut short: %v", len(lost.published()), err)
	}
	d.Reopen()
	if _, unsent := d.counts(); unsent != 3 {
		t.Fatalf("%d unsent after the marks were lost", unsent)
	}

	// Published, the second without an answer.
	first := &recorder{answers: []error{nil, channel.ErrUnknown}}
	if _, trouble, err := d.publisher(first).sendRound(ctx); !errors.Is(trouble, channel.ErrUnknown) || err != nil {
		t.Fatalf("trouble %v, error %v", trouble, err)
	}
	if _, unsent := d.counts(); unsent != 1 {
		t.Fatalf("%d unsent after one had no answer", unsent)
	}

	// Published again with the same bytes.
	d.Reopen()
	second := &recorder{}
	if n, trouble, err := d.publisher(second).sendRound(ctx); n != 1 || trouble != nil || err != nil {
		t.Fatalf("%d, trouble %v, error %v", n, trouble, err)
	}
	if again := second.published()[0]; again.Serial != 2 || !bytes.Equal(again.Note, first.published()[1].Note) {
		t.Errorf("serial %d was published again with other bytes", again.Serial)
	}
	if !bytes.Equal(lost.published()[0].Note, first.published()[0].Note) {
		t.Error("serial 1 was published again with other bytes")
	}
	for n, r := range checkChain(t, d.shop, notesOf(first.published())) {
		if r.ID != ids[n] || r.Digest != digest(n) || r.Facts.Code != envelope.CodeLuhn || r.Facts.Reference != fmt.Sprintf("order %d", n) {
			t.Errorf("result %d: %+v", n+1, r)
		}
	}
	if pending, unsent := d.counts(); pending+unsent != 0 {
		t.Errorf("%d pending, %d unsent", pending, unsent)
	}
}

func TestChainThatMovedMeanwhile(t *testing.T) {
	d := newFixture(t)
	d.reject("shop-1", 2)
	o, other := d.publisher(&recorder{}), d.publisher(&recorder{})
	chains, _, err := o.pending(d.Ring.Signer())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(o.sealParts(chains), o.sign(chains, d.Ring.Signer())); err != nil {
		t.Fatal(err)
	}
	if _, err := other.sealRound(t.Context()); err != nil {
		t.Fatal(err)
	}
	err = d.Ledger.Commit(t.Context(), chains[0].commit)
	if !errors.Is(err, errChain) {
		t.Errorf("a result was sealed twice: %v", err)
	}
}

func TestResultsAreSealedToTheNewestReplyKey(t *testing.T) {
	d := newFixture(t)
	old, newest := d.Stranger("shop-2"), d.Stranger("shop-2")
	d.Append("shop-2", book.MerchantAdded{Name: "Shop", Verifiers: []string{newest.Signer.Verifier().String()},
		ReplyKeys: []string{old.ReplyLine(), newest.ReplyLine()}, Acceptor: "ACCEPTOR2", Currencies: []string{"USD"}})
	d.reject("shop-2", 1)
	r := &recorder{}
	o := d.publisher(r)
	if _, err := o.sealRound(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, _, err := o.sendRound(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkChain(t, newest, notesOf(r.published()))
}

type lockedKeys struct{ Keys }

func (lockedKeys) Signer() *note.Signer { return nil }

func TestLockedRingSignsNothing(t *testing.T) {
	d := newFixture(t)
	o := d.publisher(&recorder{})
	o.Keys = lockedKeys{d.Ring}
	if err := o.Run(t.Context()); err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("ran while locked: %v", err)
	}
}

func TestConfigurationThatLacksSomething(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("a publisher without a ledger was made")
	}
}
