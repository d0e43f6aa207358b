package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/flips"
	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// flippedRuns is how many bits are flipped here, one a run; vault's TestFlips flips thousands in
// one process.
const flippedRuns = 50

// flipped is a site at rest after a day, and what each run of it goes on with.
type flipped struct {
	*site.Site
	t        *testing.T
	disk     flips.Disk
	day      []storefront.Sealed // posted again in each run
	fresh    storefront.Sealed   // posted in each run
	names    map[string]string   // digest -> what it is
	standard flips.Truth         // what a run comes to in which nothing is flipped
	charged  map[string]int      // in it, and at rest: how often an amount stands at the host
	usual    map[string]bool     // messages that are logged in it as warnings or errors
}

// TestFlippedBitsThroughTheBinaries flips single bits of what vault and relay keep on disks, starts
// the real programs and goes on: nothing is wrong in silence, and an unlock that is refused names a
// file.
func TestFlippedBitsThroughTheBinaries(t *testing.T) {
	f := newFlipped(t)
	f.live(flips.Flip{})
	ground, counts := flips.Survey(f.disk), flips.Table{}
	began := time.Now()
	for seed := range uint64(flippedRuns) {
		flip := ground.Pick(70_001+seed, "")
		verdict, why := f.judge(f.live(flip))
		counts.Add(flip, verdict)
		if testing.Verbose() {
			t.Log(time.Since(began), verdict, flip, why)
		}
		if verdict == flips.Wrong || verdict == flips.Unnamed {
			t.Errorf("%s: %s: %s", verdict, flip, why)
		}
	}
	t.Logf("%d flips in %s\n%s", flippedRuns, time.Since(began).Round(time.Second), counts)
}

// newFlipped goes through a day: sales, an authorisation, a stored card, a settlement, and in the
// end a sale that is taken and cannot be sent.
func newFlipped(t *testing.T) *flipped {
	t.Helper()
	f := &flipped{Site: running(t, site.Options{AnswerTimeout: time.Second, NoRepeats: true}, "bookshop"),
		t: t, names: map[string]string{}, usual: map[string]bool{}}
	ctx := t.Context()
	f.must(f.Permit(ctx, "bookshop", "--storage", "on"))
	s := newShop(t, f.Site, "bookshop")
	var posted []storefront.Sealed
	for i := range 5 {
		posted = append(posted, f.sell(s, int64(1001+i)))
	}
	final, chain := map[string]envelope.Status{}, storefront.Chain{}
	f.must(s.readAll(ctx, &chain, final, posted))
	_, err := f.VaultRun(ctx, "batch", "close", "--all")
	f.must(err)
	_, err = f.VaultRun(ctx, "batch", "settle", "--all")
	f.must(err)
	posted = append(posted, f.sell(s, 1006))
	f.must(s.readAll(ctx, &chain, final, posted))
	f.must(f.Simulator.Stop())
	posted = append(posted, f.sell(s, 1007))
	f.await(func() bool { return strings.Contains(f.payments(ctx), "1007 received") })
	f.day = posted
	f.fresh, err = s.sell(ctx, "fresh", 1008)
	f.must(err)
	f.names[f.fresh.Digest] = "fresh"
	f.must(f.Stop())
	f.disk, err = flips.Read(f.Dir)
	f.must(err)
	f.disk = slices.DeleteFunc(f.disk, func(file flips.File) bool {
		top, _, _ := strings.Cut(file.Name, "/")
		return top != "vault" && top != "relay" && top != "simulator"
	})
	return f
}

func (f *flipped) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// sell seals a sale and posts it.
func (f *flipped) sell(s shop, amount int64) storefront.Sealed {
	f.t.Helper()
	sealed, err := s.sell(f.t.Context(), fmt.Sprint(amount), amount)
	f.must(err)
	_, err = s.Post(f.t.Context(), sealed.Note)
	f.must(err)
	f.names[sealed.Digest] = fmt.Sprint(amount)
	return sealed
}

