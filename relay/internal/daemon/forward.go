package daemon

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"nightdrop/relay/internal/ingest"
	"nightdrop/shared/folded"
)

const (
	// forwardedConnections is less than what the embedded broker takes, which also has connections
	// of this process.
	forwardedConnections = 192
	// forwardedAddressConns is ample for vault, standby, couriers and monitors behind one address.
	forwardedAddressConns = 48
	// brokerDial is how long the broker, which is in this process, may take to take a connection.
	brokerDial = 5 * time.Second
	// acceptAgain is the wait before connections are taken again after that failed.
	acceptAgain = 100 * time.Millisecond
)

// forwarder listens for vault, courier and monitor in the embedded broker's place, and passes on to
// it what fits into the limits: the broker bounds connections in all only, so whoever opens as many
// as it takes would keep the vault away, without any key. TLS is between the caller and the broker.
type forwarder struct {
	listener net.Listener
	broker   string // address
	logger   *slog.Logger
	passing  sync.WaitGroup
	ended    chan struct{}
}

// openForwarder listens on address and passes on to the broker's.
func openForwarder(address, broker string, logger *slog.Logger) (*forwarder, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the vault: %w", err)
	}
	f := &forwarder{broker: broker, logger: logger, ended: make(chan struct{}),
		listener: ingest.LimitListener(listener, forwardedConnections, forwardedAddressConns, func(int, bool) {})}
	f.passing.Go(f.accept)
	return f, nil
}

// accept takes connections until the listener is closed. Any other error passes, such as that the
// process has as many files open as it may: the vault must get in when it has.
func (f *forwarder) accept() {
	lines := folded.New(f.logger)
	for {
		caller, err := f.listener.Accept()
		switch {
		case err == nil:
			f.passing.Go(func() { f.pass(caller) })
			continue
		case errors.Is(err, net.ErrClosed):
			return
		}
		lines.Warn("accept", "the channel's listener takes no connection now; trying on", "error", err)
		select {
		case <-f.ended:
			return
		case <-time.After(acceptAgain):
		}
	}
}

// pass copies both ways until either side ends.
func (f *forwarder) pass(caller net.Conn) {
	defer caller.Close()
	broker, err := net.DialTimeout("tcp", f.broker, brokerDial)
	if err != nil {
		f.logger.Debug("the broker takes no connection", "error", err)
		return
	}
	defer broker.Close()
	plain := caller
	if limited, ok := caller.(interface{ NetConn() net.Conn }); ok {
		plain = limited.NetConn() // between two of the kernel's own the kernel copies
	}
	copied := make(chan struct{}, 2)
	for _, way := range [2][2]net.Conn{{broker, plain}, {plain, broker}} {
		f.passing.Go(func() {
			// an error is an end like any other: client and broker see it themselves
			_, _ = io.Copy(way[0], way[1])
			copied <- struct{}{}
		})
	}
	select {
	case <-copied:
	case <-f.ended:
	}
}

// close takes no more connections; what is passed on goes on until end.
func (f *forwarder) close() error { return f.listener.Close() }

// end breaks what is left and waits for it.
func (f *forwarder) end() {
	close(f.ended)
	f.passing.Wait()
}
