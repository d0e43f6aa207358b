package host

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// Mishap is what goes wrong with one message; empty when nothing does.
type Mishap string

// The mishaps.
const (
	DropRequest Mishap = "drop-request" // the request is lost before it is taken
	DropAnswer  Mishap = "drop-answer"  // taken and never answered
	Duplicate   Mishap = "duplicate"    // answered twice
	Late        Mishap = "late"         // answered after Config.LateAfter
	// answered after the next answer, or after a moment where none follows
	OutOfOrder  Mishap = "out-of-order"
	HalfMessage Mishap = "half-message" // half of the answer, and then the connection is closed
	HangUp      Mishap = "close"        // taken, and then the connection is closed
	// answered a few bytes at a time, holding up the answers behind it
	Slow  Mishap = "slow"
	Crash Mishap = "crash" // taken and on disk, and then the host is gone
)

// mishaps in the order in which a decision goes through them.
var mishaps = [...]Mishap{DropRequest, DropAnswer, Duplicate, Late, OutOfOrder, HalfMessage, HangUp, Slow, Crash,
	Inoperative, Malfunction, AlreadyThere, OtherApproval, Unlisted}

// DefaultRates is how often each mishap happens unless set otherwise: to a fifth of all messages
// in all.
func DefaultRates() map[Mishap]float64 {
	return map[Mishap]float64{
		DropRequest: 0.03, DropAnswer: 0.03, Duplicate: 0.03, Late: 0.02, OutOfOrder: 0.03, HalfMessage: 0.02, HangUp: 0.02, Slow: 0.015, Crash: 0.005,
	}
}

// Adversary makes a host misbehave, as its seed decides. A decision hangs on the seed, on what the
// message is (its type with repeats counted to their first, terminal, trace number, time and
// reference) and on how many times it has come, before a restart too, for the book has it; not on
// when it comes nor on what comes between. So the same messages meet the same mishaps in every run,
// in whatever order concurrent ones arrive, and a repeated message gets through in the end.
type Adversary struct {
	Seed  uint64
	Rates map[Mishap]float64 // of all messages, 0 to 1 each and in all; nil: DefaultRates
}

// Check returns what is wrong with the rates.
func (a Adversary) Check() error {
	sum := 0.0
	for _, m := range slices.Sorted(maps.Keys(a.Rates)) {
		if !slices.Contains(mishaps[:], m) {
			return fmt.Errorf("there is no mishap %q; they are %s", m, mishapNames())
		}
		if r := a.Rates[m]; math.IsNaN(r) || r < 0 || r > 1 {
			return fmt.Errorf("the rate of %s is not between 0 and 1", m)
		}
		sum += a.Rates[m]
	}
	if sum > 1.000001 {
		return fmt.Errorf("the rates add up to %.3f: they can be 1 in all at most", sum)
	}
	return nil
}

// ParseRates reads "drop-answer=0.1,crash=0": the default rates with those named replaced; "none"
// first sets all others to 0.
func ParseRates(text string) (map[Mishap]float64, error) {
	rates := DefaultRates()
	for item := range strings.SplitSeq(text, ",") {
		if item == "none" {
			clear(rates)
			continue
		}
		name, value, found := strings.Cut(item, "=")
		rate, err := strconv.ParseFloat(value, 64)
		if !found || err != nil {
			return nil, fmt.Errorf("%q is not NAME=RATE; names are %s", item, mishapNames())
		}
		rates[Mishap(name)] = rate
	}
	return rates, Adversary{Rates: rates}.Check()
}

func mishapNames() string {
	names := make([]string, 0, len(mishaps))
	for _, m := range mishaps {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}

// fate is an adversary at work: how often each message has come. A nil fate lets everything pass.
type fate struct {
	Adversary
	mu   sync.Mutex
	came map[Key]int
}

func newFate(a *Adversary) (*fate, error) {
	if a == nil {
		return nil, nil
	}
	f := &fate{Adversary: *a, came: map[Key]int{}}
	if f.Rates == nil {
		f.Rates = DefaultRates()
	}
	return f, f.Check()
}

// saw counts a message that came before this start.
func (f *fate) saw(k Key) {
	if f != nil {
		f.came[k]++
	}
}

// decide counts a message that comes and says what goes wrong with it.
func (f *fate) decide(k Key) Mishap {
	if f == nil {
		return ""
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.came[k]++
	sum := sha256.Sum256(fmt.Appendf(nil, "%d\n%s\n%s\n%s\n%s\n%s\n%d", f.Seed, k.Type, k.Terminal, k.STAN, k.Sent, k.RRN, f.came[k]))
	point := float64(binary.BigEndian.Uint64(sum[:8])>>11) / (1 << 53) // uniform in [0, 1)
	for _, m := range mishaps {
		if point -= f.Rates[m]; point < 0 {
			return m
		}
	}
	return ""
}
