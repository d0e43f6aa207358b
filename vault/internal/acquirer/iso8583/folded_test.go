package iso8583_test

import (
	"bytes"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
)

// lockedBuffer is a buffer safe for concurrent use.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) lines() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Count(b.text.String(), "\n")
}

// TestOddHostFillsNoLog: a host that repeats the same answer without end is logged some times an
// hour, and counted.
func TestOddHostFillsNoLog(t *testing.T) {
	const more = 20_000
	log := &lockedBuffer{}
	h := newCrookedHost(t, func(good string) []string { return slices.Repeat([]string{good}, 1+more) })
	a := iso8583.New(iso8583.Config{Address: h.listener.Addr().String(), Logger: slog.New(slog.NewTextHandler(log, nil))})
	defer func() { _ = a.Close() }()
	if answer, err := a.Authorise(t.Context(), testSale(t, 1)); err != nil || answer.Outcome != acquirer.Approves {
		t.Fatalf("answer %+v, error %v", answer, err)
	}
	waittest.For(t, "every answer to be counted", func() bool { return a.Counts().Duplicate == more })
	if n := log.lines(); n > 20 {
		t.Errorf("%d log lines", n)
	}
}