// payments are the vault's: amounts with their stages.
func (f *flipped) payments(ctx context.Context) string {
	out, err := f.VaultRun(ctx, "payment", "list", "--merchant", "bookshop", "--all", "--json")
	if err != nil {
		return err.Error()
	}
	var all []listed
	f.must(json.Unmarshal([]byte(out), &all))
	var lines []string
	for _, p := range all {
		lines = append(lines, fmt.Sprintf("%d %s", p.Amount, p.Status))
	}
	slices.Sort(lines)
	return strings.Join(lines, ", ")
}

// await waits until done, at most a few seconds, and as long as the vault runs.
func (f *flipped) await(done func() bool) {
	waittest.Within(flipPatience, func() bool { return !f.Vault.Running() || done() })
}

// flipPatience is how long a run waits for its payments.
const flipPatience = 5 * time.Second

// ended is what came of a run.
type ended struct {
	refused error // start or unlock failed
	warned  []string
	hangs   string // the vault did not stop when it was asked to
	truth   flips.Truth
}

// live lays the site out with a flip, starts everything, goes on, and stops it. The first one,
// without a flip, becomes the standard.
func (f *flipped) live(flip flips.Flip) (e ended) {
	f.t.Helper()
	for _, dir := range []string{"vault", "relay", "simulator", "logs"} {
		f.must(os.RemoveAll(f.Path(dir)))
	}
	f.must(os.MkdirAll(f.Path("logs"), 0o700))
	f.must(os.MkdirAll(f.BankOutbox(), 0o700))
	f.must(f.disk.Lay(f.Dir, flip))
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	f.must(f.StartSimulator(ctx))
	before := f.charges()
	e.truth = flips.Truth{}
	if e.refused = f.begin(ctx); e.refused == nil {
		f.goOn(ctx, &e)
	}
	switch {
	case f.Vault == nil:
	case e.refused != nil:
		f.Vault.Kill() // it is executing itself again, locked
	default:
		if err := f.Vault.Stop(); err != nil {
			e.warned = append(e.warned, err.Error())
			e.hangs = f.Vault.Name + ": " + err.Error()
		}
	}
	f.Relay.Kill()
	f.must(f.Simulator.Stop())
	f.Vault, f.Relay = nil, nil
	for what, n := range f.charges() {
		e.truth["at the host"] = append(e.truth["at the host"], fmt.Sprintf("%s %d times", what, n))
	}
	e.warned = append(e.warned, f.warnings()...)
	if f.standard == nil {
		f.becomeStandard(e, before)
	}
	return e
}

// becomeStandard takes a run without a flip for what all are held against.
func (f *flipped) becomeStandard(e ended, before map[string]int) {
	f.t.Helper()
	if e.refused != nil || len(e.truth["results"]) != len(f.day)+1 {
		f.t.Fatalf("a run without a flip: %v %v %v", e.refused, e.warned, e.truth)
	}
	f.standard, f.charged = e.truth, f.charges()
	f.standard["at rest"] = nil
	for what, n := range before {
		f.standard["at rest"] = append(f.standard["at rest"], fmt.Sprintf("%s %d times", what, n))
	}
	for _, line := range e.warned {
		f.usual[line] = true
	}
}

// begin starts relay and vault and unlocks.
func (f *flipped) begin(ctx context.Context) error {
	if err := f.StartRelay(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, site.Tail(f.Path("logs", "relay.log")))
	}
	if err := f.StartVault(ctx); err != nil {
		return fmt.Errorf("%w: %s", err, site.Tail(f.Path("logs", "vault.log")))
	}
	return f.Unlock(ctx, 1, 2)
}

