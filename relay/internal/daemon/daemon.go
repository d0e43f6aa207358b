// Package daemon wires a relay from its settings: it checks them, starts the channel, the bagger
// and the HTTP edge, reloads certificates, and stops all in order. It decides nothing about an
// envelope: [ingest] and [bagger] do.
package daemon

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

// daemon is a running relay. start builds it from the bottom up; stop takes it down from the top,
// and also what a failed start left.
type daemon struct {
	settings Settings
	version  string
	logger   *slog.Logger
	now      func() time.Time

	Parts
	head      *bagger.Head
	broker    *broker.Broker // nil with an external channel
	forwarder *forwarder     // nil where the embedded channel does not listen
	relay     *channel.Relay
	bags      *bagger.Bagger
	board     *ingest.Board
	metrics   *ingest.Metrics
	edge      *ingest.Edge

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

// brokerStart bounds the embedded broker's start: recovering two million messages takes seconds.
const brokerStart = 2 * time.Minute

func (d *daemon) start(ctx context.Context) (err error) {
	d.failed = make(chan error, 2)
	d.metrics = ingest.NewMetrics()
	if d.Parts, err = d.settings.Build(d.now); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{d.openHead, d.openChannel, d.openEdge, d.listen} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// openHead comes before the channel: its lock excludes a second process of this relay's name.
func (d *daemon) openHead(context.Context) (err error) {
	d.head, err = bagger.OpenHead(d.settings.HeadFile, d.now, d.logger)
	return err
}

func (d *daemon) openChannel(ctx context.Context) (err error) {
	if d.embedded == nil {
		d.external.Name, d.external.Logger = d.Signer.Name(), d.logger
		d.relay, err = channel.DialRelay(ctx, d.external)
		return err
	}
	embedded := *d.embedded
	embedded.Logger = d.logger
	listen := embedded.Listen
	if listen != "" {
		embedded.Listen = "127.0.0.1:0" // behind the forwarder
	}
	starting, cancel := context.WithTimeout(ctx, brokerStart)
	defer cancel()
	d.broker, err = broker.Start(starting, embedded)
	if err != nil {
		return err
	}
	if listen != "" {
		if d.forwarder, err = openForwarder(listen, d.broker.Addr(), d.logger); err != nil {
			return err
		}
	}
	d.relay, err = d.broker.Relay()
	return err
}

func (d *daemon) openEdge(context.Context) (err error) {
	d.bags, err = bagger.Open(bagger.Config{
		Relay: d.Signer.Name(), Signer: d.Signer, Publisher: d.relay, Head: d.head, Window: d.settings.Limits.Window,
		QueueEnvelopes: queueEnvelopes, QueueBytes: queueBytes, Repeats: d.settings.Limits.Repeats, Sizing: d.Sizing,
		Crowded: func() bool { return channel.EnvelopesCrowded(d.relay.Streams()) },
		Now:     d.now, Logger: d.logger, Observer: d.metrics,
	})
	if err != nil {
		return err
	}
	d.board = ingest.NewBoard(envelope.NewPin(d.settings.Vault.Verifier, d.settings.MinSerial), d.Signer.Verifier(), d.now, d.logger)
	d.board.Observe(d.share, d.committed)
	d.edge, err = ingest.New(ingest.Config{
		Signer: d.Signer, Origin: d.settings.Origin, Board: d.board, Bags: d.bags, Channel: d.relay,
		Limits: d.settings.Limits.ingest(), Metrics: d.metrics, Now: d.now, Logger: d.logger,
		Certificates: d.validities, Refused: d.refused,
	})
	if err != nil {
		return err
	}
	d.metrics.Watch(d.bags.Waiting, d.directoryExpires, d.validities)
	d.metrics.WatchReloads(func() bool { return d.refused() != "" })
	d.metrics.WatchState(d.edge.State)
	watching, cancel := context.WithCancel(context.Background())
	d.unwatch = cancel
	d.watching.Go(func() { d.board.Watch(watching, d.relay.Notices) })
	d.watching.Go(func() { limitMemory(watching) })
	d.watching.Go(func() { config.LogNearEnds(watching, d.validities, d.now, d.logger) })
	return nil
}

func (d *daemon) share(merchants int) {
	if err := d.bags.Share(merchants); err != nil {
		d.logger.Warn("the channel is too small for its merchants", "error", err)
	}
}

// committed frees what the vault's position says is committed of this run.
func (d *daemon) committed(position envelope.Position) {
	for _, entry := range position.Relays {
		if entry.Relay == d.Signer.Name() && entry.Run == d.bags.Run() {
			d.bags.Committed(entry.Number)
		}
	}
}

func (d *daemon) directoryExpires() (time.Time, bool) {
	directory := d.board.Directory()
	if directory == nil {
		return time.Time{}, false
	}
	return directory.Value.Expires.Time, true
}

func (d *daemon) listen(context.Context) error {
	limits := d.settings.Limits
	public, err := net.Listen("tcp", d.settings.Listen)
	if err != nil {
		return fmt.Errorf("listen for storefronts: %w", err)
	}
	admin, err := net.Listen("tcp", d.settings.Admin)
	if err != nil {
		return errors.Join(fmt.Errorf("listen for the admin calls: %w", err), public.Close())
	}
	if !loopback(d.settings.Admin) {
		d.logger.Warn("the admin listener is not on loopback: whoever reaches it can read health and metrics", "admin", d.settings.Admin)
	}
	d.publicAt, d.adminAt = public.Addr(), admin.Addr()
	proxied := ingest.ProxyListener(public, d.settings.ProxyFrom)
	var guarded net.Listener = ingest.LimitListener(proxied, limits.Connections, limits.AddressConns, d.metrics.Connection)
	if d.certificate != nil {
		guarded = tls.NewListener(guarded, d.certificate.config())
	}
	d.public, d.admin = ingest.NewServer(d.edge, d.logger), ingest.NewAdminServer(d.edge, d.logger)
	serve := func(server *http.Server, listener net.Listener) {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			d.failed <- fmt.Errorf("serve on %s: %w", listener.Addr(), err)
		}
	}
	go serve(d.public, guarded)
	go serve(d.admin, ingest.LimitListener(admin, ingest.AdminConnections, ingest.AdminAddressConns, func(int, bool) {}))
	d.logger.Info("serving", "relay", d.Signer.Verifier().String(), "run", d.bags.Run(), "origin", d.settings.Origin,
		"listen", d.publicAt, "admin", d.adminAt, "version", d.version)
	return nil
}

// addresses are those listened on, by setting.
func (d *daemon) addresses() map[string]string {
	all := map[string]string{"listen": d.publicAt.String(), "admin": d.adminAt.String()}
	if d.forwarder != nil {
		all["channel"] = d.forwarder.listener.Addr().String()
	} else if d.broker != nil {
		all["channel"] = "" // it does not listen
	}
	return all
}

// stop answers what was accepted and closes everything, from the outside in, as long as ctx lives.
// What is still under way then is cut off: the outcome is unknown to the caller, who posts again.
func (d *daemon) stop(ctx context.Context) error {
	var all []error
	if d.edge != nil {
		d.edge.Stop()
	}
	if d.public != nil {
		if err := d.public.Shutdown(ctx); err != nil {
			all = append(all, fmt.Errorf("stop serving: %w", errors.Join(err, d.public.Close())))
		}
	}
	if d.bags != nil {
		if err := d.bags.Close(ctx); err != nil {
			all = append(all, fmt.Errorf("stop with bags in flight, whose outcome is unknown: %w", err))
		}
	}
	if d.unwatch != nil {
		d.unwatch()
	}
	if d.relay != nil {
		d.relay.Close()
	}
	d.watching.Wait()
	if d.forwarder != nil {
		all = append(all, d.forwarder.close())
	}
	if d.broker != nil {
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), brokerStop)
		defer cancel()
		all = append(all, d.broker.Close(closing))
	}
	if d.forwarder != nil {
		d.forwarder.end()
	}
	if d.head != nil {
		all = append(all, d.head.Close())
	}
	if d.admin != nil {
		all = append(all, d.admin.Close())
	}
	return errors.Join(all...)
}

// wedged is closed when the embedded channel stores nothing any more; nil (never ready) if
// external.
func (d *daemon) wedged() <-chan struct{} {
	if d.broker == nil {
		return nil
	}
	return d.broker.Wedged()
}

// brokerStop bounds the embedded broker's stop, whose messages are all on disk already.
const brokerStop = 10 * time.Second
