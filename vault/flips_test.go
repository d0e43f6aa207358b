package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/ops/flips"
	"nightdrop/vault/internal/settings"
)

// How many flips, from which seed on, and of which group of files; see make flips.
var (
	flipCount = flag.Int("flips", 60, "how many bits to flip, one a life")
	flipFrom  = flag.Uint64("seed", 1, "seed of the first flip; each further one has the next")
	flipOnly  = flag.String("only", "",
		"flip in this group of files only: ledger, keyring, journal, channel, marks or head")
	flipTell   = flag.String("tell", "", "list the flips of this verdict")
	flipKeep   = flag.String("keep", "", "directory in which to lay out what the worst flips began with")
	flipAtOnce = flag.Int("at-once", 4, "lives lived at a time: most of one is waiting")
)

// memoryDisk is a disk without fsyncs' cost, where there is one.
const memoryDisk = "/dev/shm"

// underWay is where the flips under way are written down: a panic in the vault ends the test before
// it can tell.
const underWay = "nightdrop-flips-under-way"

// TestFlips flips single bits of what lies on the disks of a vault, its relay and its journal while
// they are off, a bit in each life of the same picture, goes on with every kind of use and holds
// what comes of it against a life without the flip. Nothing may be wrong in silence.
func TestFlips(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	if _, err := os.Stat(memoryDisk); err == nil {
		t.Setenv("TMPDIR", memoryDisk)
	}
	pictures := []*picture{take(t, settings.OnChannel), take(t, settings.InDirectory)}
	var grounds []flips.Ground
	for _, p := range pictures {
		p.settle()
		grounds = append(grounds, flips.Survey(p.disk))
		if *flipOnly != "" && len(grounds[0][*flipOnly]) == 0 {
			t.Fatalf("there are no files of a group %q", *flipOnly)
		}
	}
	began := time.Now()
	c := &campaign{t: t, counts: flips.Table{}, moving: map[string]bool{}}
	var lives errgroup.Group
	lives.SetLimit(*flipAtOnce)
	for n := range *flipCount {
		seed := *flipFrom + uint64(n)
		which := int(seed % uint64(len(pictures)))
		lives.Go(func() error {
			c.run(pictures[which], grounds[which].Pick(seed, *flipOnly))
			return nil
		})
	}
	_ = lives.Wait() // none fails
	t.Logf("%d flips in %s, %s each\n%s", *flipCount, time.Since(began).Round(time.Second),
		(time.Since(began) / time.Duration(*flipCount)).Round(time.Millisecond), c.counts)
}

// campaign is many flips.
type campaign struct {
	t      *testing.T
	mu     sync.Mutex
	counts flips.Table
	moving map[string]bool
}

// run lives a flip and takes its verdict down.
func (c *campaign) run(p *picture, f flips.Flip) {
	c.move(f, true)
	v, why := p.try(f, patience)
	c.move(f, false)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts.Add(f, v)
	if v == flips.Wrong || v == flips.Unnamed {
		c.t.Errorf("%s: %s: %s\n  again: make flips N=1 SEED=%d%s", v, f, why, f.Seed, onlyArgument())
		c.keep(p, f)
	} else if string(v) == *flipTell || *flipCount == 1 {
		c.t.Logf("%s: %s: %s", v, f, why)
	}
}

// keep lays out what a flip began with, for people to try by hand, and the custodians' shares.
func (c *campaign) keep(p *picture, f flips.Flip) {
	if *flipKeep == "" {
		return
	}
	dir := filepath.Join(*flipKeep, fmt.Sprintf("seed-%d", f.Seed))
	if err := p.disk.Lay(dir, f); err != nil {
		c.t.Errorf("keep %s: %v", dir, err)
	}
	for i, share := range p.shares {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("share-%d", i+1)), append(slices.Clone(share),
			'\n'), 0o600); err != nil {
			c.t.Errorf("keep %s: %v", dir, err)
		}
	}
}

func onlyArgument() string {
	if *flipOnly == "" {
		return ""
	}
	return " ONLY=" + *flipOnly
}

// move notes that a flip is under way, or is not any more.
func (c *campaign) move(f flips.Flip, now bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.moving[f.String()] = now; !now {
		delete(c.moving, f.String())
	}
	var lines []string
	for line := range c.moving {
		lines = append(lines, line)
	}
	_ = os.WriteFile(filepath.Join(os.TempDir(), underWay), []byte(strings.Join(lines, "\n")+"\n"),
		0o600) // for people only
}

// soundEvery is of how many refusals one has its file replaced by a sound copy, as the error says,
// to see that nothing is lost.
const soundEvery = 8

// try lives a flip, and judges it.
func (p *picture) try(f flips.Flip, patience time.Duration) (flips.Verdict, string) {
	dir, err := os.MkdirTemp("", "flip")
	if err != nil {
		return flips.Wrong, err.Error()
	}
	defer os.RemoveAll(dir)
	o, err := p.live(p.t.Context(), dir, f, patience)
	v, why := p.judge(o, err)
	if v == flips.Wrong && patience < patienceAgain {
		return p.try(f, patienceAgain)
	}
	if v != flips.Refused || f.Seed%soundEvery != 0 {
		return v, why
	}
	if err := p.disk.Replace(dir, f.File); err != nil {
		return flips.Wrong, err.Error()
	}
	o, err = p.resume(p.t.Context(), dir, patience)
	if after, what := p.judge(o, err); after != flips.Harmless && after != flips.Noticed {
		return flips.Wrong, fmt.Sprintf("%s; with a sound copy in its place: %s", why, what)
	}
	return v, why
}

// settle finds out what lives come to in which nothing is flipped, stopped or killed before: all to
// the same.
func (p *picture) settle() {
	p.t.Helper()
	for i := range 4 {
		dir, err := os.MkdirTemp("", "flip")
		p.must(err)
		if i == 0 {
			l := &life{town: p.town, dir: dir, clock: time.Now, said: &warnings{}}
			var o outcome
			p.must(p.disk.Lay(dir, flips.Flip{}))
			p.must(p.outside(l, &o))
			p.rest = flips.Truth{atHost: o.truth[atHost], atBank: o.truth[atBank]}
			p.must(os.RemoveAll(dir))
			continue
		}
		o, err := p.live(p.t.Context(), dir, flips.Flip{Killed: i == 2}, patienceAgain)
		p.must(err)
		p.must(os.RemoveAll(dir))
		if p.standard == nil {
			p.standard = o.truth
		}
		for _, line := range o.said {
			p.quietly = append(p.quietly, line[:min(len(line), 40)])
		}
		if differs := p.standard.Differs(o.truth,
			o.truth); differs != "" || o.tells(p.quietly) != "" || o.ended != nil || o.refused != nil {
			p.t.Fatalf("lives without a flip differ: %s %s %v %v %v", differs, o.tells(p.quietly), o.ended,
				o.refused, o.startFailed)
		}
		if o.restless {
			p.t.Fatalf("a life without a flip does not come to rest")
		}
	}
}
