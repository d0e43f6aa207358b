package intake

import (
	"fmt"
	"slices"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// chain checks a bag's position among the bags that came (specification 8). It never refuses a bag:
// what does not fit is a finding, with run and number.
func (c *committer) chain(b *bag, seen book.Bag) error {
	if err := c.checkStart(b); err != nil {
		return err
	}
	if err := c.checkLinks(b, seen); err != nil {
		return err
	}
	// At most `window` bags are in flight, so what is further back was acked before this one was
	// sent, and will not come any more.
	n := b.claim
	if n.Number <= uint64(n.Window) {
		return nil
	}
	return c.recordMissing(b, n.Run, n.Number-uint64(n.Window))
}

// recordMissing records the numbers of a run, up to through, that never came: one finding a range.
func (c *committer) recordMissing(b *bag, run string, through uint64) error {
	relay := b.claim.Relay
	return closeGaps(c.tx, relay, run, through, func(f book.IntegrityFound) error { return c.append(b, f) })
}

func closeGaps(tx *ledger.Tx, relay, run string, through uint64, report func(book.IntegrityFound) error) error {
	for {
		r, _, err := tx.Run(relay, run)
		if err != nil || through <= r.Number {
			return err
		}
		to := through
		for number := range r.Ahead {
			to = min(to, number-1)
		}
		err = report(book.IntegrityFound{Finding: book.FindingBagMissing, Relay: relay, Run: run, Number: r.Number + 1, Through: to})
		if err != nil {
			return err
		}
	}
}

// checkLinks checks that this bag is the only one of its number and that each bag names its
// previous.
func (c *committer) checkLinks(b *bag, seen book.Bag) error {
	n := b.claim
	c.links[linkKey(n.Relay, n.Run, n.Number)] = n.Previous
	before, _, err := c.tx.Bag(n.Relay, n.Run, n.Number-1)
	if err != nil {
		return err
	}
	next, named := c.previousOf(n.Relay, n.Run, n.Number+1)
	detail := ""
	switch {
	case len(seen.Digests) > 0:
		detail = "another bag has this run and number"
	case len(before.Digests) > 0 && !slices.Contains(before.Digests, n.Previous):
		detail = "its previous is not the bag with the number before"
	case named && next != b.digest:
		detail = "the next bag names another as its previous"
	default:
		return nil
	}
	return c.append(b, b.found(book.FindingBagForked, detail))
}

// previousOf returns the previous of a bag that came, as far as memory reaches: a bag that overtook
// is followed by the overtaken one at once or not at all.
func (c *committer) previousOf(relay, run string, number uint64) (string, bool) {
	key := linkKey(relay, run, number)
	if previous, ok := c.links[key]; ok {
		return previous, true
	}
	return c.Intake.links.Get(key)
}

func linkKey(relay, run string, number uint64) string {
	return fmt.Sprintf("%s/%s/%d", relay, run, number)
}

// checkStart checks what number 1 of a run says of the run before it, and closes that run: its
// process has ended, so what has not come never will.
func (c *committer) checkStart(b *bag) error {
	n := b.claim
	if n.Number != 1 {
		return nil
	}
	last, err := c.lastRun(n)
	if err != nil {
		return err
	}
	named := book.Run{}
	if n.After != nil {
		if named, _, err = c.tx.Run(n.Relay, n.After.Run); err != nil {
			return err
		}
	}
	bags := uint64(0)
	if n.After == nil {
		if bags, err = c.countBags(last); err != nil {
			return err
		}
	}
	if detail := restartProblem(n.After, named, last, bags); detail != "" {
		if err := c.append(b, b.found(book.FindingRestart, detail)); err != nil {
			return err
		}
	}
	if n.After != nil {
		if err := c.checkPredecessor(b, *n.After, named); err != nil {
			return err
		}
	}
	if last.ID == "" {
		return nil
	}
	return c.recordMissing(b, last.ID, highest(last))
}

// countBags counts the bags of a relay up to its run last, but stops above that run's window: a
// long history costs nothing.
func (c *committer) countBags(last book.Run) (n uint64, err error) {
	most := window(last)
	for run := last; run.ID != "" && n <= most; {
		n += highest(run)
		if run, _, err = c.tx.Run(run.Relay, run.Before); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// restartProblem returns what is irregular about the beginning of a run, or "". Bags that the relay
// did not know to be acked when its process ended are regular: as many as its window, of the run
// that it names, of a run of which it knew no ack at all, or, where it names none, of all its bags:
// it ended before it knew of its first ack.
func restartProblem(after *envelope.BagRef, named, last book.Run, bags uint64) string {
	switch {
	case last.ID == "":
		return "" // the relay's first run, or the first that the vault knows
	case after == nil && bags <= window(last):
		return "" // as if it named bag 0
	case after == nil:
		return "it names no previous bag, but run " + last.ID + " came before"
	case named.ID != "" && highest(named) > after.Number+window(named):
		return fmt.Sprintf("it names bag %d of run %s, of which %d came", after.Number, named.ID, highest(named))
	case named.ID != "" && named.ID != last.ID && highest(last) > window(last):
		return fmt.Sprintf("it names run %s, but %d bags of run %s came later", named.ID, highest(last), last.ID)
	}
	return ""
}

// window returns how many bags of a run may have been in flight at its end, at least one.
func window(r book.Run) uint64 { return uint64(max(r.Window, 1)) }

// checkPredecessor checks the bag that a run says it follows: it came, or its run has gaps up to
// it.
func (c *committer) checkPredecessor(b *bag, after envelope.BagRef, named book.Run) error {
	relay := b.claim.Relay
	came, _, err := c.tx.Bag(relay, after.Run, after.Number)
	if err != nil {
		return err
	}
	if len(came.Digests) > 0 && !slices.Contains(came.Digests, after.Digest) {
		err := c.append(b, book.IntegrityFound{Finding: book.FindingBagForked, Relay: relay, Run: after.Run, Number: after.Number,
			Detail: "run " + b.claim.Run + " follows another bag of this run and number"})
		if err != nil {
			return err
		}
	}
	return c.recordMissing(b, after.Run, max(after.Number, highest(named)))
}

// highest returns a run's highest number that came.
func highest(r book.Run) uint64 {
	n := r.Number
	for number := range r.Ahead {
		n = max(n, number)
	}
	return n
}

// lastRun returns the run of the bag's relay before the bag's own, or the zero Run.
func (c *committer) lastRun(n envelope.Bag) (book.Run, error) {
	this, known, err := c.tx.Run(n.Relay, n.Run)
	if err != nil {
		return book.Run{}, err
	}
	before := this.Before // number 1 was overtaken by a later bag
	if !known {
		v, err := c.tx.Vault()
		if err != nil {
			return book.Run{}, err
		}
		before = v.LatestRun[n.Relay]
	}
	last, _, err := c.tx.Run(n.Relay, before)
	return last, err
}

// positionSpan is how long a run stays in the position after its last bag (specification 5).
const positionSpan = 7 * 24 * time.Hour
