package replay

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
)

// Options of a replay.
type Options struct {
	Export   *audit.Export
	Identity audit.Identity
	// begins with it, and changes it to the state at Report.Through
	From       *State
	Statements *Statements             // to compare with; may be nil
	Progress   func(done, total int64) // entries; may be nil
	Watch      func(Step) error        // every entry that was folded, in order; may be nil
}

// A process that only replays is best run with these (runtime/debug): it allocates much and keeps
// little, so rare collections save much of its time. A log of a million entries needs some 40 MB,
// and up to the limit more is used. A log whose payments' places (8 bytes each) need more than that
// is still replayed, only slower.
const (
	GCPercent   = 400
	MemoryLimit = 128 << 20 // bytes
)

// Step is one entry that was folded and compared with its leaf.
type Step struct {
	Entry  audit.Entry
	Event  book.Event
	Issued *book.Issued // nil where it issued no result
	Facts  []byte       // line 1 of that result, without its newline; until Watch returns
	State  *book.State  // after the event
}

// Run replays an export. Findings are in the report, and [Report.Err] returns them; an error is of
// reading alone. After the first event that does not fit nothing more is folded, but entries are
// still verified and opened.
func Run(ctx context.Context, o Options) (*Report, error) {
	c := o.Export.Checkpoint()
	r := &run{Options: o, report: &Report{Origin: c.Origin, Size: c.Size, Root: c.Root.String(), From: o.From.Size, Through: o.From.Size, By: o.From.By,
		Not: []string{}, Events: map[string]int64{}, Found: map[book.Finding]uint64{}, First: -1, Findings: []Finding{}}, last: o.From.Time}
	if o.From.Size == 0 {
		r.report.By = ""
	}
	if r.Statements == nil {
		r.Statements = &Statements{}
	}
	if ok, err := r.begins(); err != nil || !ok {
		return r.report, err
	}
	if err := r.entries(ctx); err != nil {
		return r.report, err
	}
	return r.report, r.end()
}

type run struct {
	Options
	report  *Report
	last    envelope.Time // of the newest event
	stopped bool          // nothing is folded any more
	broken  bool          // nor read
	facts   []byte        // of the entry under way
}

// begins compares the state and the checkpoints with the exported tree.
func (r *run) begins() (bool, error) {
	hashes := r.Export.Hashes()
	if r.From.Size > r.report.Size {
		r.report.detect(r.report.Size, "the state is after %d entries and this export ends after %d: its end was cut off, or it is older than the state", r.From.Size, r.report.Size)
		return false, nil
	}
	root, err := rootAt(r.From.Size, hashes)
	if err == nil && root != r.From.Root {
		r.report.detect(-1, "the first %d entries are not those that the state was made from: the log was rewritten", r.From.Size)
		return false, nil
	}
	if err == nil {
		err = r.Statements.tree(r.report, hashes)
	}
	if errors.Is(err, audit.ErrIntegrity) {
		r.report.detect(-1, "%v", err)
		return false, nil
	}
	return err == nil, err
}

// chunk is a bundle being read.
type chunk struct {
	bundle  int64
	entries []audit.Entry
	events  []book.Event
	errs    []error       // of decoding
	bad     error         // of the entry after these
	read    chan struct{} // closed when all of this is there
}

func (c *chunk) readFrom(reader *audit.Reader) {
	defer close(c.read)
	c.entries, c.bad = reader.Bundle(c.bundle, c.entries)
	c.events, c.errs = slices.Grow(c.events[:0], len(c.entries))[:len(c.entries)], slices.Grow(c.errs[:0], len(c.entries))[:len(c.entries)]
	for i := range c.entries {
		c.events[i], c.errs[i] = book.Event{}, nil
		if e := &c.entries[i]; e.Err == nil {
			c.errs[i] = c.events[i].UnmarshalJSON(e.Event)
		}
	}
}

// entries reads bundles side by side, and folds them here, in order.
func (r *run) entries(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	workers := runtime.GOMAXPROCS(0)
	work, inOrder, done := make(chan *chunk), make(chan *chunk, 2*workers), make(chan *chunk, 2*workers)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel() // before the wait
	for range workers {
		group.Go(func() {
			reader := r.Export.NewReader(r.Identity)
			for c := range work {
				c.readFrom(reader)
			}
		})
	}
	group.Go(func() { r.deal(ctx, work, inOrder, done) })
	order := r.Export.NewOrder(r.Identity)
	for c := range inOrder {
		<-c.read
		if err := r.chunk(ctx, c, order); err != nil || r.broken {
			return err
		}
		select {
		case done <- c:
		default:
		}
	}
	return ctx.Err()
}

