package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/payment"
)

// Options say what is replayed.
type Options struct {
	Export     *audit.Export
	Identity   audit.Identity
	From       *State                  // begins with it, and changes it: at the end it is the state at Report.Through
	Statements *Statements             // to compare with; may be nil
	Progress   func(done, total int64) // entries; may be nil
	Watch      func(Step) error        // every entry that was folded, in order; may be nil
}

// Step is one entry that was folded and held against its leaf.
type Step struct {
	Entry  audit.Entry
	Event  payment.Event
	Issued *payment.Issued // nil where it issued no result
	Facts  []byte          // line 1 of that result, without its newline
	State  payment.State   // after the event
}

// Run replays an export. What does not hold is in the report, and Report.Err says so; an error is of reading alone. After the first event
// that does not fit, nothing is folded any more, but entries are still verified and opened.
func Run(ctx context.Context, o Options) (*Report, error) {
	c := o.Export.Checkpoint()
	r := &run{Options: o, report: &Report{Origin: c.Origin, Size: c.Size, Root: c.Root.String(), From: o.From.Size, Through: o.From.Size, By: o.From.By,
		Not: []string{}, Events: map[string]int64{}, Found: map[payment.Finding]uint64{}, First: -1, Findings: []Finding{}}, last: o.From.Time}
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
}

// begins holds the state and the checkpoints against the exported tree.
func (r *run) begins() (bool, error) {
	hashes := r.Export.Hashes()
	if r.From.Size > r.report.Size {
		r.report.find(r.report.Size, "the state is after %d entries and this export ends after %d: its end was cut off, or it is older than the state", r.From.Size, r.report.Size)
		return false, nil
	}
	root, err := rootAt(r.From.Size, hashes)
	if err == nil && root != r.From.Root {
		r.report.find(-1, "the first %d entries are not those that the state was made from: the log was rewritten", r.From.Size)
		return false, nil
	}
	if err == nil {
		err = r.Statements.tree(r.report, hashes)
	}
	if errors.Is(err, audit.ErrIntegrity) {
		r.report.find(-1, "%v", err)
		return false, nil
	}
	return err == nil, err
}

// chunk is some entries on their way.
type chunk struct {
	entries []audit.Entry
	events  []payment.Event
	errs    []error // of decoding
	decoded chan struct{}
}

const chunkEntries = 128

// entries reads, decodes and folds: one goroutine reads, verifies and opens, some decode, and this one folds.
func (r *run) entries(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	workers := max(1, runtime.GOMAXPROCS(0)-1)
	work, order := make(chan *chunk, 2*workers), make(chan *chunk, 4*workers)
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for c := range work {
				c.decode()
			}
		})
	}
	var reading error
	group.Go(func() {
		defer close(order)
		defer close(work)
		reading = r.read(ctx, work, order)
	})
	next := r.From.Size
	var err error
	for c := range order {
		<-c.decoded
		for i := 0; i < len(c.entries) && err == nil; i++ {
			err = r.entry(c.entries[i], c.events[i], c.errs[i])
			next = c.entries[i].Index + 1
		}
		if err != nil {
			cancel() // the reader stops, and what it has read is thrown away
		} else if r.Progress != nil {
			r.Progress(next, r.report.Size)
		}
	}
	group.Wait()
	cancel()
	switch {
	case err != nil:
		return err
	case errors.Is(reading, audit.ErrIntegrity):
		r.report.find(next, "%v", reading)
		r.stopped = true
		return nil
	}
	return reading
}

func (r *run) read(ctx context.Context, work, order chan<- *chunk) error {
	var c *chunk
	send := func() error {
		if c == nil {
			return nil
		}
		c.events, c.errs, c.decoded = make([]payment.Event, len(c.entries)), make([]error, len(c.entries)), make(chan struct{})
		sent := c
		c = nil
		for _, to := range []chan<- *chunk{work, order} {
			select {
			case to <- sent:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	}
	err := r.Export.Entries(ctx, r.From.Size, r.Identity, func(e audit.Entry) error {
		if c == nil {
			c = &chunk{entries: make([]audit.Entry, 0, chunkEntries)}
		}
		c.entries = append(c.entries, e)
		if len(c.entries) == chunkEntries {
			return send()
		}
		return nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(send(), err)
}

func (c *chunk) decode() {
	for i, e := range c.entries {
		if e.Err == nil {
			c.errs[i] = json.Unmarshal(e.Event, &c.events[i])
		}
	}
	close(c.decoded)
}

// entry counts an entry, and folds it where it can be.
func (r *run) entry(e audit.Entry, event payment.Event, bad error) error {
	if e.Err != nil {
		r.report.Closed++
		return nil
	}
	r.report.Opened++
	if bad != nil {
		if !r.stopped {
			r.report.find(e.Index, "the entry holds no event: %v", bad)
		}
		r.stopped = true
		return nil
	}
	r.report.Events[event.Body.Kind()]++
	if b, ok := event.Body.(payment.IntegrityFound); ok {
		r.report.Found[b.Finding]++
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
func (r *run) fold(e audit.Entry, event payment.Event) error {
	if event.Time.Before(r.last.Time) {
		r.report.find(e.Index, "the event is earlier than the one before")
	}
	issued, err := r.From.Apply(event)
	if errors.Is(err, payment.ErrTransition) {
		r.report.find(e.Index, "%v", err)
		r.stopped = true
		return nil
	}
	if err != nil {
		return fmt.Errorf("fold entry %d: %w", e.Index, err)
	}
	var facts []byte
	if issued != nil {
		if facts, err = envelope.EncodeFacts(issued.Facts); err != nil {
			r.report.find(e.Index, "the result that it issues is none: %v", err)
			r.stopped = true
			return nil
		}
	}
	if proof.LeafRecord(e.Salt, facts, [32]byte(e.Record[32:])) != e.Record {
		r.report.find(e.Index, "the leaf is not that of the result which %s issues: the merchant was told something else", event.Body.Kind())
	} else if issued != nil {
		r.report.Results++
	}
	r.Statements.event(r.report, e.Index, event, issued)
	r.last, r.report.Through = event.Time, e.Index+1
	if r.Watch != nil {
		return r.Watch(Step{Entry: e, Event: event, Issued: issued, Facts: facts, State: r.From.book})
	}
	return nil
}

// end counts everything anew and compares with what the vault says elsewhere.
func (r *run) end() error {
	root, err := rootAt(r.report.Through, r.Export.Hashes())
	if errors.Is(err, audit.ErrIntegrity) {
		r.report.find(-1, "%v", err)
		return nil
	}
	if err != nil {
		return err
	}
	if r.report.Opened == 0 && r.report.Size > r.report.From {
		r.report.Gap = fmt.Sprintf("no entry from %d on opens with this key: it is not of an auditor of that time", r.report.From)
	}
	r.From.Size, r.From.Root, r.From.Time, r.From.By = r.report.Through, root, r.last, ByReplay
	if r.report.Through == r.report.From && r.stopped {
		return nil
	}
	r.report.Sums, err = r.From.book.count()
	if errors.Is(err, payment.ErrTransition) {
		r.report.find(-1, "counted anew, %v", err)
	} else if err != nil {
		return err
	}
	if r.stopped {
		return nil
	}
	return r.Statements.end(r.report, r.From.book, r.report.Through == r.report.Size)
}
