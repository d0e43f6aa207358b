package simulation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"nightdrop/ops/simulator/host"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/book"
)

// TestWrongWorldsAreNoticed puts a fault of its own kind into each world, which the comparison of
// the books has to notice wherever it struck: a simulation that cannot fail proves nothing.
func TestWrongWorldsAreNoticed(t *testing.T) {
	tests := []struct {
		name   string
		mutate func(struck *atomic.Int64) mutation
		notice string // what the books show; one of these, separated by |
	}{
		{"an engine sends an unanswered sale again as a new one", func(struck *atomic.Int64) mutation {
			return mutation{line: func(a acquirer.Acquirer) acquirer.Acquirer { return &resender{Acquirer: a, struck: struck} }}
		}, "that is nobody's"},
		{"an engine takes back nothing and says that it did", func(struck *atomic.Int64) mutation {
			return mutation{line: func(a acquirer.Acquirer) acquirer.Acquirer { return &forgiver{a, struck} }}
		}, "at the host it is booked true"},
		{"an engine takes an approval that it does not know for a decline", func(struck *atomic.Int64) mutation {
			return mutation{line: func(a acquirer.Acquirer) acquirer.Acquirer { return decliner{a} },
				lose: watching(struck, func(b book.Body) bool {
					answer, is := b.(book.AuthorisationAnswered)
					return is && answer.Code != "iso-00" && isApproval(answer.Code)
				})}
		}, "at the host it is booked true"},
		{"an engine takes every answer to a reversal for its word that it is done", func(struck *atomic.Int64) mutation {
			return mutation{line: func(a acquirer.Acquirer) acquirer.Acquirer { return &believer{Acquirer: a} },
				adversary: map[host.Mishap]float64{host.Inoperative: 0.4, host.OtherApproval: 0.4},
				lose: watching(struck, func(b book.Body) bool {
					answer, is := b.(book.ReversalAnswered)
					return is && answer.Code == "iso-91"
				})}
		}, "at the host it is booked true"},
		{"a commit loses the intent of a request", func(struck *atomic.Int64) mutation {
			return mutation{lose: func(b book.Body) bool {
				_, intent := b.(book.AuthorisationIntended)
				return intent && struck.Add(1) == 1
			}}
		}, "that is nobody's|conflicts|the engine ended with"},
		{"a host charges twice", func(struck *atomic.Int64) mutation {
			return mutation{line: func(a acquirer.Acquirer) acquirer.Acquirer { return &doubler{a, struck} }}
		}, "] twice|that is nobody's"}, // the latter where the first of the two was voided
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			worlds := 0
			for seed := uint64(1); seed <= 100 && worlds < 4; seed++ {
				synctest.Test(t, func(t *testing.T) {
					var struck atomic.Int64
					p := drawn(seed)
					p.mutation = test.mutate(&struck)
					if p.mutation.adversary != nil {
						p.adversary = p.mutation.adversary
					}
					w := simulate(t, p)
					if struck.Load() == 0 {
						return
					}
					worlds++
					if !noticed(w.faults, test.notice) {
						t.Errorf("seed %d: it struck %d times, and what was noticed is %q\n%s", seed, struck.Load(), w.faults, w.story)
					}
				})
			}
			if worlds < 4 {
				t.Errorf("it struck in %d worlds of a hundred only", worlds)
			}
		})
	}
}

func noticed(faults []string, notice string) bool {
	for want := range strings.SplitSeq(notice, "|") {
		if strings.Contains(strings.Join(faults, "\n"), want) {
			return true
		}
	}
	return false
}

// fresh gives a request a trace number that no ledger knows of.
func fresh(r acquirer.Request, n int64) acquirer.Request {
	r.STAN = uint32(900_000 + n)
	r.RRN = fmt.Sprintf("%012d", 999_999_000_000+n)
	return r
}

// resender sends a sale that was not answered again, as a new one.
type resender struct {
	acquirer.Acquirer
	sent   atomic.Int64
	struck *atomic.Int64 // how often the host took both
}

