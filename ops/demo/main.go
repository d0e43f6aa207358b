// Command demo shows Nightdrop's main job on one machine: five shops post a day's orders through
// the relay, the vault authorises, captures and refunds them with an acquirer host, charges bank
// accounts by a settlement file, settles, and answers; then it looks for every account number where
// none may be. See `make demo`.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"nightdrop/ops/site"
)

func main() {
	bin := flag.String("bin", "bin", "directory of the binaries relay, vault, storefront and simulator")
	file := flag.String("payments", "testdata/payments.csv", "the day's orders")
	dir := flag.String("dir", "", "directory to put up the site in, which must not be there (default demo-TIME)")
	flag.Parse()
	if *dir == "" {
		*dir = "demo-" + time.Now().Format("20060102-150405")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	d := demo{out: os.Stdout, dir: *dir, began: time.Now(), tokens: map[string]string{}, results: map[string]shopResult{}, statuses: map[string]int{}}
	if err := d.run(ctx, *bin, *file); err != nil {
		fmt.Fprintf(os.Stderr, "demo: failed: %v\nthe site is left in %s; its logs are in %s/logs\n", err, *dir, *dir)
		stop()
		os.Exit(1)
	}
}

// demo is one run.
type demo struct {
	out   io.Writer
	dir   string
	began time.Time

	site   *site.Site
	orders []order
	header []string // of the shops' own files
	shops  []string
	bad    []badEnvelope
	tokens map[string]string // of stored accounts, by the id of the order that stored each

	results  map[string]shopResult // the newest of each envelope, by digest
	statuses map[string]int        // of all results
	tally    tally
	scans    scans
}

// tally is the last line.
type tally struct {
	posted, accepted, rejected, settled, lost, duplicated, clear int
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, format+"\n", args...)
}

func (d *demo) run(ctx context.Context, bin, file string) (err error) {
	if _, err := os.Stat(d.dir); err == nil {
		return fmt.Errorf("%s is there already: choose another --dir", d.dir)
	}
	if d.orders, d.header, err = readOrders(file); err != nil {
		return err
	}
	d.shops = merchantsOf(d.orders)
	d.say("Nightdrop: %d orders of %d shops, by card and bank account, from sealed envelope to settled batch.", len(d.orders), len(d.shops))
	if d.site, err = site.New(ctx, site.Options{Dir: d.dir, Bin: bin, AnswerTimeout: answerTimeout}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.site.Stop()) }()
	for _, step := range []func(context.Context) error{d.open, d.postBad, d.postMorning, d.authorise, d.followUp, d.settleDay, d.importReturns,
		d.settleNextDay, d.readResults, d.verifyLog, d.report, d.compareBooks, d.compareBank, d.lookForNumbers} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return d.finish()
}

// answerTimeout is more than a busy machine needs, so that only what is meant to has an unknown
// outcome.
const answerTimeout = 5 * time.Second

// payouts is the shop that may pay out, and storing are those that may store accounts.
const payouts = "velo-works"

var storing = []string{"bookshop", "tickets-live"}

// open starts the three processes and enrols the shops.
func (d *demo) open(ctx context.Context) error {
	merchants := make([]site.Merchant, len(d.shops))
	for i, shop := range d.shops {
		merchants[i] = site.Merchant{ID: shop, Currencies: currenciesOf(d.orders, shop)}
		if slices.Contains(storing, shop) {
			merchants[i].Policy = []string{"--storage", "on"}
		}
		if shop == payouts {
			merchants[i].Policy = append(merchants[i].Policy, "--payouts", "USD=10000000")
		}
	}
	if err := d.site.Launch(ctx, merchants...); err != nil {
		return err
	}
	d.say("  relay (online)    pid %-7d takes envelopes at %s and can read none of them", d.site.Relay.Pid(), d.site.Origin())
	d.say("  vault (offline)   pid %-7d dials out only; unlocked with 2 of 3 custodians' shares", d.site.Vault.Pid())
	d.say("  simulator         pid %-7d is acquirer (ISO 8583 over TLS) and bank (NACHA files), with books of its own", d.site.Simulator.Pid())
	d.say("  storefronts pin   %s", d.site.Verifier)
	return nil
}

func (d *demo) finish() error {
	t := d.tally
	line := fmt.Sprintf("posted=%d accepted=%d rejected=%d settled=%d lost=%d duplicated=%d clear=%d",
		t.posted, t.accepted, t.rejected, t.settled, t.lost, t.duplicated, t.clear)
	if t.lost != 0 || t.duplicated != 0 || t.clear != 0 || t.posted != len(d.orders) || t.accepted+t.rejected != t.posted {
		return errors.New("the numbers do not add up: " + line)
	}
	d.say("Look around in %s: logs/, relay/ (what a thief of the relay gets), vault/, simulator/ (the other side's books),", d.dir)
	d.say("returns/ (what the bank sent), audit/ (the exported log), report.html (the day's batches). For example:")
	d.say("  bin/vault audit verify %s/audit --verifier %s", d.dir, d.site.Verifier)
	d.say("It took %.1f seconds.", time.Since(d.began).Seconds())
	d.say("demo: ok %s", line)
	return nil
}
