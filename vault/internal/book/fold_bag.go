package book

import (
	"maps"
	"slices"
)

// bag remembers a bag's digest and moves its run's position on, as far as no number is missing.
func (f *fold) bag(b BagCommitted) error {
	digest := f.event.Evidence
	if digest == "" || b.Number == 0 {
		return misfit("a bag has a digest and a number from 1")
	}
	bag, _, err := f.Bag(b.Relay, b.Run, b.Number)
	if err != nil {
		return err
	}
	if slices.Contains(bag.Digests, digest) {
		return misfit("bag %d of run %s is committed", b.Number, b.Run)
	}
	first := len(bag.Digests) == 0
	if len(bag.Digests) < MaxForks {
		bag = Bag{Relay: b.Relay, Run: b.Run, Number: b.Number, Digests: append(slices.Clip(bag.Digests), digest)}
		if err := Bags.Put(f.State, bag); err != nil {
			return err
		}
	}
	run, known, err := f.Run(b.Relay, b.Run)
	if err != nil {
		return err
	}
	if !known {
		if run, err = f.beginRun(b.Relay, b.Run); err != nil {
			return err
		}
	}
	run.Window, run.Latest = b.Window, f.event.Time
	if first && b.Number > run.Number {
		ahead := map[uint64]string{b.Number: digest}
		maps.Copy(ahead, run.Ahead)
		run.Ahead = ahead
		run.absorb()
		if len(run.Ahead) > MaxAhead {
			return misfit("run %s is more than %d bags ahead of a gap that is no finding", b.Run, MaxAhead)
		}
	}
	return Runs.Put(f.State, run)
}

// beginRun makes a run the newest of its relay.
func (f *fold) beginRun(relay, run string) (Run, error) {
	v, err := f.Vault()
	if err != nil {
		return Run{}, err
	}
	before := v.LatestRun[relay]
	latest := map[string]string{}
	maps.Copy(latest, v.LatestRun)
	latest[relay] = run
	v.LatestRun = latest
	return Run{Relay: relay, ID: run, Before: before, Latest: f.event.Time}, TheVault.Put(f.State, v)
}

// absorb moves the position over the bags that came ahead of it and are next to it now.
func (r *Run) absorb() {
	for {
		digest, next := r.Ahead[r.Number+1]
		if !next {
			break
		}
		delete(r.Ahead, r.Number+1)
		r.Number++
		r.Digest = digest
	}
	if len(r.Ahead) == 0 {
		r.Ahead = nil
	}
}

// missing moves the position over numbers none of which came. The bag after them must be there, or come in this transaction.
func (f *fold) missing(b IntegrityFound) error {
	run, known, err := f.Run(b.Relay, b.Run)
	if err != nil {
		return err
	}
	if !known {
		if run, err = f.beginRun(b.Relay, b.Run); err != nil {
			return err
		}
	}
	came := false
	for number := range run.Ahead {
		came = came || number <= b.Through
	}
	if b.Number != run.Number+1 || b.Through < b.Number || came {
		return misfit("bags %d to %d of run %s are not the next missing ones", b.Number, b.Through, b.Run)
	}
	run.Number, run.Digest, run.Ahead = b.Through, "", maps.Clone(run.Ahead)
	run.absorb()
	return Runs.Put(f.State, run)
}
