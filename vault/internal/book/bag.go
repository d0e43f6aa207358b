package book

import (
	"maps"
	"slices"

	"nightdrop/shared/envelope"
)

// RunKey names a run.
type RunKey struct{ Relay, Run string }

// Runs are kept by relay and run.
var Runs = &Table[RunKey, Run]{Name: "runs", Line: "run", Key: func(r Run) RunKey { return RunKey{r.Relay, r.ID} },
	Bytes: func(k RunKey) []byte { return []byte(k.Relay + "/" + k.Run) }}

// Run returns what is known of a relay's run.
func (s *State) Run(relay, run string) (Run, bool, error) { return Runs.Get(s, RunKey{relay, run}) }

// Run is what the vault knows of one relay process's chain of bags.
type Run struct {
	Relay string `json:"relay"`
	ID    string `json:"id"` // 32 hex
	// the signed position: every bag at or below it came or is a finding
	Number uint64 `json:"number"`
	Digest string `json:"digest"` // of that bag
	// digests of bags that came above Number+1, at most maxAhead
	Ahead  map[uint64]string `json:"ahead,omitempty"`
	Window int               `json:"window"`
	// the relay's newest run when the vault first heard of this one
	Before string        `json:"before,omitempty"`
	Latest envelope.Time `json:"latest"` // when a bag of it last came
}

// maxAhead bounds Run.Ahead: a relay has at most 8 bags in flight (specification 8).
const maxAhead = 8

// BagKey names a bag.
type BagKey struct {
	Relay, Run string
	Number     uint64
}

// Bags are kept by relay, run and number.
var Bags = &Table[BagKey, Bag]{Name: "bags", Line: "bag", Key: func(b Bag) BagKey { return BagKey{b.Relay, b.Run, b.Number} },
	Bytes: func(k BagKey) []byte { return append([]byte(k.Relay+"/"+k.Run+"/"), Ordered(k.Number)...) }}

// Bag returns a bag of a run.
func (s *State) Bag(relay, run string, number uint64) (Bag, bool, error) {
	return Bags.Get(s, BagKey{relay, run, number})
}

// Bag is one committed bag number and the digests seen under it: more than one is a fork.
type Bag struct {
	Relay   string   `json:"relay"`
	Run     string   `json:"run"`
	Number  uint64   `json:"number"`
	Digests []string `json:"digests"` // at most MaxForks
}

// MaxForks bounds Bag.Digests. Envelopes of further forks are still processed; their digests are
// not remembered.
const MaxForks = 8

// BagCommitted reports that all of a bag's envelopes have had their effect.
type BagCommitted struct {
	Relay    string           `json:"relay"`
	Run      string           `json:"run"`
	Number   uint64           `json:"number"`
	Previous string           `json:"previous"`
	After    *envelope.BagRef `json:"after,omitempty"`
	Window   int              `json:"window"`
	Received int              `json:"received"` // envelopes accepted
	Repeated int              `json:"repeated"` // that were here already
	Rejected int              `json:"rejected"` // with a result to the merchant
	Ignored  int              `json:"ignored"`  // forged or not envelopes at all
}

// Kind implements Body.
func (BagCommitted) Kind() string { return "bag-committed" }

// bag remembers a bag's digest and moves its run's position up to the first missing number.
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
		if len(run.Ahead) > maxAhead {
			return misfit("run %s is more than %d bags ahead of a gap without a finding", b.Run, maxAhead)
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

// absorb moves the position over the bags ahead of it that now follow it.
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

// missing moves the position over numbers that never came. The bag after them must be there, or
// come in this transaction.
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