// goOn posts everything again and something new, settles, and reads what the vault and the shop's
// results say.
func (f *flipped) goOn(ctx context.Context, e *ended) {
	f.t.Helper()
	complain := func(err error) {
		if err != nil {
			e.warned = append(e.warned, err.Error())
		}
	}
	ready, cancel := context.WithTimeout(ctx, flipPatience)
	defer cancel()
	complain(f.AwaitRelay(ready))
	s := newShop(f.t, f.Site, "bookshop")
	for _, sealed := range append(slices.Clone(f.day), f.fresh) {
		_, err := s.Post(ctx, sealed.Note)
		complain(err)
	}
	f.await(func() bool {
		all := f.payments(ctx)
		return strings.Contains(all, "1007 approved") && strings.Contains(all, "1008 approved")
	})
	for _, verb := range []string{"close", "settle"} {
		_, err := f.VaultRun(ctx, "batch", verb, "--all")
		complain(err)
	}
	answered, chain := map[string][]string{}, storefront.Chain{}
	f.await(func() bool {
		page, err := s.Results(ctx, &chain, 0)
		for _, r := range page {
			name := f.names[r.Result.Digest]
			answered[name] = append(answered[name], string(r.Facts.Status))
		}
		if err != nil {
			complain(err)
			return true
		}
		return len(answered) == len(f.names) && !slices.ContainsFunc(slices.Collect(maps.Values(answered)),
			func(all []string) bool { return len(all) < 2 })
	})
	complain(chain.MissingError())
	for name, all := range answered {
		e.truth["results"] = append(e.truth["results"], name+": "+strings.Join(all, ", "))
	}
	e.truth["payments"] = strings.Split(f.payments(ctx), ", ")
	status, err := f.Status(ctx)
	complain(err)
	if findings, some := status["findings"]; some {
		e.warned = append(e.warned, fmt.Sprint("findings ", findings))
	}
}

// charges are what stands at the acquirer's host, and how often.
func (f *flipped) charges() map[string]int {
	n := map[string]int{}
	if _, err := os.Stat(f.Book()); errors.Is(err, os.ErrNotExist) {
		return n
	}
	for _, t := range readBook(f.t, f.Site).Transactions {
		if t.Answer == "00" && !t.Reversed {
			n[fmt.Sprintf("%s %d", t.Kind, t.Amount)]++
		}
	}
	return n
}

// loud finds the messages of warnings and errors.
var loud = regexp.MustCompile(`level=(?:WARN|ERROR) msg=("[^"]*"|\S+)`)

// warnings are the messages of the logs, but those that any run has.
func (f *flipped) warnings() (all []string) {
	for _, name := range []string{"relay", "vault"} {
		text, err := os.ReadFile(f.Path("logs", name+".log"))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		f.must(err)
		for _, found := range loud.FindAllStringSubmatch(string(text), -1) {
			if line := name + ": " + found[1]; !f.usual[line] {
				all = append(all, line)
			}
		}
	}
	return all
}

// judge holds what came of a flip against what comes without one.
func (f *flipped) judge(e ended) (flips.Verdict, string) {
	for what, n := range f.chargesIn(e.truth) {
		if n > f.charged[what] {
			return flips.Wrong, fmt.Sprintf("%s stands %d times", what, n)
		}
	}
	if strings.Contains(e.hangs, "did not stop") {
		return flips.Wrong, e.hangs
	}
	if e.refused != nil {
		if differs := (flips.Truth{"at the host": f.standard["at rest"]}).Differs(e.truth,
			flips.Truth{"at the host": nil}); differs != "" {
			return flips.Wrong, e.refused.Error() + "; and yet " + differs
		}
		if !flips.Named(e.refused.Error()) {
			return flips.Unnamed, e.refused.Error()
		}
		return flips.Refused, e.refused.Error()
	}
	subjects := maps.Clone(f.standard)
	delete(subjects, "at rest")
	differs := f.standard.Differs(e.truth, subjects)
	switch {
	case len(e.warned) > 0:
		return flips.Noticed, strings.Join(e.warned, "; ") + "; " + differs
	case differs != "":
		return flips.Wrong, differs
	}
	return flips.Harmless, ""
}

// chargesIn reads the lines about the host.
func (f *flipped) chargesIn(t flips.Truth) map[string]int {
	n := map[string]int{}
	for _, line := range t["at the host"] {
		var kind string
		var amount, times int
		if _, err := fmt.Sscanf(line, "%s %d %d times", &kind, &amount, &times); err != nil {
			f.t.Fatalf("%q: %v", line, err)
		}
		n[fmt.Sprintf("%s %d", kind, amount)] = times
	}
	return n
}
