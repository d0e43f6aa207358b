package simulation

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

var (
	seeds = flag.Uint64("seeds", 1000, "how many seeds TestSimulation runs")
	from  = flag.Uint64("from", 1, "the first seed of TestSimulation")
	tell  = flag.Bool("story", false, "print the story of every seed, not only of those that fail")
)

// TestMain puts the tests' files into memory where the system has room for them there: a kill of a
// process loses nothing that was written, so a disk adds nothing but time. Worlds are small and
// many, so that garbage is collected more rarely than usual.
func TestMain(m *testing.M) {
	debug.SetGCPercent(400)
	const memory = "/dev/shm"
	if os.Getenv("TMPDIR") == "" {
		if dir, err := os.MkdirTemp(memory, "nightdrop-"); err == nil {
			_ = os.Setenv("TMPDIR", dir)
			code := m.Run()
			_ = os.RemoveAll(dir)
			os.Exit(code)
		}
	}
	os.Exit(m.Run())
}

// TestSimulation runs a vault through what each seed draws: who posts what, what the acquirer's
// host does wrong, when the vault is killed, the host crashes, the line breaks and the clock jumps,
// and when an operator closes, settles and takes the bank's files.
func TestSimulation(t *testing.T) {
	var seen sightings
	t.Cleanup(func() { seen.check(t) })
	for seed := *from; seed < *from+*seeds; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := simulate(t, drawn(seed))
				seen.add(w.story.String())
				if len(w.faults) > 0 {
					t.Errorf("%s\n%s\nagain: make simulate SEEDS=1 FROM=%d", strings.Join(w.faults, "\n"), w.story, seed)
				} else if *tell {
					t.Logf("\n%s", w.story)
				}
			})
		})
	}
}

// sightings counts in how many stories each thing happened.
type sightings struct {
	mu      sync.Mutex
	stories int
	count   map[string]int
}

// enough is how many stories there have to be before everything has happened.
const enough = 500

// everything that has to happen in some of many stories.
var everything = []string{"the vault is killed", "the host is down", "the line breaks", "the clock jumps", "late-answer", "duplicate-answer",
	"what=drop-request", "what=drop-answer", "what=out-of-order", "what=half-message", "what=close", "what=slow", "what=crash",
	"what=inoperative", "what=malfunction", "what=already-there", "what=other-approval", "what=unlisted", "iso-94", "iso-10", "\"stands\":true",
	"authorisation-unanswered", "reversal-answered", "reversal-abandoned", "capture-answered", "capture-abandoned", "outcome-unknown", "payment-resolved",
	"authorisation-expired", "payment-refused", "entry-intended", "file-written", "payment-returned", "change-notified", "entry-acknowledged", "with a defect", "already true",
	"payment-resent", "the host is silent", "host-silent", "host-answers", "nearly midnight", "while it is repeated",
	"\"void\"", "\"refund\"", "\"payout\"", "\"store\"", "\"forget\"", "\"token\"", "repeat 2"}

func (s *sightings) add(story string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.count == nil {
		s.count = map[string]int{}
	}
	s.stories++
	for _, what := range everything {
		if strings.Contains(story, what) {
			s.count[what]++
		}
	}
}

// check fails when there were many stories and something happened in none of them: then what is
// drawn has lost its variety.
func (s *sightings) check(t *testing.T) {
	for _, what := range everything {
		if s.stories >= enough && s.count[what] == 0 {
			t.Errorf("%q happened in none of %d stories", what, s.stories)
		}
	}
	t.Logf("%d stories: %v", s.stories, s.count)
}

// drawn is the plan of a seed.
func drawn(seed uint64) plan {
	draw := rand.New(rand.NewPCG(seed, 1))
	p := plan{seed: seed, shops: 1 + draw.IntN(2), outstanding: 1 + draw.IntN(5), silences: 3 + draw.IntN(5),
		repeatFor: []time.Duration{5 * time.Minute, 20 * time.Minute, 24 * time.Hour}[min(2, draw.IntN(100)/49)]}
	switch mood := draw.IntN(16); {
	case mood < 4: // an honest host
	case mood < 12:
		p.adversary = rates(1)
	case mood < 15:
		p.adversary = rates(2)
	default: // a host that hardly ever answers, and never sees why
		p.adversary = map[host.Mishap]float64{host.DropRequest: 0.3, host.DropAnswer: 0.35}
	}
	return p
}

