package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"nightdrop/relay/internal/bagger"
	"nightdrop/relay/internal/ingest"
	"nightdrop/shared/channel"
	"nightdrop/shared/channel/broker"
	"nightdrop/shared/config"
	"nightdrop/shared/envelope"
)

// house is everything of a running relay. start builds it from the ground up, stop takes it down from the top; stop
// also takes down what a failed start left.
type house struct {
	settings settings
	logger   *slog.Logger
	now      func() time.Time

	parts
	head    *bagger.Head
	broker  *broker.Broker // nil with an external channel
	front   *front         // nil where the embedded channel does not listen
	relay   *channel.Relay
	bags    *bagger.Bagger
	board   *ingest.Board
	metrics *ingest.Metrics
	edge    *ingest.Edge

	public, admin     *http.Server
	publicAt, adminAt net.Addr
	failed            chan error // why a listener ended by itself

	reloads  reloads
	watching sync.WaitGroup
	unwatch  context.CancelFunc
}

// What may wait for a bag: 16 bags of the most envelopes, and 32 of the most bytes.
const (
	queueEnvelopes = 16 * envelope.MaxBagEnvelopes
	queueBytes     = 32 * envelope.MaxBagBytes
)

// brokerStart bounds the start of the embedded broker: recovery of two million messages takes seconds.
const brokerStart = 2 * time.Minute

func (h *house) start(ctx context.Context) (err error) {
	h.failed = make(chan error, 2)
	h.metrics = ingest.NewMetrics()
	if h.parts, err = h.settings.build(h.now); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{h.openHead, h.openChannel, h.openEdge, h.listen} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openHead comes before the channel: its lock keeps a second process of this relay's name away.
func (h *house) openHead(context.Context) (err error) {
	h.head, err = bagger.OpenHead(h.settings.HeadFile, h.now, h.logger)
	return err
}

func (h *house) openChannel(ctx context.Context) (err error) {
	if h.embedded == nil {
		h.external.Name, h.external.Logger = h.signer.Name(), h.logger
		h.relay, err = channel.DialRelay(ctx, h.external)
		return err
	}
	embedded := *h.embedded
	embedded.Logger = h.logger
	listen := embedded.Listen
	if listen != "" {
		embedded.Listen = "127.0.0.1:0" // behind the front
	}
	starting, cancel := context.WithTimeout(ctx, brokerStart)
	defer cancel()
	h.broker, err = broker.Start(starting, embedded)
	if err != nil {
		return err
	}
	if listen != "" {
		if h.front, err = openFront(listen, h.broker.Addr(), h.logger); err != nil {
			return err
		}
	}
	h.relay, err = h.broker.Relay()
	return err
}

func (h *house) openEdge(context.Context) (err error) {
	h.bags, err = bagger.Open(bagger.Config{
		Relay: h.signer.Name(), Signer: h.signer, Publisher: h.relay, Head: h.head, Window: h.settings.Limits.Window,
		QueueEnvelopes: queueEnvelopes, QueueBytes: queueBytes, Repeats: h.settings.Limits.Repeats, Sizing: h.sizing,
		Crowded: func() bool { return channel.EnvelopesCrowded(h.relay.Streams()) },
		Now:     h.now, Logger: h.logger, Observer: h.metrics,
	})
	if err != nil {
		return err
	}
	h.board = ingest.NewBoard(envelope.NewPin(h.settings.Vault.Verifier, h.settings.MinSerial), h.signer.Verifier(), h.now, h.logger)
	h.board.Tell(h.share, h.committed)
	h.edge, err = ingest.New(ingest.Config{
		Signer: h.signer, Origin: h.settings.Origin, Board: h.board, Bags: h.bags, Channel: h.relay,
		Limits: h.settings.Limits.ingest(), Metrics: h.metrics, Now: h.now, Logger: h.logger,
		Certificates: h.validities, Refused: h.refused,
	})
	if err != nil {
		return err
	}
	h.metrics.Watch(h.bags.Waiting, h.directoryExpires, h.validities)
	h.metrics.WatchReloads(func() bool { return h.refused() != "" })
	h.metrics.WatchState(h.edge.State)
	watching, cancel := context.WithCancel(context.Background())
	h.unwatch = cancel
	h.watching.Go(func() { h.board.Watch(watching, h.relay.Notices) })
	h.watching.Go(func() { limitMemory(watching) })
	h.watching.Go(func() { config.TellNearEnds(watching, h.validities, h.now, h.logger) })
	return nil
}

// share divides the channel among the merchants of a new members list.
func (h *house) share(merchants int) {
	if err := h.bags.Share(merchants); err != nil {
		h.logger.Warn("the channel is too small for its merchants", "error", err)
	}
}

// committed gives back to merchants what the vault's position says is committed of this run.
func (h *house) committed(position envelope.Position) {
	for _, entry := range position.Relays {
		if entry.Relay == h.signer.Name() && entry.Run == h.bags.Run() {
			h.bags.Committed(entry.Number)
		}
	}
}

func (h *house) directoryExpires() (time.Time, bool) {
	d := h.board.Directory()
	if d == nil {
		return time.Time{}, false
	}
	return d.Value.Expires.Time, true
}

func (h *house) listen(context.Context) error {
	limits := h.settings.Limits
	public, err := net.Listen("tcp", h.settings.Listen)
	if err != nil {
		return fmt.Errorf("listen for storefronts: %w", err)
	}
	admin, err := net.Listen("tcp", h.settings.Admin)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for the admin calls: %w", err), public.Close())
	}
	if !loopback(h.settings.Admin) {
		h.logger.Warn("the admin listener is not on loopback: whoever reaches it can read health and metrics", "admin", h.settings.Admin)
	}
	h.publicAt, h.adminAt = public.Addr(), admin.Addr()
	proxied := ingest.ProxyListener(public, h.settings.ProxyFrom)
	var guarded net.Listener = ingest.LimitListener(proxied, limits.Connections, limits.AddressConns, h.metrics.Connection)
	if h.certificate != nil {
		guarded = tls.NewListener(guarded, h.certificate.config())
	}
	h.public, h.admin = ingest.NewServer(h.edge, h.logger), ingest.NewAdminServer(h.edge, h.logger)
	serve := func(server *http.Server, listener net.Listener) {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			h.failed <- fmt.Errorf("serve on %s: %w", listener.Addr(), err)
		}
	}
	go serve(h.public, guarded)
	go serve(h.admin, ingest.LimitListener(admin, ingest.AdminConnections, ingest.AdminAddressConns, func(int, bool) {}))
	h.logger.Info("serving", "relay", h.signer.Verifier().String(), "run", h.bags.Run(), "origin", h.settings.Origin,
		"listen", h.publicAt, "admin", h.adminAt, "version", version)
	return nil
}

