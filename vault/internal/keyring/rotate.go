package keyring

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"nightdrop/shared/envelope"
)

// Change is what [Ring.Tick] did.
type Change struct {
	Created   []envelope.DirectoryKey // durable, and so may be published
	Destroyed []envelope.KeyName      // overwritten on disk, and no longer in the map in memory
	Clock     Clock                   // ClockJumped while destruction is suspended
	// in the Tick (or first after Unlock) that detects the clock jumped or behind: how far; else 0
	Jump time.Duration
}

// Tick makes the keys that are due and destroys those that are dead, by the trusted clock, as of
// now. Both are durable when it returns; call it at least every few minutes. On an error Change
// says what was done before it. After a failed write every later Tick fails too: restart the
// process. A crash may come between a change and its report: after a Tick compare [Ring.Live] with
// what was recorded. It fails with [ErrLocked].
func (r *Ring) Tick(now time.Time) (Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil {
		return Change{}, ErrLocked
	}
	if r.store.failed != nil {
		return Change{}, r.store.failed
	}
	status := r.observe(now)
	change := Change{Destroyed: r.recovered, Clock: status.Clock, Jump: r.unreported}
	r.recovered, r.unreported = nil, 0
	if status.Clock != ClockJumped {
		dead, err := r.destroyDead(status.Trusted)
		change.Destroyed = append(change.Destroyed, dead...)
		if err != nil {
			return change, err
		}
	}
	made, err := r.makeDue(status.Trusted)
	change.Created = made
	if err != nil {
		return change, err
	}
	if status.Trusted.Sub(r.store.mark) >= markEvery {
		r.store.mark = status.Trusted
		return change, r.store.writeHeader()
	}
	return change, nil
}

// observe reads the wall clock, logs once what is wrong with it, and keeps the jump for the next
// Tick.
func (r *Ring) observe(wall time.Time) ClockStatus {
	status, changed := r.clock.observe(wall)
	if !changed {
		return status
	}
	r.unreported = status.Jump
	switch status.Clock {
	case ClockJumped:
		r.log.Warn("the clock jumped forward: no key is made or destroyed by it until custodians confirm it",
			"wall", status.Wall, "trusted", status.Trusted, "do", "vault unlock --confirm-clock, with shares")
	case ClockBehind:
		r.log.Warn("the clock went back: keys live on by the monotonic clock; correct the clock, or confirm it",
			"wall", status.Wall, "trusted", status.Trusted, "do", "vault unlock --confirm-clock, with shares")
	case ClockSteady:
		r.log.Info("the clock is steady again", "wall", status.Wall)
	}
	return status
}

func (r *Ring) destroyDead(now time.Time) ([]envelope.KeyName, error) {
	var slots []int
	var names []envelope.KeyName
	for i, e := range r.store.table {
		if e.state == slotLive && !e.life.Dies.After(now) {
			slots = append(slots, i)
			names = append(names, e.life.Name)
		}
	}
	if len(slots) == 0 {
		return nil, nil
	}
	r.openMu.Lock()
	for _, name := range names {
		delete(r.opened, name)
	}
	r.openMu.Unlock()
	if err := r.store.destroy(slots); err != nil {
		return nil, fmt.Errorf("destroy dead keys: %w", err)
	}
	return names, nil
}

// makeDue makes the keys that are due and missing.
func (r *Ring) makeDue(now time.Time) ([]envelope.DirectoryKey, error) {
	have := make(map[due]bool)
	ids := make(map[uint32]bool)
	for _, e := range r.store.table {
		if e.state == slotLive {
			ids[e.life.Name.ID()] = true
			if !e.lost { // senders need another in its place
				have[due{e.life.Name.Kind(), e.life.Name.Suite(), e.life.From}] = true
			}
		}
	}
	var made []madeKey
	for _, d := range r.plan.due(now) {
		if have[d] {
			continue
		}
		handle, id, err := newKeyset(d.suite)
		// two keys of one id could not be distinguished by a part's prefix
		for err == nil && ids[id] {
			handle, id, err = newKeyset(d.suite)
		}
		if err != nil {
			return nil, err
		}
		ids[id] = true
		made = append(made, madeKey{r.plan.of(d, id), handle})
	}
	if len(made) == 0 {
		return nil, nil
	}
	return r.install(made)
}

// install stores new keys, then begins to open with them.
func (r *Ring) install(made []madeKey) ([]envelope.DirectoryKey, error) {
	opened := make([]*sealingKey, len(made))
	for i, m := range made {
		k := &sealingKey{life: m.life}
		var err error
		if k.private, k.public, err = openedKey(m.handle, m.life.Name.Suite()); err != nil {
			return nil, err
		}
		opened[i] = k
	}
	slots, err := r.store.put(made)
	if err != nil {
		return nil, fmt.Errorf("keep new keys: %w", err)
	}
	var public []envelope.DirectoryKey
	r.openMu.Lock()
	defer r.openMu.Unlock()
	for i, k := range opened {
		k.slot = slots[i]
		r.opened[k.life.Name] = k
		public = append(public, k.directory())
	}
	return public, nil
}

// Directory returns the public halves of the keys that are not dead at now nor by the trusted
// clock, by kind, from and suite. It is empty while locked.
func (r *Ring) Directory(now time.Time) []envelope.DirectoryKey {
	trusted := r.clock.read()
	if now.Before(trusted) || r.Suspended() {
		now = trusted
	}
	return slices.DeleteFunc(r.Live(), func(k envelope.DirectoryKey) bool { return !k.Dies.After(now) })
}

// Live returns the public halves of all keys whose private halves exist, in [Ring.Directory]'s
// order: also those whose destruction is suspended. It is empty while locked.
func (r *Ring) Live() []envelope.DirectoryKey {
	var list []envelope.DirectoryKey
	r.openMu.RLock()
	for _, k := range r.opened {
		list = append(list, k.directory())
	}
	r.openMu.RUnlock()
	slices.SortFunc(list, func(a, b envelope.DirectoryKey) int {
		return cmp.Or(cmp.Compare(b.Name.Kind(), a.Name.Kind()), a.From.Compare(b.From.Time), cmp.Compare(b.Suite, a.Suite))
	})
	return list
}

func (k *sealingKey) directory() envelope.DirectoryKey {
	return envelope.DirectoryKey{Name: k.life.Name, Suite: k.life.Name.Suite(), Public: slices.Clone(k.public),
		From: envelope.At(k.life.From), Until: envelope.At(k.life.Until), Dies: envelope.At(k.life.Dies)}
}

// ConfirmClock accepts the wall clock, forward or back: call it only after [Ring.Unlock] succeeded
// with shares given for that purpose. The next [Ring.Tick] destroys what is dead by it. It fails
// with [ErrLocked].
func (r *Ring) ConfirmClock() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store == nil {
		return ErrLocked
	}
	now := r.now()
	r.clock.confirm(now)
	r.unreported = 0
	r.log.Info("custodians confirmed the clock", "wall", now.UTC())
	r.store.mark = now
	return r.store.writeHeader()
}

// Suspended reports whether destruction waits for [Ring.ConfirmClock].
func (r *Ring) Suspended() bool { return r.Clock().Clock == ClockJumped }

// Clock returns the state of the clock as of the last [Ring.Tick] or [Ring.Unlock].
func (r *Ring) Clock() ClockStatus { return r.clock.last(r.now()) }