// rates are those of a host with mishaps of its line and of its codes, so many times as often as
// usual.
func rates(times float64) map[host.Mishap]float64 {
	all := host.DefaultRates()
	maps.Copy(all, host.CodeRates())
	for m := range all {
		all[m] *= times
	}
	return all
}

// simulate lives through a plan to its end, and compares the books.
func simulate(t *testing.T, p plan) *world {
	w := newWorld(t, p)
	w.start(0)
	w.post(w.sale(), w.anything())
	for range 6 + w.draw.IntN(8) {
		w.act()
		w.pass()
	}
	w.finish()
	w.compare()
	return w
}

// finish brings everything to its end: the vault lives, payments get their outcomes, batches are
// settled, and the bank has answered.
func (w *world) finish() {
	w.rest()
	time.Sleep(max(0, w.host.silence.left()))
	if w.draw.IntN(3) == 0 {
		w.resend()
		w.rest()
	}
	w.resolve()
	w.careful = true
	due := batchless
	if w.draw.IntN(2) == 0 {
		due = anyone // before their batches are closed
	}
	w.correct(due)
	w.rest()
	w.resolve()
	w.closeAll()
	w.settleAll()
	w.rest() // what a person had taken back after the close
	w.resolve()
	w.bankDay()
}

// pass lets some time go by.
func (w *world) pass() {
	time.Sleep(time.Duration(w.draw.IntN(3000)) * time.Millisecond)
	synctest.Wait()
}

// acts are what can happen next, with their weights.
var acts = []struct {
	weight int
	do     func(*world)
}{
	{8, func(w *world) { w.post(w.anything()) }},
	{4, func(w *world) { w.post(w.anything(), w.anything(), w.anything()) }},
	{5, (*world).doomed},
	{1, (*world).rested},
	{1, func(w *world) { w.story.line("the line breaks"); w.host.hangUp() }},
	{1, func(w *world) { w.story.line("the host goes down"); w.must(w.host.restart()) }},
	{2, (*world).jump},
	{3, (*world).closeSome},
	{3, (*world).settleSome},
	{2, (*world).bankDay},
	{2, (*world).silenced},
	{1, (*world).evening},
	{1, (*world).resolve},
	{1, (*world).resolveEarly},
	{1, (*world).resend},
	{1, (*world).correctSome},
}

func (w *world) act() {
	total := 0
	for _, a := range acts {
		total += a.weight
	}
	n := w.draw.IntN(total)
	for _, a := range acts {
		if n -= a.weight; n < 0 {
			a.do(w)
			return
		}
	}
}

// doomed has the vault be killed at one of its next points; one that is dead is started again.
func (w *world) doomed() {
	w.revive()
	n := 1 + w.draw.IntN(12)
	w.story.line("the vault will be killed, %d points from now", n)
	w.process.fate.doom(n)
}

// rested stops the vault, in good order, for some hours or days.
func (w *world) rested() {
	w.revive()
	w.end()
	time.Sleep(time.Duration(w.draw.IntN(9*24)) * time.Hour)
	w.revive()
}

// jump moves the vault's clock on, or back.
func (w *world) jump() {
	steps := []time.Duration{-3 * time.Hour, -time.Minute, 10 * time.Minute, 2 * time.Hour, 26 * time.Hour, 145 * time.Hour}
	step := steps[w.draw.IntN(len(steps))]
	w.story.line("the clock jumps by %s", step)
	w.vault.Clock.Pass(step)
}

// closeSome closes one storefront's batches, or all, of one method or both. It may have to be done
// again.
func (w *world) closeSome() {
	merchant := append([]string{""}, w.merchants()...)[w.draw.IntN(1+len(w.shops))]
	method := []book.Method{"", book.MethodCard, book.MethodBank}[w.draw.IntN(3)]
	w.revive()
	w.did(fmt.Sprintf("close %q %q", merchant, method), w.close(merchant, method))
}

func (w *world) merchants() (ids []string) {
	for _, shop := range w.shops {
		ids = append(ids, shop.ID)
	}
	return ids
}

// settleSome settles what is closed, of one method or both. It may have to be done again.
func (w *world) settleSome() {
	method := []book.Method{"", book.MethodCard, book.MethodBank}[w.draw.IntN(3)]
	w.revive()
	_, err := w.process.engine.Settle(w.t.Context(), book.AllBatches, method, person(), nil)
	w.did(fmt.Sprintf("settle %q", method), err)
}

