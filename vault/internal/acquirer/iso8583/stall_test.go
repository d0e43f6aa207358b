package iso8583

import (
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"nightdrop/vault/internal/acquirer"
)

// A host that does not read must not hold requests for ever: the line is closed. The request that
// was being written has an unknown outcome; those behind it have not been sent.
func TestHostThatDoesNotRead(t *testing.T) {
	here, there := net.Pipe()
	defer func() { _ = there.Close() }()
	const stall = 100 * time.Millisecond
	l, err := newLine(here, Config{AnswerTimeout: stall, Logger: slog.New(slog.DiscardHandler), Dialect: DefaultDialect()},
		newMonitor(slog.New(slog.DiscardHandler), false))
	if err != nil {
		t.Fatal(err)
	}
	var unknown, unsent atomic.Int32
	var wg sync.WaitGroup
	for i := range 20 {
		sale := goldenSale(t)
		sale.STAN += uint32(i)
		wg.Go(func() {
			r, clearCopy := newAuthorise(l.dialect, sale)
			defer clearCopy()
			_, err := l.exchange(t.Context(), r, time.Minute)
			switch {
			case errors.Is(err, errDown):
				unsent.Add(1)
			case errors.Is(err, acquirer.ErrNoAnswer):
				unknown.Add(1)
			default:
				t.Errorf("error %v from a host that does not read", err)
			}
		})
	}
	start := time.Now()
	wg.Wait()
	if waited := time.Since(start); waited > time.Minute/2 { // and not the minute of the exchange
		t.Errorf("waited %v for a write that stalls %v at most", waited, stall)
	}
	if unknown.Load() != 1 || unsent.Load() != 19 {
		t.Errorf("%d unknown and %d not sent, want 1 and 19", unknown.Load(), unsent.Load())
	}
}
