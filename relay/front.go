package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"nightdrop/relay/internal/ingest"
)

const (
	// frontConnections is less than what the embedded broker takes, which also has connections of this process.
	frontConnections = 192
	// frontAddressConns is ample for vault, standby, couriers and monitors behind one address.
	frontAddressConns = 48
	// frontDial is how long the broker, which is in this process, may take to take a connection.
	frontDial = 5 * time.Second
)

// front listens for vault, courier and monitor in the embedded broker's place, and passes on to it what fits into the limits: the broker
// bounds connections in all only, so whoever opens as many as it takes would keep the vault away, without any key.
// TLS is between the caller and the broker.
type front struct {
	listener net.Listener
	broker   string // address
	logger   *slog.Logger
	passing  sync.WaitGroup
	ended    chan struct{}
}

// openFront listens on address and passes on to the broker's.
func openFront(address, broker string, logger *slog.Logger) (*front, error) {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen for the vault: %w", err)
	}
	f := &front{broker: broker, logger: logger, ended: make(chan struct{}),
		listener: ingest.LimitListener(listener, frontConnections, frontAddressConns, func(int, bool) {})}
	f.passing.Go(f.accept)
	return f, nil
}

func (f *front) accept() {
	for {
		caller, err := f.listener.Accept()
		if err != nil {
			return // closed
		}
		f.passing.Go(func() { f.pass(caller) })
	}
}

// pass copies both ways until either side ends.
func (f *front) pass(caller net.Conn) {
	defer caller.Close()
	broker, err := net.DialTimeout("tcp", f.broker, frontDial)
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
			_, _ = io.Copy(way[0], way[1]) // an error is an end like any other: client and broker see it themselves
			copied <- struct{}{}
		})
	}
	select {
	case <-copied:
	case <-f.ended:
	}
}

// close takes no more connections; what is passed on goes on until end.
func (f *front) close() error { return f.listener.Close() }

// end breaks what is left and waits for it.
func (f *front) end() {
	close(f.ended)
	f.passing.Wait()
}