// sale is a sale by card that is approved.
func (w *world) sale() vaulttest.Draft { return w.asks(w.shop().Sale(), w.amount(false)) }

func (w *world) shop() *vaulttest.Storefront { return w.shops[w.draw.IntN(len(w.shops))] }

// amount draws an amount, in a few cases one that makes the simulator misbehave or the bank return.
func (w *world) amount(special bool) int64 {
	if special && w.draw.IntN(3) == 0 {
		amounts := []int64{900_051, 900_100, 900_101, 900_102, 900_201, 900_203, 900_229, 900_401, 900_405, 900_008, 900_010, 900_068, 900_094, 900_096, 900_300}
		return amounts[w.draw.IntN(len(amounts))]
	}
	return 100 + w.draw.Int64N(50_000)
}

// asks puts an amount, and one of the merchant's currencies, into a draft in dollars.
func (w *world) asks(d vaulttest.Draft, amount int64) vaulttest.Draft {
	currency := []string{"USD", "USD", "EUR", "JPY"}[w.draw.IntN(4)]
	if strings.Contains(d.Account, `"bank"`) {
		currency = "USD"
	}
	d.Order = vaulttest.Order(amount, currency, fmt.Sprintf("order %d", w.posted))
	return d
}

// anything draws an envelope. What it is about may not allow it: then it is rejected, and nothing
// moves.
func (w *world) anything() vaulttest.Draft {
	shop := w.shop()
	lives := []time.Duration{time.Hour, 24 * time.Hour, 6 * 24 * time.Hour}[w.draw.IntN(3)]
	d := w.order(shop)
	d.Until = d.Created.Add(lives)
	return d
}

func (w *world) order(shop *vaulttest.Storefront) vaulttest.Draft {
	switch w.draw.IntN(16) {
	case 0, 1, 2:
		return w.asks(shop.Sale(), w.amount(true))
	case 3, 4:
		return shop.Authorize(w.amount(true) + 2_000_000*w.draw.Int64N(2))
	case 5, 6:
		return w.asks(shop.BankSale(100), w.amount(true))
	case 7:
		return shop.Payout(w.amount(true))
	case 8, 9, 10:
		if p, found := w.some(shop, book.FlowAuthorise); found {
			return shop.Capture(p.ID, w.part(p.Amount))
		}
	case 11, 12:
		if p, found := w.some(shop, book.FlowSale, book.FlowAuthorise, book.FlowEntry); found {
			return shop.Refund(p.ID, w.part(p.Amount))
		}
	case 13:
		if p, found := w.some(shop, book.FlowSale, book.FlowAuthorise, book.FlowEntry); found {
			return shop.Void(p.ID)
		}
	case 14:
		return shop.Store(vaulttest.Card(vaulttest.CardNumber, vaulttest.CardExpiry))
	case 15:
		if p, found := w.some(shop, book.FlowKeep); found && p.Operation == envelope.OpStore {
			if w.draw.IntN(3) == 0 {
				return shop.Forget(p.Token)
			}
			return shop.ByToken(envelope.OpSale, p.Token, w.amount(true))
		}
	}
	return w.asks(shop.Sale(), w.amount(true))
}

// some draws one of a storefront's payments of these flows.
func (w *world) some(shop *vaulttest.Storefront, flows ...book.Flow) (book.Payment, bool) {
	var fit []book.Payment
	for _, p := range w.payments(shop) {
		for _, flow := range flows {
			if p.Flow() == flow && p.Of == "" && p.Stage != book.StageRejected {
				fit = append(fit, p)
			}
		}
	}
	if len(fit) == 0 {
		return book.Payment{}, false
	}
	return fit[w.draw.IntN(len(fit))], true
}

// part draws part of an amount, or all of it, or one that is never answered.
func (w *world) part(amount int64) int64 {
	switch w.draw.IntN(5) {
	case 0:
		return amount
	case 1:
		if amount > 1_000_000 {
			amounts := []int64{900_100, 900_101, 900_102, 900_013, 900_051, 900_091, 900_094, 900_094}
			return amounts[w.draw.IntN(len(amounts))]
		}
	}
	return 1 + w.draw.Int64N(amount)
}
