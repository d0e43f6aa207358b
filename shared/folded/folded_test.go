package folded

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// output is what was written, from any goroutine.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// TestLinesOfOneKind: of any number of lines an hour ten are written, and then how many more there
// were; the next hour begins anew.
func TestLinesOfOneKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		l := New(slog.New(slog.NewTextHandler(&out, nil)))
		for range 100_000 {
			l.Warn("odd", "something odd", "detail", "x")
		}
		l.Info("other", "another kind")
		if n := strings.Count(out.String(), "something odd"); n != inFull {
			t.Errorf("%d lines were written", n)
		}
		if !strings.Contains(out.String(), "another kind") {
			t.Error("a kind is not written because of another")
		}
		time.Sleep(span)
		synctest.Wait()
		if !strings.Contains(out.String(), "level=WARN") || !strings.Contains(out.String(), "kind=odd lines=99990") {
			t.Errorf("what was counted is not logged: %s", out.String())
		}
		l.Warn("odd", "something odd")
		if n := strings.Count(out.String(), "something odd"); n != inFull+1 {
			t.Errorf("%d lines were written when the hour was over", n)
		}
		if n := strings.Count(out.String(), "\n"); n != inFull+3 {
			t.Errorf("%d lines in all", n)
		}
	})
}

// TestKindsAreBounded: an outsider who has a say in the kinds gets no more lines by it than of one
// kind beyond the bound.
func TestKindsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		l := New(slog.New(slog.NewTextHandler(&out, nil)))
		for i := range 10_000 {
			l.Warn(fmt.Sprint("kind ", i), "odd")
		}
		if n := strings.Count(out.String(), "\n"); n != maxKinds+inFull {
			t.Errorf("%d lines were written", n)
		}
		time.Sleep(span)
		synctest.Wait()
		l.Warn("a new kind", "odd")
		if len(l.kinds) > maxKinds+1 {
			t.Errorf("%d kinds are kept", len(l.kinds))
		}
	})
}

// TestHandlerFoldsAProgramsLog: of each text at Warn or above a hundred lines an hour are written,
// whichever logger they come from, and none of those below it is held back.
func TestHandlerFoldsAProgramsLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		logger := slog.New(Handler(slog.NewTextHandler(&out, nil)))
		for i := range 10_000 {
			logger.With("part", i).WithGroup("g").Warn("a payment waits", "payment", i)
			logger.Info("all is well")
		}
		logger.Error("another text")
		if n := strings.Count(out.String(), "a payment waits"); n != inAll {
			t.Errorf("%d lines were written", n)
		}
		if n := strings.Count(out.String(), "all is well"); n != 10_000 || !strings.Contains(out.String(), "another text") {
			t.Errorf("%d lines at Info were written", n)
		}
		time.Sleep(span)
		synctest.Wait()
		if !strings.Contains(out.String(), "lines=9900") {
			t.Error("what was counted is not logged")
		}
	})
}