// deal hands bundles to their readers, and in order to the folding. Used ones come back for their
// memory.
func (r *run) deal(ctx context.Context, work, inOrder chan<- *chunk, done <-chan *chunk) {
	defer close(work)
	defer close(inOrder)
	for n := r.From.Size / audit.Bundle; n < r.Export.Bundles(); n++ {
		c := &chunk{}
		select {
		case c = <-done:
		default:
		}
		c.bundle, c.read = n, make(chan struct{})
		for _, to := range []chan<- *chunk{inOrder, work} {
			select {
			case to <- c:
			case <-ctx.Done():
				close(c.read) // it may be in order, where it is waited for, and nobody will read it
				return
			}
		}
	}
}

func (r *run) chunk(ctx context.Context, c *chunk, order *audit.Order) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	next := max(c.bundle*audit.Bundle, r.From.Size)
	bad := c.bad
	for i := range c.entries {
		e := &c.entries[i]
		if e.Index < next {
			continue
		}
		if bad = order.Next(e); bad != nil {
			break
		}
		if err := r.entry(e, &c.events[i], c.errs[i]); err != nil {
			return err
		}
		next, bad = e.Index+1, c.bad
	}
	if errors.Is(bad, audit.ErrIntegrity) {
		if at, known := errors.AsType[*audit.EntryError](bad); known {
			next = at.Index // it may be before the state, in a bundle with what is after it
		}
		r.report.detect(next, "%v", bad)
		r.stopped, r.broken = true, true
		return nil
	}
	if bad == nil && r.Progress != nil {
		r.Progress(next, r.report.Size)
	}
	return bad
}

// entry counts an entry, and folds it where it can be.
func (r *run) entry(e *audit.Entry, event *book.Event, bad error) error {
	if e.Err != nil {
		r.report.Closed++
		return nil
	}
	r.report.Opened++
	if bad != nil {
		if !r.stopped {
			r.report.detect(e.Index, "the entry holds no event: %v", bad)
		}
		r.stopped = true
		return nil
	}
	r.report.Events[event.Body.Kind()]++
	if b, ok := event.Body.(book.IntegrityFound); ok {
		r.report.Found[b.Finding] += b.Times()
	}
	if r.stopped {
		return nil
	}
	if e.Index != r.report.Through {
		r.stopped = true
		r.report.Gap = fmt.Sprintf("entries %d to %d do not open with this key (another auditor's time, or bodies that were left out), so those from %d on cannot be folded: "+
			"give --from a state at or after that entry (vault audit opening)", r.report.Through, e.Index-1, e.Index)
		return nil
	}
	return r.fold(e, event)
}

// fold does what the vault did when it committed the event.
func (r *run) fold(e *audit.Entry, event *book.Event) error {
	if event.Time.Before(r.last.Time) {
		r.report.detect(e.Index, "the event is earlier than the one before")
	}
	breach := book.Breach(r.From.state.State, *event)
	if breach != nil && !errors.Is(breach, book.ErrTransition) {
		return fmt.Errorf("check entry %d: %w", e.Index, breach)
	}
	issued, err := r.From.Apply(*event)
	if errors.Is(err, book.ErrTransition) {
		r.report.detect(e.Index, "%v", err)
		r.stopped = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("fold entry %d: %w", e.Index, err)
	}
	if breach != nil {
		r.report.detect(e.Index, "%s, from before the vault enforced it: %v", event.Body.Kind(), breach)
	}
	var facts []byte
	if issued != nil {
		if facts, err = issued.Facts.Append(r.facts[:0]); err != nil {
			r.report.detect(e.Index, "the result that it issues is none: %v", err)
			r.stopped = true
			return nil
		}
		r.facts = facts
	}
	if proof.LeafRecord(e.Salt, facts, [32]byte(e.Record[32:])) != e.Record {
		r.report.detect(e.Index, "the leaf is not that of the result which %s issues: the merchant was told something else", event.Body.Kind())
	} else if issued != nil {
		r.report.Results++
	}
	r.Statements.event(r.report, e.Index, event, issued)
	r.last, r.report.Through = event.Time, e.Index+1
	if r.Watch != nil {
		return r.Watch(Step{Entry: *e, Event: *event, Issued: issued, Facts: facts, State: r.From.state.State})
	}
	return nil
}

// end counts everything anew and compares with what the vault has signed elsewhere.
func (r *run) end() error {
	root, err := rootAt(r.report.Through, r.Export.Hashes())
	if errors.Is(err, audit.ErrIntegrity) {
		r.report.detect(-1, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if r.report.Opened == 0 && r.report.Size > r.report.From && !r.broken {
		r.report.Gap = fmt.Sprintf("no entry from %d on opens with this key: there is no log key of that time wrapped for %s in this export", r.report.From, r.Identity.Name())
	}
	r.From.Size, r.From.Root, r.From.Time, r.From.By = r.report.Through, root, r.last, ByReplay
	if r.report.Through == r.report.From && r.stopped {
		return nil
	}
	r.report.Sums, err = r.From.state.count()
	if errors.Is(err, book.ErrTransition) {
		r.report.detect(-1, "counted anew, %v", err)
	} else if err != nil {
		return err
	}
	if r.stopped {
		return nil
	}
	return r.Statements.end(r.report, r.From.state.State, r.report.Through == r.report.Size)
}