// addresses are those listened on, by the names of their settings.
func (h *house) addresses() map[string]string {
	all := map[string]string{"listen": h.publicAt.String(), "admin": h.adminAt.String()}
	if h.front != nil {
		all["channel"] = h.front.listener.Addr().String()
	} else if h.broker != nil {
		all["channel"] = "" // it does not listen
	}
	return all
}

// stop answers what was accepted and closes everything, from the outside in, as long as ctx lives. What is then still
// under way is cut off: its outcome is unknown to the caller, who posts again.
func (h *house) stop(ctx context.Context) error {
	var all []error
	if h.edge != nil {
		h.edge.Stop()
	}
	if h.public != nil {
		if err := h.public.Shutdown(ctx); err != nil {
			all = append(all, fmt.Errorf("stop serving: %w", errors.Join(err, h.public.Close())))
		}
	}
	if h.bags != nil {
		if err := h.bags.Close(ctx); err != nil {
			all = append(all, fmt.Errorf("stop with bags in flight, whose outcome is unknown: %w", err))
		}
	}
	if h.unwatch != nil {
		h.unwatch()
	}
	if h.relay != nil {
		h.relay.Close()
	}
	h.watching.Wait()
	if h.front != nil {
		all = append(all, h.front.close())
	}
	if h.broker != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokerStop)
		defer cancel()
		all = append(all, h.broker.Close(closing))
	}
	if h.front != nil {
		h.front.end()
	}
	if h.head != nil {
		all = append(all, h.head.Close())
	}
	if h.admin != nil {
		all = append(all, h.admin.Close())
	}
	return errors.Join(all...)
}

// wedged is closed when the embedded channel will not store any more; nil, which is never ready, with an external one.
func (h *house) wedged() <-chan struct{} {
	if h.broker == nil {
		return nil
	}
	return h.broker.Wedged()
}

// brokerStop bounds the stop of the embedded broker, whose messages are all on disk already.
const brokerStop = 10 * time.Second
