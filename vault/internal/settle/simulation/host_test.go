package simulation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"nightdrop/ops/simulator/host"
)

// downtime is how long the acquirer's host is away after a crash.
const downtime = 3 * time.Second

// acquirerHost is the simulator's host, which may crash and comes back on its book.
type acquirerHost struct {
	config host.Config
	story  *story
	stop   context.CancelFunc
	ended  chan error

	silence silence

	mu sync.Mutex
	up *host.Host // nil while it is away
}

// startHost begins the host's life.
func startHost(config host.Config, s *story) *acquirerHost {
	ctx, stop := context.WithCancel(context.Background())
	h := &acquirerHost{config: config, story: s, stop: stop, ended: make(chan error, 1)}
	go func() { h.ended <- h.live(ctx) }()
	return h
}

// live runs the host until ctx ends, again after each crash.
func (h *acquirerHost) live(ctx context.Context) error {
	for {
		up, err := host.Start(h.config)
		if err != nil {
			return err
		}
		h.put(up)
		err = up.Run(ctx)
		h.put(nil)
		switch {
		case ctx.Err() != nil && !errors.Is(err, host.ErrCrash):
			return err
		case ctx.Err() != nil:
			return nil
		case err != nil && !errors.Is(err, host.ErrCrash):
			return err
		}
		h.story.line("the host is down")
		select {
		case <-time.After(downtime):
		case <-ctx.Done():
			return nil
		}
		h.story.line("the host is up again")
	}
}

func (h *acquirerHost) put(up *host.Host) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.up = up
}

func (h *acquirerHost) current() *host.Host {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.up
}

// restart takes the host down in good order; it comes back by itself.
func (h *acquirerHost) restart() error {
	if up := h.current(); up != nil {
		return up.Close()
	}
	return nil
}

// hangUp closes the lines, as a failing network does.
func (h *acquirerHost) hangUp() {
	if up := h.current(); up != nil {
		up.HangUp()
	}
}

// close ends the host's life.
func (h *acquirerHost) close() error {
	h.stop()
	return <-h.ended
}

// dial is the line to the host.
func (h *acquirerHost) dial(context.Context) (net.Conn, error) {
	up := h.current()
	if up == nil {
		return nil, fmt.Errorf("dial the host: %w", net.ErrClosed)
	}
	near, far := net.Pipe()
	go up.ServeConn(far)
	return &silentConn{Conn: near, silence: &h.silence}, nil
}

// mishaps is a logger that tells a story of what the adversary does.
func mishaps(s *story) *slog.Logger {
	return slog.New(slog.NewTextHandler(teller{s}, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == slog.LevelKey {
			return slog.Attr{}
		}
		return a
	}}))
}

type teller struct{ *story }

func (t teller) Write(line []byte) (int, error) {
	t.line("  host: %s", line[:len(line)-1])
	return len(line), nil
}

var _ io.Writer = teller{}
