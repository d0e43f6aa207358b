package simulation

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"nightdrop/ops/simulator/bank"
	"nightdrop/ops/simulator/host"
	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/intake"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/settle"
	"nightdrop/vault/internal/vaulttest"
)

// plan is what a run is made of.
type plan struct {
	seed        uint64
	shops       int
	adversary   map[host.Mishap]float64 // nil: none
	outstanding int
	silences    int           // 0: the engine's own
	repeatFor   time.Duration // 0: the engine's own
	mutation    mutation
}

// mutation makes a part of the world wrong, to show that the simulation notices. Nil members change
// nothing.
type mutation struct {
	lose func(book.Body) bool                      // commits that do not happen
	line func(acquirer.Acquirer) acquirer.Acquirer // in place of the line to the host

	adversary map[host.Mishap]float64 // in place of the seed's
}

// world is a vault, the storefronts that post to it, its acquirer's host and its bank.
type world struct {
	t       testing.TB
	plan    plan
	draw    *rand.Rand
	story   *story
	vault   *vaulttest.Vault
	shops   []*vaulttest.Storefront
	relay   *vaulttest.Run
	host    *acquirerHost
	bank    *bank.Bank
	process *process // nil: stopped
	dir     string
	outbox  string // of files to the bank
	returns string // of the bank's files
	taken   map[string]bool
	posted  int
	wrong   []book.Key // what a person was wrong about, and has not corrected
	careful bool       // people are not wrong any more
	faults  []string
}

// newWorld makes a world inside a testing/synctest bubble, whose clock it lives by. It ends with
// the test.
func newWorld(t testing.TB, p plan) *world {
	t.Helper()
	w := &world{t: t, plan: p, draw: rand.New(rand.NewPCG(p.seed, 0)), story: &story{began: time.Now()}, vault: vaulttest.New(t),
		dir: t.TempDir(), taken: map[string]bool{}}
	w.vault.Clock.Follow(time.Now)
	w.relay = w.vault.SetRelays("relay-1")[0].Start()
	for i := range p.shops {
		shop := w.vault.Stranger(fmt.Sprintf("shop-%d", i+1))
		w.vault.Append(shop.ID, book.MerchantAdded{Name: shop.ID, Verifiers: []string{shop.Signer.Verifier().String()}, ReplyKeys: []string{shop.ReplyLine()},
			Acceptor: fmt.Sprintf("ACCEPTOR%d", i+1), Currencies: []string{"USD", "EUR", "JPY"}}, book.MerchantPolicySet{Policy: vaulttest.Policy()})
		w.shops = append(w.shops, shop)
	}
	w.outbox, w.returns = filepath.Join(w.dir, "outbox"), filepath.Join(w.dir, "returns")
	w.must(errors.Join(os.Mkdir(w.outbox, 0o700), os.Mkdir(w.returns, 0o700)))
	config := host.Config{Book: w.hostBook(), NoSync: true, LateAfter: answerTimeout + time.Second, Now: w.vault.Clock.Now, Logger: mishaps(w.story)}
	if p.adversary != nil {
		config.Adversary = &host.Adversary{Seed: p.seed, Rates: p.adversary}
	}
	w.host = startHost(config, w.story)
	synctest.Wait() // it is up
	var err error
	w.bank, err = bank.Open(bank.Config{Outbox: w.outbox, Returns: w.returns, Book: filepath.Join(w.dir, "bank"), Timing: bank.Timing{After: time.Hour},
		Acknowledge: true, Now: w.vault.Clock.Now})
	w.must(err)
	t.Cleanup(func() {
		if w.process != nil {
			w.end()
		}
		w.must(errors.Join(w.host.close(), w.bank.Close()))
	})
	return w
}

func (w *world) hostBook() string { return filepath.Join(w.dir, "host") }

// must ends a run that cannot go on; it is called by the run's own goroutine only.
func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatalf("%v\n%s", err, w.story)
	}
}