func (r *resender) Authorise(ctx context.Context, request acquirer.Request) (acquirer.Answer, error) {
	answer, err := r.Acquirer.Authorise(ctx, request)
	if request.Kind != acquirer.KindSale || !errors.Is(err, acquirer.ErrNoAnswer) || ctx.Err() != nil {
		return answer, err
	}
	again, failure := r.Acquirer.Authorise(ctx, fresh(request, r.sent.Add(1)))
	if failure != nil || again.Outcome != acquirer.Approves {
		return answer, err
	}
	r.struck.Add(1)
	return again, nil
}

// forgiver sends no reversal of an approved request, and says that it was answered.
type forgiver struct {
	acquirer.Acquirer
	struck *atomic.Int64
}

func (f *forgiver) Authorise(ctx context.Context, request acquirer.Request) (acquirer.Answer, error) {
	answer, err := f.Acquirer.Authorise(ctx, request)
	if err == nil && answer.Outcome == acquirer.Approves && request.Kind == acquirer.KindSale && ctx.Err() == nil {
		f.struck.Add(1)
		return acquirer.Answer{}, acquirer.ErrNoAnswer
	}
	return answer, err
}

func (f *forgiver) Reverse(context.Context, acquirer.Reversal) (acquirer.Answer, error) {
	return acquirer.Answer{Code: acquirer.Approved, Outcome: acquirer.Stands}, nil
}

// doubler is a host that books an approved sale once more, under the same reference.
type doubler struct {
	acquirer.Acquirer
	struck *atomic.Int64
}

func (d *doubler) Authorise(ctx context.Context, request acquirer.Request) (acquirer.Answer, error) {
	answer, err := d.Acquirer.Authorise(ctx, request)
	if request.Kind == acquirer.KindSale && err == nil && answer.Outcome == acquirer.Approves {
		twin := fresh(request, d.struck.Load())
		twin.RRN = request.RRN
		if second, failure := d.Acquirer.Authorise(ctx, twin); failure == nil && second.Outcome == acquirer.Approves {
			d.struck.Add(1)
		}
	}
	return answer, err
}

// watching counts the commits that a fault shows in, and loses none: whatever came before could
// still be put right after a kill.
func watching(struck *atomic.Int64, shows func(book.Body) bool) func(book.Body) bool {
	return func(b book.Body) bool {
		if shows(b) {
			struck.Add(1)
		}
		return false
	}
}

func isApproval(code envelope.Code) bool {
	return slices.Contains(approvals[:], strings.TrimPrefix(string(code), "iso-"))
}

// decliner takes an approval other than 00 for a decline, as one list of codes for everything
// would.
type decliner struct{ acquirer.Acquirer }

func (d decliner) Authorise(ctx context.Context, request acquirer.Request) (acquirer.Answer, error) {
	answer, err := d.Acquirer.Authorise(ctx, request)
	if err == nil && answer.Outcome == acquirer.Doubtful && slices.Contains(approvals[:], answer.Code) {
		answer.Outcome = acquirer.Declines
	}
	return answer, err
}

// believer takes a request for reversed whose reversal the host could not take.
type believer struct {
	acquirer.Acquirer
	taken sync.Map // references of requests that stand at the host
}

func (b *believer) Authorise(ctx context.Context, request acquirer.Request) (acquirer.Answer, error) {
	answer, err := b.Acquirer.Authorise(ctx, request)
	if err == nil && slices.Contains(approvals[:], answer.Code) {
		b.taken.Store(request.RRN, true)
	}
	return answer, err
}

func (b *believer) Reverse(ctx context.Context, reversal acquirer.Reversal) (acquirer.Answer, error) {
	answer, err := b.Acquirer.Reverse(ctx, reversal)
	switch _, stands := b.taken.Load(reversal.Original.RRN); {
	case err != nil:
	case answer.Code == "91" && stands:
		answer.Outcome = acquirer.Stands
	case answer.Outcome == acquirer.Stands:
		b.taken.Delete(reversal.Original.RRN)
	}
	return answer, err
}
