package channel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"nightdrop/shared/config"
	"nightdrop/shared/folded"
)

const (
	connectTimeout = 5 * time.Second
	reconnectWait  = 250 * time.Millisecond // between tries, with as much jitter
	maxDoublings   = 7                      // of that wait, to 32 s, while each broker is at fault
	steady         = time.Minute            // a connection that stood so long begins the waits anew
	pingInterval   = 10 * time.Second       // a peer that misses two is gone
	writeTimeout   = 10 * time.Second       // a broker that reads nothing for so long is gone
)

// link is a connection to the broker that is always renewed. Nothing is buffered while it is down.
type link struct {
	nc     *nats.Conn
	pair   nkeys.KeyPair
	logger *slog.Logger
	// epoch grows with each lost and each new connection.
	epoch atomic.Uint64

	folded *folded.Lines // of logger: a broker can cause any number of them

	mu       sync.Mutex
	watchers map[*watcher]struct{}
	lastDown string    // why the last try to reconnect failed: logged once, not at each try
	stands   time.Time // since when the connection does
	faults   int       // of brokers, one after another
}

// dial connects as role. provider is this process's broker, or nil to reach options.URL by TLS. If
// the broker is not there it returns at once and goes on trying. The link owns pair.
func dial(role string, options Options, pair nkeys.KeyPair, provider nats.InProcessConnProvider) (*link, error) {
	public, err := pair.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("channel key: %w", err)
	}
	name := options.Name
	if name == "" {
		name = role
	}
	logger := options.logger().With("channel", name)
	l := &link{pair: pair, logger: logger, folded: folded.New(logger), watchers: make(map[*watcher]struct{})}
	settings := []nats.Option{
		nats.Name(name), nats.CustomInboxPrefix(inboxPrefix(role)), nats.Nkey(public, pair.Sign),
		nats.Timeout(connectTimeout), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.CustomReconnectDelay(l.wait), nats.IgnoreDiscoveredServers(), nats.SkipHostLookup(),
		nats.PingInterval(pingInterval), nats.MaxPingsOutstanding(2), nats.FlusherTimeout(writeTimeout),
		nats.ReconnectBufSize(-1), nats.SyncQueueLen(maxAnswers), nats.UseOldRequestStyle(),
		nats.DisconnectErrHandler(l.broke), nats.ConnectHandler(l.connected), nats.ReconnectHandler(l.connected),
		nats.ErrorHandler(l.failed), nats.ReconnectErrHandler(l.stillDown),
	}
	if provider != nil {
		settings = append(settings, nats.InProcessServer(provider))
	} else {
		dialer, err := newDialer(options, l.violated)
		if err != nil {
			return nil, err
		}
		settings = append(settings, nats.SetCustomDialer(dialer), nats.Secure(), nats.TLSHandshakeFirst())
	}
	if l.nc, err = nats.Connect(options.URL, settings...); err != nil {
		return nil, fmt.Errorf("channel %s: %w", options.URL, err)
	}
	return l, nil
}

// errHalfCertificate is returned for a certificate without its key, or a key without certificate.
var errHalfCertificate = errors.New("channel client certificate: give both the certificate and its key, or neither")

// clientTLS is TLS 1.3 with the certificate read at each handshake; a broken renewal is not used.
func clientTLS(options Options) (*tls.Config, error) {
	client := &tls.Config{MinVersion: tls.VersionTLS13}
	if options.CA != "" {
		authorities, err := config.Authorities(options.CA)
		if err != nil {
			return nil, fmt.Errorf("the channel: %w", err)
		}
		client.RootCAs = authorities
	}
	if (options.Cert == "") != (options.Key == "") {
		return nil, errHalfCertificate
	}
	if options.Cert != "" {
		renewed, err := config.NewRenewed(options.presented(), time.Now, options.logger())
		if err != nil {
			return nil, fmt.Errorf("channel client certificate: %w", err)
		}
		client.GetClientCertificate = renewed.Get
	}
	return client, nil
}

// watcher is called when the connection changes. Its functions must return at once, or be nil.
type watcher struct{ broke, connected func() }

// watch notifies w until cancel is called.
func (l *link) watch(w *watcher) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers[w] = struct{}{}
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.watchers, w)
	}
}

// notify calls one function of every watcher.
func (l *link) notify(which func(*watcher) func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for w := range l.watchers {
		if call := which(w); call != nil {
			call()
		}
	}
}

// The most hints and acks that wait to be handled, which takes microseconds: an honest broker never
// sends more. Those beyond are dropped.
const (
	maxWaiting      = 1 << 16
	maxWaitingBytes = 8 << 20
)

// subscribe calls fn with each message of a subject, in order.
func (l *link) subscribe(subject string, fn nats.MsgHandler) (*nats.Subscription, error) {
	s, err := l.nc.Subscribe(subject, fn)
	if err != nil {
		return nil, err
	}
	return s, s.SetPendingLimits(maxWaiting, maxWaitingBytes)
}

func (l *link) broke(_ *nats.Conn, err error) {
	l.epoch.Add(1)
	l.rested()
	if err != nil {
		l.folded.Warn("broke", "channel connection broke, reconnecting", "error", err)
	}
	l.notify(func(w *watcher) func() { return w.broke })
}

func (l *link) connected(*nats.Conn) {
	l.epoch.Add(1)
	l.folded.Info("connected", "channel connected")
	l.mu.Lock()
	l.lastDown, l.stands = "", time.Now()
	l.mu.Unlock()
	l.notify(func(w *watcher) func() { return w.connected })
}

func (l *link) failed(_ *nats.Conn, _ *nats.Subscription, err error) {
	l.folded.Warn("error", "channel error", "error", err)
}

func (l *link) stillDown(_ *nats.Conn, err error) {
	l.mu.Lock()
	again := l.lastDown == err.Error()
	l.lastDown = err.Error()
	l.mu.Unlock()
	if !again {
		l.folded.Warn("down", "channel cannot be reached, trying again", "error", err)
	}
}

// violated handles a broker's fault, for which its connection ends.
func (l *link) violated(err error) {
	l.folded.Error("violated", "the broker is at fault, its connection is given up", "error", err)
	l.rested()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faults++
	l.lastDown = err.Error()
}

// rested forgets earlier faults if the connection that now ends lasted long.
func (l *link) rested() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stands.IsZero() && time.Since(l.stands) > steady {
		l.faults = 0
	}
	l.stands = time.Time{}
}

// wait returns how long the library waits before it tries the brokers again.
func (l *link) wait(int) time.Duration {
	l.mu.Lock()
	doublings := min(max(l.faults-1, 0), maxDoublings)
	l.mu.Unlock()
	// #nosec G404 -- spreads load, hides nothing
	return (reconnectWait + rand.N(reconnectWait)) << doublings
}

// up returns nil while the connection stands, else why it does not, if known.
func (l *link) up() error {
	if l.nc.IsConnected() {
		return nil
	}
	l.mu.Lock()
	reason := l.lastDown
	l.mu.Unlock()
	if err := l.nc.LastError(); err != nil {
		reason = err.Error()
	}
	if reason == "" {
		return fmt.Errorf("%w: not connected", ErrUnavailable)
	}
	return fmt.Errorf("%w: not connected: %s", ErrUnavailable, reason)
}

// whileUp returns a context that also ends with the connection: no answer would come.
func (l *link) whileUp(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	forget := l.watch(&watcher{broke: cancel})
	return ctx, func() {
		forget()
		cancel()
	}
}

func (l *link) close() {
	l.nc.Close()
	l.pair.Wipe()
}
