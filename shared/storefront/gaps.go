package storefront

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
)

// Gap is a range of missing results between two that came. Both sides are kept, so that later ones
// are checked as if they had come in order.
type Gap struct {
	From    uint64 `json:"from"`    // serial of the first that is missing
	Through uint64 `json:"through"` // serial of the last
	// the result before the gap, whose digest the first missing one names
	Before Edge `json:"before"`
	// the result after it, which names the digest of the last missing one
	After Edge `json:"after"`
}

// Edge is what a side of a gap must fit.
type Edge struct {
	Digest  string    `json:"digest"`
	Created time.Time `json:"created"` // of the result on this side
	Index   uint64    `json:"index"`   // of its leaf in the vault's log
	Size    int64     `json:"size"`    // of its checkpoint, 0 where it carries no proof
}

// ErrMissing is returned when results are missing without a sign of tampering: the chain goes on.
var ErrMissing = errors.New("results are missing")

// Limits of gaps.
const (
	maxGaps  = 256              // in a chain: who withholds more is no channel that ran full
	gapsTold = 5                // named in an error
	gapsWait = 30 * time.Second // between two askings for what is missing, while nothing of it came
	// requested at a time, in turn: a relay that withholds every other result must not cost a call
	// for each
	gapsOnce = 8
)

// MissingError names the missing results, or returns nil. They have left the channel, as when a
// shop has not read for long, or the relay withholds them: the vault's operator publishes them
// again, and the chain becomes whole.
func (chain Chain) MissingError() error {
	if len(chain.Missing) == 0 {
		return nil
	}
	first := chain.Missing[0]
	return fmt.Errorf("%w: %s. Ask the vault's operator for `vault results resend MERCHANT --from %d --count %d`; they are read as soon as they come. "+
		"Should they not come, the relay withholds them: tell the vault's operators and auditors", ErrMissing, chain.missingText(),
		first.From, first.Through-first.From+1)
}

func (chain Chain) missingText() string {
	var ranges []string
	for _, g := range chain.Missing[:min(len(chain.Missing), gapsTold)] {
		if g.From == g.Through {
			ranges = append(ranges, fmt.Sprintf("%d", g.From))
			continue
		}
		ranges = append(ranges, fmt.Sprintf("%d to %d", g.From, g.Through))
	}
	text := strings.Join(ranges, ", ")
	if n := len(chain.Missing) - gapsTold; n > 0 {
		text += fmt.Sprintf(" and %d more ranges", n)
	}
	return text
}

// hides reports whether a missing result may be about an envelope created at a time.
func (chain Chain) hides(created time.Time) bool {
	return slices.ContainsFunc(chain.Missing, func(g Gap) bool { return g.hides(created) })
}

// edge is the result's side of a gap after it.
func (o Opened) edge(digest string) Edge {
	return Edge{Digest: digest, Created: o.Result.Created.Time, Index: o.Place.Index, Size: o.Checkpoint.Size}
}

// skip notes that the results between the chain's end and o are missing.
func (chain *Chain) skip(o Opened) error {
	if len(chain.Missing) >= maxGaps {
		return fmt.Errorf("result %d came after %d, and %d ranges are missing already: %w", o.Result.Serial,
			chain.Serial, len(chain.Missing), ErrChain)
	}
	chain.Missing = append(chain.Missing, Gap{From: chain.Serial + 1, Through: o.Result.Serial - 1,
		Before: Edge{Digest: chain.Digest, Created: chain.Created, Index: chain.Index, Size: chain.Size},
		After:  o.edge(o.Result.Previous)})
	return nil
}

// missing returns the index of the gap in which a serial lies, or -1.
func (chain *Chain) missing(serial uint64) int {
	return slices.IndexFunc(chain.Missing, func(g Gap) bool { return g.From <= serial && serial <= g.Through })
}

