package iso8583

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"nightdrop/shared/folded"
)

// OddityKind is what was wrong with something that the host sent.
type OddityKind string

// The kinds of oddity. None of them answers a request.
const (
	OddityLate      OddityKind = "late-answer"      // to a request that no longer waits
	OddityDuplicate OddityKind = "duplicate-answer" // to a request that has been answered
	OddityUnknown   OddityKind = "unknown-trace"    // to none of this client's last requests
	// another amount, terminal, reference, currency or type than the request's, or not whole
	OddityUnfit OddityKind = "unfit-answer"
	// its type or trace number cannot be read; an impossible length also ends the line
	OddityMalformed OddityKind = "malformed"
)

// Oddity is something that the host sent and should not have.
type Oddity struct {
	Kind   OddityKind
	Detail string // for a person; of what the host sent, only digits of a type and a trace number
}

// remembered is how many of the last requests a client remembers, to recognise late answers.
const remembered = 8192

// oddityRoom is how many oddities may wait for Config.Report; further ones are only counted.
const oddityRoom = 1024

// monitor counts oddities and remembers the last requests.
type monitor struct {
	late, duplicate, unknown, unfit, malformed, connects atomic.Uint64

	lines    *folded.Lines
	oddities chan Oddity // nil: nobody wants them

	mu       sync.Mutex
	answered map[key]bool // of the last requests
	order    []key        // a ring of the keys of answered
	next     int
}

func newMonitor(logger *slog.Logger, reports bool) *monitor {
	w := &monitor{lines: folded.New(logger), answered: map[key]bool{}}
	if reports {
		w.oddities = make(chan Oddity, oddityRoom)
	}
	return w
}

// report counts an oddity, logs it, folded per kind and hour, and queues it for Config.Report. It
// never waits.
func (w *monitor) report(kind OddityKind, format string, args ...any) {
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

// unmatched reports an answer that no request waits for.
func (w *monitor) unmatched(k key, mti string) {
	if !digits(mti) || !digits(k.stan) {
		w.report(OddityMalformed, "a message whose type or trace number is not of digits")
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
	w.report(kind, "message type %s, trace number %s", mti, k.stan)
}

// remember is called before a request is sent.
func (w *monitor) remember(k key) {
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

func (w *monitor) markAnswered(k key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, known := w.answered[k]; known {
		w.answered[k] = true
	}
}
