package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// errKilled is what a process that is dead gets from whatever it tries.
var errKilled = errors.New("the process is dead")

// fate counts the points at which a process may be killed, and kills it at one of them. What is
// dead has no effect any more.
type fate struct {
	kill func(damage damage) // called at the kill, before anything else happens

	mu    sync.Mutex
	left  int // points until the kill; 0: it is never killed
	names []string
	dead  bool
	died  chan struct{} // closed at the kill
}

// damage makes, of the outbox as it is at a point, another state in which the step after that point
// passes on its way. Nil changes nothing.
type damage func(outbox string) error

func newFate(left int, kill func(damage)) *fate {
	return &fate{kill: kill, left: left, died: make(chan struct{})}
}

// point is one more point; it reports whether the process lives on.
func (f *fate) point(d damage, format string, args ...any) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return false
	}
	f.names = append(f.names, fmt.Sprintf(format, args...))
	if f.left == 0 || len(f.names) < f.left {
		return true
	}
	f.dead = true
	f.kill(d)
	close(f.died)
	return false
}

func (f *fate) alive() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.dead
}

// doom kills the process so many points from now.
func (f *fate) doom(points int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = len(f.names) + points
}

// mortalLedger is the ledger as a process has it: it dies before or after a commit, and its commits
// come one at a time, in an order that the seed decides.
type mortalLedger struct {
	world *world
	real  *ledger.Ledger
	fate  *fate
	trial sync.Mutex
	lose  func(book.Body) bool // commits that are said to have happened and have not; nil: none
}

func (l *mortalLedger) Committed() <-chan struct{} { return l.real.Committed() }

func (l *mortalLedger) View(fn func(*ledger.Tx) error) error {
	if !l.fate.alive() {
		return errKilled
	}
	return l.real.View(fn)
}

// errTrial ends a transaction that only shows what it would do.
var errTrial = errors.New("only a trial")

func (l *mortalLedger) Commit(ctx context.Context, fn func(*ledger.Tx) error) error {
	if !l.fate.alive() {
		return errKilled
	}
	l.trial.Lock()
	events, err := l.try(ctx, fn, true)
	l.trial.Unlock()
	if !errors.Is(err, errTrial) || len(events) == 0 {
		_, err := l.try(ctx, fn, false) // no event: nothing that anybody could see
		return err
	}
	name := nameOf(events)
	time.Sleep(l.world.turn(name))
	for _, d := range damagesBefore(events) {
		if !l.fate.point(d.damage, "before the commit of %s%s", name, d.what) {
			return errKilled
		}
	}
	if l.lose != nil && l.lose(events[0].Body) {
		return nil
	}
	if events, err = l.try(ctx, fn, false); err != nil {
		return err
	}
	for _, e := range events {
		l.world.story.event(e)
	}
	if !l.fate.point(nil, "after the commit of %s", name) {
		return errKilled
	}
	return nil
}

// try runs fn and reads which events it appends; a trial is rolled back.
func (l *mortalLedger) try(ctx context.Context, fn func(*ledger.Tx) error, trial bool) (events []book.Event, err error) {
	err = l.real.Commit(ctx, func(tx *ledger.Tx) error {
		events = nil
		before, err := tx.TreeSize()
		if err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		after, err := tx.TreeSize()
		if err != nil {
			return err
		}
		for i := before; i < after; i++ {
			e, err := tx.LogEntry(uint64(i))
			if err != nil {
				return err
			}
			events = append(events, e.Event)
		}
		if trial {
			return errTrial
		}
		return nil
	})
	return events, err
}

// nameOf says what a commit is, by what is the same in every run of a seed.
func nameOf(events []book.Event) string {
	var names []string
	for _, e := range events {
		body, _ := json.Marshal(e.Body)
		var about struct{ ID, Name, File, Detail string }
		_ = json.Unmarshal(body, &about) // bodies without these members have none of them
		names = append(names, strings.TrimSpace(fmt.Sprintf("%s %s%s%s%s%s", e.Body.Kind(), e.Merchant+" ", about.ID, about.Name, about.File, about.Detail)))
	}
	return strings.Join(names, ", ")
}

// turn is how long a commit waits for its turn: a few hundred microseconds, by the seed, the time
// and what it is.
func (w *world) turn(name string) time.Duration {
	h := fnv.New64a()
	fmt.Fprintf(h, "%d %d %s", w.plan.seed, time.Now().UnixNano(), name)
	return time.Microsecond + time.Duration(h.Sum64()%999_983)
}

// state is a state of the outbox in which a kill can leave it.
type state struct {
	what   string
	damage damage
}

// damagesBefore lists the states of the outbox in which a kill before a commit can leave it: as it
// is, and those through which the steps before the commit went.
func damagesBefore(events []book.Event) []state {
	states := []state{{}}
	switch b := events[0].Body.(type) {
	case book.FileIntended:
		states = append(states,
			state{" (its file is empty)", func(dir string) error { return os.Truncate(partial(dir, b.Name), 0) }},
			state{" (its file is half written)", func(dir string) error { return halve(partial(dir, b.Name)) }},
			state{" (its file is not there)", func(dir string) error { return os.Remove(partial(dir, b.Name)) }})
	case book.FileWritten:
		states = append(states,
			state{" (the file has both names)", func(dir string) error { return os.Link(filepath.Join(dir, b.Name), partial(dir, b.Name)) }},
			state{" (the file has no name yet)", func(dir string) error { return os.Rename(filepath.Join(dir, b.Name), partial(dir, b.Name)) }})
	}
	return states
}

// partial is where a file is written before it gets its name.
func partial(dir, name string) string { return filepath.Join(dir, ".partial-"+name) }

func halve(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	return os.Truncate(path, info.Size()/2)
}

// mortalConn is a connection to the host as a process has it: it dies before or after a message is
// written.
type mortalConn struct {
	net.Conn
	fate *fate
}

func (c *mortalConn) Write(message []byte) (int, error) {
	kind := "message"
	if len(message) > 6 {
		kind = string(message[2:6]) // two bytes of length, then the message type
	}
	if kind == "0800" { // moves nothing
		return c.Conn.Write(message)
	}
	if !c.fate.point(nil, "before the %s leaves", kind) {
		return 0, errors.Join(errKilled, c.Close())
	}
	n, err := c.Conn.Write(message)
	if !c.fate.point(nil, "after the %s has left", kind) {
		return n, errors.Join(errKilled, c.Close())
	}
	return n, err
}
