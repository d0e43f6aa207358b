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
	// forwardedConnections is below the embedded broker's limit, which counts this process's own,
	// too.
	forwardedConnections = 192
	// forwardedAddressConns is ample for vault, standby, couriers and monitors behind one address.
	forwardedAddressConns = 48
	brokerDial            = 5 * time.Second
	acceptAgain           = 100 * time.Millisecond
)

// forwarder listens in the embedded broker's stead and passes on what fits into the limits: the
// broker bounds connections only in all, so one caller without any key could keep the vault out.
// TLS is between the caller and the broker.
type forwarder struct {
	listener net.Listener
	broker   string // address
	logger   *slog.Logger
	passing  sync.WaitGroup
	ended    chan struct{}
}

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

// accept accepts connections until the listener is closed. Other errors pass, such as too many open
// files: the vault must get in afterwards.
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
		lines.Warn("accept", "the channel's listener accepts no connection now; trying again", "error", err)
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
			// client and broker see an error themselves
			_, _ = io.Copy(way[0], way[1])
			copied <- struct{}{}
		})
	}
	select {
	case <-copied:
	case <-f.ended:
	}
}

// close accepts no more connections; what is passed on goes on until end.
func (f *forwarder) close() error { return f.listener.Close() }

// end breaks what is left and waits for it.
func (f *forwarder) end() {
	close(f.ended)
	f.passing.Wait()
}
