// Package broker is the NATS server inside the relay's process: it serves the channel's streams
// with the accounts and allow-lists of package channel, and refuses bags before its volume is full.
// It is a package of its own so that the vault links no server.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
	"golang.org/x/sys/unix"

	"nightdrop/shared/channel"
	"nightdrop/shared/durable"
	"nightdrop/shared/volume"
)

// ErrLocked is returned by Start when another process uses the store directory.
var ErrLocked = errors.New("channel store in use by another process")

const (
	defaultMaxBytes = 8 << 30
	defaultMinFree  = 256 << 20
	// minStream is the least a stream may be given: a few of the largest messages.
	minStream = 4 << 20
)

// Config describes a broker.
type Config struct {
	Dir    string // store directory, made with mode 0700; one process at a time
	Listen string // host:port for vault, courier and monitor, by TLS; port 0 = any; "" = none
	Cert   string // PEM file; needed with Listen; Reload reads it again
	Key    string // PEM file; needed with Listen; Reload reads it again
	// PEM file; if set, clients must also show a certificate of these authorities; read at the
	// start only
	ClientCA string

	// Public nkeys (U...); "" = role off. The relay's own key is made at each start, and stays in
	// memory.
	VaultNkey, CourierNkey, MonitorNkey string

	MaxBytes       int64 // all streams together; 0 = 8 GiB
	EnvelopesBytes int64 // 0 = half of MaxBytes
	ResultsBytes   int64 // 0 = a quarter of MaxBytes; JOURNAL and NOTICES share what is left
	// bytes that must stay free on the volume, or bags are refused; 0 = 256 MiB
	MinFree    int64
	AckTimeout time.Duration // of the relay's own publishing; 0 = 10 s
	Logger     *slog.Logger  // nil = none
}

func (c Config) withDefaults() Config {
	if c.MaxBytes == 0 {
		c.MaxBytes = defaultMaxBytes
	}
	if c.MinFree == 0 {
		c.MinFree = defaultMinFree
	}
	return c
}

// Envelopes returns the bytes that ENVELOPES may hold, or an error if the sizes do not fit
// together.
func (c Config) Envelopes() (int64, error) {
	s, err := c.withDefaults().sizes()
	return s.Envelopes, err
}

func (c Config) sizes() (channel.Sizes, error) {
	s := channel.Sizes{Envelopes: c.EnvelopesBytes, Results: c.ResultsBytes}
	if s.Envelopes == 0 {
		s.Envelopes = c.MaxBytes / 2
	}
	if s.Results == 0 {
		s.Results = c.MaxBytes / 4
	}
	rest := c.MaxBytes - s.Envelopes - s.Results
	s.Notices = rest / 2
	s.Journal = rest - s.Notices
	if min(s.Envelopes, s.Results, s.Notices, s.Journal) < minStream {
		return channel.Sizes{}, fmt.Errorf("channel sizes: of %d bytes in all, every stream needs at least %d (envelopes %d, results %d, the rest %d)",
			c.MaxBytes, minStream, s.Envelopes, s.Results, rest)
	}
	return s, nil
}

// Broker is a running broker. It is safe for concurrent use.
type Broker struct {
	config      Config
	server      *server.Server
	certificate atomic.Pointer[tls.Certificate] // the listener's; nil without one
	lock        *os.File
	relaySeed   []byte
	keepers     *channel.Keepers
	guard       *guard
	stop        context.CancelFunc
	done        sync.WaitGroup
}

// Start starts a broker and returns when its streams are ready and known to be durable; after a
// crash with much in store this takes seconds. ctx bounds the start only. [ErrLocked] if another
// process uses the directory.
func Start(ctx context.Context, config Config) (*Broker, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if err := config.Check(time.Now()); err != nil {
		return nil, err
	}
	config = config.withDefaults()
	sizes, err := config.sizes()
	if err != nil {
		return nil, err
	}
	b := &Broker{config: config}
	if err := b.start(ctx, sizes); err != nil {
		_ = b.Close(context.WithoutCancel(ctx)) // the first error is the one that counts
		return nil, err
	}
	return b, nil
}