// fill puts a result into its gap. It must fit both sides, as far as its neighbours are there.
func (chain *Chain) fill(o Opened, digest string) error {
	n := chain.missing(o.Result.Serial)
	if n < 0 {
		return fmt.Errorf("result %d came after %d: %w", o.Result.Serial, chain.Serial, ErrChain)
	}
	g := chain.Missing[n]
	if err := g.fits(o, digest); err != nil {
		return err
	}
	var left []Gap
	if g.From < o.Result.Serial {
		left = append(left, Gap{From: g.From, Through: o.Result.Serial - 1, Before: g.Before,
			After: o.edge(o.Result.Previous)})
	}
	if o.Result.Serial < g.Through {
		left = append(left, Gap{From: o.Result.Serial + 1, Through: g.Through, Before: o.edge(digest), After: g.After})
	}
	if len(chain.Missing)-1+len(left) > maxGaps {
		return fmt.Errorf("result %d would leave over %d ranges missing: %w", o.Result.Serial, maxGaps, ErrChain)
	}
	chain.Missing = slices.Replace(chain.Missing, n, n+1, left...)
	return nil
}

// fits checks a result against its neighbours' digests, and its log index against both sides.
func (g Gap) fits(o Opened, digest string) error {
	r := o.Result
	switch {
	case r.Serial == g.From && r.Previous != g.Before.Digest:
		return fmt.Errorf("result %d does not name result %d: %w", r.Serial, r.Serial-1, ErrChain)
	case r.Serial == g.Through && digest != g.After.Digest:
		return fmt.Errorf("result %d is not the one that result %d names: %w", r.Serial, r.Serial+1, ErrChain)
	case o.Place.Index <= g.Before.Index, o.Place.Index >= g.After.Index:
		return fmt.Errorf("result %d: %w: it is leaf %d, between leaves %d and %d", r.Serial, ErrLog, o.Place.Index,
			g.Before.Index, g.After.Index)
	case g.Before.Size > 0 && o.Proof == nil:
		return fmt.Errorf("result %d: %w: it has no proof, and those before it have", r.Serial, ErrLog)
	case o.Proof != nil && (o.Checkpoint.Size < g.Before.Size || g.After.Size > 0 && o.Checkpoint.Size > g.After.Size):
		return fmt.Errorf("result %d: %w: %w: %d entries, between %d and %d", r.Serial, ErrLog, proof.ErrRewound,
			o.Checkpoint.Size, g.Before.Size, g.After.Size)
	}
	return nil
}

// hides reports whether a missing result may be about an envelope created at a time.
func (g Gap) hides(created time.Time) bool {
	return !g.After.Created.Before(created.Add(-envelope.MaxClockSkew))
}

// missed reads a page of missing results of one gap, if any are there, and moves chain. Results
// that lie elsewhere are left to their own page.
func (c *Client) missed(ctx context.Context, chain *Chain) ([]Opened, error) {
	c.mu.Lock()
	early, turn := c.now().Sub(c.askedMissing) < gapsWait, c.turnMissing
	c.mu.Unlock()
	if len(chain.Missing) == 0 || early {
		return nil, nil
	}
	for k := range min(len(chain.Missing), gapsOnce) {
		g := chain.Missing[(turn+k)%len(chain.Missing)]
		notes, err := c.fetchResults(ctx, fmt.Sprintf("/v1/results?after=%d&wait=0", g.From-1))
		if err != nil {
			return nil, fmt.Errorf("read results that are missing: %w", err)
		}
		notes = slices.DeleteFunc(notes, func(text string) bool {
			said, err := envelope.Peek[envelope.Result]([]byte(text))
			return err == nil && chain.missing(said.Serial) < 0
		})
		if len(notes) == 0 {
			continue
		}
		return c.openListed(ctx, notes, chain.fill)
	}
	c.mu.Lock()
	c.askedMissing, c.turnMissing = c.now(), (turn+gapsOnce)%len(chain.Missing)
	c.mu.Unlock()
	return nil, nil
}
