package iso8583

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"nightdrop/shared/folded"
)

// OddityKind says what was wrong with something that the host sent.
type OddityKind string

// The kinds of oddity. None of them gives an answer to anybody, and none ends the line unless it
// says so.
const (
	OddityLate      OddityKind = "late-answer"      // to a request that nobody waits for any more
	OddityDuplicate OddityKind = "duplicate-answer" // to a request that has been answered
	OddityUnknown   OddityKind = "unknown-trace"    // to no request among the last of this client
	// another amount, terminal, reference, currency or type than the request's, or not whole
	OddityUnfit OddityKind = "unfit-answer"
	// not even its type and trace number can be read; one of an impossible length ends the line
	OddityMalformed OddityKind = "malformed"
)

// Oddity is something that the host sent and should not have.
type Oddity struct {
	Kind OddityKind
	// for a person; no account data, and nothing that the host wrote but digits of a type and a
	// trace number
	Detail string
}

// remembered is how many of a client's last requests are known by their trace, to recognise late
// answers from strangers'.
const remembered = 8192

// oddityRoom is how many oddities may wait for Config.Report; further ones are only counted.
const oddityRoom = 1024

// watch counts what a client sees, and remembers its last requests.
type watch struct {
	late, duplicate, unknown, unfit, malformed, connects atomic.Uint64

	lines    *folded.Lines
	oddities chan Oddity // nil: nobody wants them

	mu       sync.Mutex
	answered map[key]bool // of the last requests
	order    []key        // a ring of the keys of answered
	next     int
}

func newWatch(logger *slog.Logger, reports bool) *watch {
	w := &watch{lines: folded.New(logger), answered: map[key]bool{}}
	if reports {
		w.oddities = make(chan Oddity, oddityRoom)
	}
	return w
}

// note counts an oddity, logs it, folded per kind and hour, and hands it on. It never waits.
func (w *watch) note(kind OddityKind, format string, args ...any) {
	o := Oddity{Kind: kind, Detail: fmt.Sprintf(format, args...)}
	map[OddityKind]*atomic.Uint64{
		OddityLate: &w.late, OddityDuplicate: &w.duplicate, OddityUnknown: &w.unknown, OddityUnfit: &w.unfit,
		OddityMalformed: &w.malformed,
	}[kind].Add(1)
	w.lines.Warn(string(kind), "the acquirer host sent something odd", "kind", string(kind), "detail", o.Detail)
	select {
	case w.oddities <- o:
	default:
	}
}

// stray notes an answer that nobody waits for.
func (w *watch) stray(k key, mti string) {
	if !digits(mti) || !digits(k.stan) {
		w.note(OddityMalformed, "a message whose type or trace number is not of digits")
		return
	}
	w.mu.Lock()
	answered, known := w.answered[k]
	w.mu.Unlock()
	kind := OddityUnknown
	switch {
	case known && answered:
		kind = OddityDuplicate
	case known:
		kind = OddityLate
	}
	w.note(kind, "message type %s, trace number %s", mti, k.stan)
}

// asked remembers a request before it is sent.
func (w *watch) asked(k key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.answered[k]; known {
		w.answered[k] = false
		return
	}
	if len(w.order) < remembered {
		w.order = append(w.order, k)
	} else {
		delete(w.answered, w.order[w.next])
		w.order[w.next] = k
		w.next = (w.next + 1) % remembered
	}
	w.answered[k] = false
}

// heard remembers that a request has been answered.
func (w *watch) heard(k key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.answered[k]; known {
		w.answered[k] = true
	}
}