// fail notes that something was not as it has to be.
func (w *world) fail(format string, args ...any) {
	w.story.line("FAULT: "+format, args...)
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// post seals, signs and takes envelopes, in one bag, and returns their ids.
func (w *world) post(drafts ...vaulttest.Draft) (ids []string) {
	synctest.Wait()
	w.tick()
	var envelopes [][]byte
	for _, d := range drafts {
		w.posted++
		shop := w.shopOf(d)
		d.ID, d.Suite = fmt.Sprintf("%08x-0000-4000-8000-%012x", w.plan.seed, w.posted), envelope.SuiteX25519
		label := fmt.Sprintf("p%d", w.posted)
		w.story.label(d.ID, label)
		w.story.line("%s posts %s %s until %s", shop.ID, label, d.Order, d.Until.UTC().Format(time.DateTime))
		ids, envelopes = append(ids, d.ID), append(envelopes, shop.Seal(d))
	}
	in, err := intake.New(intake.Config{Ledger: w.vault.Ledger, Opener: w.vault.Ring, Accounts: w.vault.Ring, Now: w.vault.Clock.Now, Workers: 1,
		RefundsByReference: true, Bank: true})
	w.must(err)
	w.must(in.Take(w.t.Context(), []channel.Message{w.relay.Bag(envelopes...)}))
	synctest.Wait()
	for _, p := range w.payments(nil) {
		if !slices.Contains(ids, p.ID) {
			continue
		}
		if p.Operation == envelope.OpStore && p.Token != "" {
			// drawn by the vault, and not by the seed
			w.story.label(p.Token, "token-"+w.story.called(p.ID))
		}
		if p.Stage == book.StageRejected {
			w.story.line("  %s is rejected: %s", p.ID, p.Code)
		}
	}
	return ids
}

// shopOf is the storefront that a draft is signed by.
func (w *world) shopOf(d vaulttest.Draft) *vaulttest.Storefront {
	for _, shop := range w.shops {
		if shop.Signer == d.Signer {
			return shop
		}
	}
	w.t.Fatal("a draft of nobody's")
	return nil
}

// tick makes the sealing keys that are due and destroys those that are dead, as the
// daemon does.
func (w *world) tick() {
	w.must(w.vault.Ring.ConfirmClock())
	change, err := w.vault.Ring.Tick(w.vault.Clock.Now())
	w.must(err)
	if len(change.Destroyed) > 0 && w.process != nil && w.process.fate.alive() {
		w.did("drop the parts of dead keys", w.process.engine.DropParts(w.t.Context(), change.Destroyed))
	}
}

// did says how an operation of the vault's ended.
func (w *world) did(what string, err error) {
	if err != nil {
		w.story.line("%s: %v", what, err)
		return
	}
	w.story.line("%s: done", what)
}

func (w *world) view(read func(*ledger.Tx) error) {
	w.t.Helper()
	w.must(w.vault.Ledger.View(read))
}

// payments reads those of a storefront, or of all when it is nil, in the order in which they came.
func (w *world) payments(shop *vaulttest.Storefront) (all []book.Payment) {
	q := ledger.Query{}
	if shop != nil {
		q.Merchant = shop.ID
	}
	w.view(func(tx *ledger.Tx) error {
		all = nil
		return tx.Payments(q, func(p book.Payment) error {
			all = append(all, p)
			return nil
		})
	})
	return all
}

// rest waits until every payment has an outcome, or a person's to get; a vault that was killed is
// started again.
func (w *world) rest() {
	wait := 500 * time.Millisecond
	for n := range 3600 {
		w.revive()
		if !w.busy() {
			return
		}
		if n == 600 {
			wait = time.Minute // what is never answered is repeated for hours
		}
		select {
		case <-w.process.fate.died:
		case <-w.process.gone:
		case <-time.After(wait):
		}
	}
	w.fail("payments are without an outcome after all this time")
}

// busy reports whether a payment is on its way to an outcome.
func (w *world) busy() (busy bool) {
	w.view(func(tx *ledger.Tx) error {
		for _, stage := range underway {
			err := tx.Payments(ledger.Query{Stage: stage, Limit: 1}, func(book.Payment) error {
				busy = true
				return nil
			})
			if err != nil || busy {
				return err
			}
		}
		return nil
	})
	return busy
}

// underway are the stages of a payment on its way to an outcome.
var underway = []book.Stage{book.StageReceived, book.StageAuthorising, book.StageCapturing, book.StageVoiding, book.StageUnknown,
	book.StageCorrecting}

// do has the vault do what an operator asks for; when it is killed meanwhile, the operator asks
// again.
func (w *world) do(what string, ask func(*settle.Engine) error) {
	for range 40 {
		w.revive()
		err := ask(w.process.engine)
		w.did(what, err)
		switch {
		case !w.process.fate.alive():
			continue
		case err == nil:
			return
		case errors.Is(err, settle.ErrTotalsDiffer):
			w.fail("%s: %v", what, err)
			return
		}
		if errors.Is(err, settle.ErrConflict) {
			w.rest() // what is repeated may take its time
		}
		w.resolve()
		time.Sleep(time.Second)
	}
	w.fail("%s does not come to an end", what)
}

func (w *world) close(merchant string, method book.Method) error {
	_, err := w.process.engine.CloseBatch(w.t.Context(), merchant, method, person(), nil)
	return err
}

func person() operator.Actor { return operator.Actor{Name: "user:root", Origin: "socket"} }

// closeAll closes whatever is open.
func (w *world) closeAll() {
	w.do("close all batches", func(*settle.Engine) error { return w.close("", "") })
}

// settleAll settles whatever is closed.
func (w *world) settleAll() {
	w.correct(anyone)
	w.do("settle all batches", func(e *settle.Engine) error {
		_, err := e.Settle(w.t.Context(), book.AllBatches, "", person(), nil)
		return err
	})
}
