package book

import (
	"fmt"
	"testing"
	"time"
)

// bags of run "run"; a fork has another Previous here, and so another digest.
func bagNumber(number uint64, fork string) BagCommitted {
	return BagCommitted{Relay: "relay-1", Run: "run", Number: number, Previous: fork, Window: 4}
}

func (b *book) position() (number uint64, digest string, ahead int) {
	r := Runs.In(b.State)[RunKey{"relay-1", "run"}]
	return r.Number, r.Digest, len(r.Ahead)
}

func (b *book) wantPosition(number uint64, ahead int) {
	b.t.Helper()
	got, digest, n := b.position()
	if got != number || n != ahead {
		b.t.Errorf("position %d with %d ahead, want %d with %d", got, n, number, ahead)
	}
	if want := fmt.Sprintf("run-%d-", number); number > 0 && digest != "" && digest != want {
		b.t.Errorf("position's digest %q, want %q", digest, want)
	}
}

func TestBagsInOrderMoveThePosition(t *testing.T) {
	b := newBook(t)
	for number := uint64(1); number <= 3; number++ {
		b.must("", bagNumber(number, ""))
		b.wantPosition(number, 0)
		b.misfits("", bagNumber(number, ""))
	}
	b.misfits("", bagNumber(0, ""))
	if b.vault().LatestRun["relay-1"] != "run" {
		t.Errorf("latest runs %v", b.vault().LatestRun)
	}
	if _, err := Apply(b.State, Event{Body: bagNumber(4, "")}); err == nil {
		t.Error("a bag without a digest")
	}
}

func TestBagsOutOfOrderWaitForTheGap(t *testing.T) {
	b := newBook(t)
	b.must("", bagNumber(3, ""))
	b.must("", bagNumber(2, ""))
	b.wantPosition(0, 2)
	b.must("", bagNumber(1, ""))
	b.wantPosition(3, 0)
}

func TestTooFarAheadOfAGap(t *testing.T) {
	b := newBook(t)
	for number := uint64(2); number <= 1+MaxAhead; number++ {
		b.must("", bagNumber(number, ""))
	}
	b.misfits("", bagNumber(2+MaxAhead, ""))
}

func TestMissingBags(t *testing.T) {
	missing := func(number, through uint64) IntegrityFound {
		return IntegrityFound{Finding: FindingBagMissing, Relay: "relay-1", Run: "run", Number: number, Through: through}
	}
	t.Run("between", func(t *testing.T) {
		b := newBook(t)
		b.must("", bagNumber(1, ""))
		b.must("", bagNumber(4, ""))
		b.must("", bagNumber(5, ""))
		b.misfits("", missing(3, 3)) // 2 is the next
		b.misfits("", missing(2, 1))
		b.misfits("", missing(2, 4)) // 4 came
		b.must("", missing(2, 3))
		b.wantPosition(5, 0)
		b.must("", bagNumber(2, "")) // it came late after all
		b.wantPosition(5, 0)
	})
	t.Run("at the start, a huge number", func(t *testing.T) {
		b := newBook(t)
		b.must("", missing(1, 1<<60))
		b.must("", bagNumber(1<<60+1, ""))
		b.wantPosition(1<<60+1, 0)
	})
	t.Run("of a run that is not known", func(t *testing.T) {
		b := newBook(t)
		b.must("", missing(1, 2))
		b.wantPosition(2, 0)
		if b.vault().LatestRun["relay-1"] != "run" {
			t.Error("the run is not the relay's latest")
		}
	})
}

func TestForkedBags(t *testing.T) {
	b := newBook(t)
	b.must("", bagNumber(1, ""))
	b.must("", bagNumber(1, "fork"))
	b.wantPosition(1, 0)
	for i := range 2 * MaxForks {
		b.must("", bagNumber(1, fmt.Sprint("fork ", i)))
	}
	if got := len(Bags.In(b.State)[BagKey{"relay-1", "run", 1}].Digests); got != MaxForks {
		t.Errorf("%d digests are remembered", got)
	}
}

func TestRestartsMakeANewRun(t *testing.T) {
	b := newBook(t)
	b.must("", bagNumber(1, ""))
	b.now = b.now.Add(time.Hour)
	next := bagNumber(1, "")
	next.Run = "second"
	b.must("", next)
	if b.vault().LatestRun["relay-1"] != "second" || len(Runs.In(b.State)) != 2 {
		t.Errorf("latest %v of %d runs", b.vault().LatestRun, len(Runs.In(b.State)))
	}
	if r := Runs.In(b.State)[RunKey{"relay-1", "run"}]; !r.Latest.Before(b.now) {
		t.Error("the first run looks as recent as the second")
	}
}