func (b *Broker) start(ctx context.Context, sizes channel.Sizes) (err error) {
	if b.lock, err = lockDir(b.config.Dir); err != nil {
		return err
	}
	if err := distrustIndex(b.config.Dir); err != nil {
		return err
	}
	keys, err := makeKeys()
	if err != nil {
		return err
	}
	if b.relaySeed, err = keys[0].Seed(); err != nil {
		return fmt.Errorf("channel keys: %w", err)
	}
	if err := b.startServer(ctx, keys); err != nil {
		return err
	}
	if b.keepers, err = channel.DialKeepers(b.server, keys[1], keys[2], b.config.Logger); err != nil {
		return err
	}
	if err := b.keepers.MakeStreams(ctx, sizes); err != nil {
		return err
	}
	b.startGuard(ctx)
	return nil
}

// makeKeys makes the keys of the relay and of the keepers of VAULT and RELAY.
func makeKeys() ([]nkeys.KeyPair, error) {
	keys := make([]nkeys.KeyPair, 3)
	for i := range keys {
		var err error
		if keys[i], err = nkeys.CreateUser(); err != nil {
			return nil, fmt.Errorf("channel keys: %w", err)
		}
	}
	return keys, nil
}

// lockDir makes and locks the directory until the process ends: JetStream itself has no lock.
func lockDir(dir string) (*os.File, error) {
	if dir == "" {
		return nil, errors.New("channel store: no directory given")
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("channel store: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("channel store: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s: stop the other relay, or give this one a directory of its own", ErrLocked, dir)
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil
}

func (c Config) configuration(keys []nkeys.KeyPair, maxStore int64) (channel.Configuration, error) {
	made := channel.Configuration{Name: "nightdrop-embedded", Cert: c.Cert, Key: c.Key, ClientCA: c.ClientCA,
		Dir: c.Dir, RelayInProcess: true, MaxStore: maxStore,
		Vault: c.VaultNkey, Courier: c.CourierNkey, Monitor: c.MonitorNkey}
	if c.Listen != "" {
		host, port, err := net.SplitHostPort(c.Listen)
		if err != nil {
			return made, fmt.Errorf("channel listener: %w", err)
		}
		if port == "0" {
			port = "-1" // the broker's way to say any
		}
		made.Listen = net.JoinHostPort(host, port)
	}
	public := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if public[i], err = key.PublicKey(); err != nil {
			return made, fmt.Errorf("channel keys: %w", err)
		}
	}
	made.Relays, made.VaultKeeper, made.RelayKeeper = []channel.RelayKey{{Nkey: public[0]}}, public[1], public[2]
	return made, nil
}

func options(c channel.Configuration) (*server.Options, error) {
	text, err := c.Text()
	if err != nil {
		return nil, err
	}
	o := &server.Options{}
	if err := o.ProcessConfigString(text); err != nil {
		return nil, fmt.Errorf("channel configuration: %w", err)
	}
	o.NoSigs, o.DontListen = true, c.Listen == ""
	return o, nil
}

// maxStore bounds all of the broker's streams. Their limits add up to MaxBytes; the broker's must
// also hold what they had before, to let them shrink.
func (b *Broker) maxStore() (int64, error) {
	room, err := volume.Look(b.config.Dir)
	if err != nil {
		return 0, fmt.Errorf("channel store: %w", err)
	}
	size := room.Size
	if size < b.config.MaxBytes+b.config.MinFree {
		b.config.Logger.Warn("the channel's volume is smaller than its streams may grow", "volume", size, "streams", b.config.MaxBytes, "reserve", b.config.MinFree)
	}
	return max(size, b.config.MaxBytes), nil
}

func (b *Broker) startServer(ctx context.Context, keys []nkeys.KeyPair) error {
	size, err := b.maxStore()
	if err != nil {
		return err
	}
	c, err := b.config.configuration(keys, size)
	if err != nil {
		return err
	}
	options, err := options(c)
	if err != nil {
		return err
	}
	if options.TLSConfig != nil {
		if err := b.Reload(); err != nil {
			return err
		}
		// otherwise clients that name no server, as by an IP address, get these
		options.TLSConfig.Certificates = nil
		options.TLSConfig.GetCertificate = func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return b.certificate.Load(), nil }
	}
	if b.server, err = server.NewServer(options); err != nil {
		return fmt.Errorf("channel broker: %w", err)
	}
	logger := newServerLogger(b.config.Logger)
	b.server.SetLoggerV2(logger, false, false, false)
	b.done.Go(b.server.Start)
	for !b.server.ReadyForConnections(100 * time.Millisecond) {
		select {
		case err := <-logger.fatal:
			return fmt.Errorf("channel broker: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("channel broker did not start: %w", ctx.Err())
		default:
		}
	}
	return b.assertDurable()
}

// assertDurable refuses a broker that acks before fsync: it would lose acked messages in a power
// cut.
func (b *Broker) assertDurable() error {
	js := b.server.JetStreamConfig()
	if js == nil || !js.SyncAlways || !js.Strict {
		return errors.New("channel broker: JetStream does not run with sync always and strict")
	}
	return nil
}

func (b *Broker) startGuard(ctx context.Context) {
	b.guard = &guard{
		minFree: b.config.MinFree,
		free: func() (int64, error) {
			room, err := volume.Look(b.config.Dir)
			return room.Free, err
		},
		healthy: b.healthy,
		streams: b.keepers.Streams,
		change:  b.config.Logger.Info,
		wedged:  make(chan struct{}),
	}
	b.guard.look(ctx)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	b.stop = stop
	b.done.Go(func() { b.guard.run(running) })
}

func (b *Broker) healthy() error {
	if err := b.assertDurable(); err != nil {
		return fmt.Errorf("%w: %w", channel.ErrUnavailable, err)
	}
	if h := b.server.Healthz(&server.HealthzOptions{}); h.StatusCode != 0 && h.StatusCode != 200 {
		return fmt.Errorf("%w: broker health %d: %s: restart the relay", channel.ErrUnavailable, h.StatusCode, h.Error)
	}
	return nil
}

// Relay connects the relay's side to the broker.
func (b *Broker) Relay() (*channel.Relay, error) {
	options := channel.Options{Name: "relay", AckTimeout: b.config.AckTimeout, Logger: b.config.Logger}
	return channel.InProcessRelay(options, channel.InProcess{Server: b.server, Seed: b.relaySeed, Verdict: b.guard.verdict, Reserve: b.guard.reserve,
		Streams: b.guard.full})
}

// Wedged is closed when the broker has stopped storing for good, though its volume has room: only a
// new process helps. Nothing acked is lost.
func (b *Broker) Wedged() <-chan struct{} { return b.guard.wedged }

// Addr is the listener's address, "" without one.
func (b *Broker) Addr() string {
	if b.config.Listen == "" {
		return ""
	}
	return b.server.Addr().String()
}

// Close stops the broker, waits for it until ctx ends, and unlocks the directory.
func (b *Broker) Close(ctx context.Context) error {
	if b.stop != nil {
		b.stop()
	}
	if b.keepers != nil {
		b.keepers.Close()
	}
	if b.server != nil {
		gone := make(chan struct{})
		go func() {
			b.server.Shutdown()
			b.server.WaitForShutdown()
			b.done.Wait()
			close(gone)
		}()
		select {
		case <-gone:
		case <-ctx.Done():
			return fmt.Errorf("stop the channel broker: %w", ctx.Err())
		}
	}
	clear(b.relaySeed)
	if b.lock == nil {
		return nil
	}
	return b.lock.Close()
}
