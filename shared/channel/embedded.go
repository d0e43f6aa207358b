package channel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"golang.org/x/sys/unix"
)

const (
	defaultMaxBytes = 8 << 30
	defaultMinFree  = 256 << 20
	// minStream is the least a stream may be given: a few of the largest messages.
	minStream = 4 << 20
)

// EmbeddedConfig describes the broker inside the relay's process.
type EmbeddedConfig struct {
	Dir      string // store directory, made with mode 0700; one process at a time
	Listen   string // host:port for vault, courier and monitor, by TLS; port 0 = any; "" = no listener
	Cert     string // PEM file; needed with Listen
	Key      string // PEM file; needed with Listen
	ClientCA string // PEM file; set, clients must show a certificate of these authorities besides their nkey

	// Public nkeys (U...); "" = that role is off. The relay's own key is made at each start and never leaves the process.
	VaultNkey, CourierNkey, MonitorNkey string

	MaxBytes       int64         // all streams together; 0 = 8 GiB
	EnvelopesBytes int64         // 0 = half of MaxBytes
	ResultsBytes   int64         // 0 = a quarter of MaxBytes; JOURNAL and NOTICES share what is left
	MinFree        int64         // bytes that must stay free on the volume, else bags are refused; 0 = 256 MiB
	AckTimeout     time.Duration // of the relay's own publishing; 0 = 10 s
	Logger         *slog.Logger  // nil = none
}

// sizes shares MaxBytes out among the streams.
func (c EmbeddedConfig) sizes() (Sizes, error) {
	s := Sizes{Envelopes: c.EnvelopesBytes, Results: c.ResultsBytes}
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
		return Sizes{}, fmt.Errorf("channel sizes: of %d bytes in all, every stream needs at least %d (envelopes %d, results %d, the rest %d)",
			c.MaxBytes, minStream, s.Envelopes, s.Results, rest)
	}
	return s, nil
}

// Embedded is a running broker. It is safe for concurrent use.
type Embedded struct {
	config    EmbeddedConfig
	server    *server.Server
	lock      *os.File
	relaySeed []byte
	keepers   []*link
	guard     *guard
	stop      context.CancelFunc
	done      sync.WaitGroup
}

// StartEmbedded starts the broker and returns when its streams are ready and found to be durable; after a crash with
// much in store this takes seconds. ctx bounds the start only. It is ErrLocked when another process uses the directory.
func StartEmbedded(ctx context.Context, config EmbeddedConfig) (*Embedded, error) {
	if config.Logger == nil {
		config.Logger = slog.New(slog.DiscardHandler)
	}
	if config.MaxBytes == 0 {
		config.MaxBytes = defaultMaxBytes
	}
	if config.MinFree == 0 {
		config.MinFree = defaultMinFree
	}
	sizes, err := config.sizes()
	if err != nil {
		return nil, err
	}
	e := &Embedded{config: config}
	if err := e.start(ctx, sizes); err != nil {
		_ = e.Close(context.WithoutCancel(ctx)) // the first error tells
		return nil, err
	}
	return e, nil
}

func (e *Embedded) start(ctx context.Context, sizes Sizes) (err error) {
	if e.lock, err = lockDir(e.config.Dir); err != nil {
		return err
	}
	keys := make([]nkeys.KeyPair, 3) // relay, keeper of VAULT, keeper of RELAY
	for i := range keys {
		if keys[i], err = nkeys.CreateUser(); err != nil {
			return fmt.Errorf("channel keys: %w", err)
		}
	}
	if e.relaySeed, err = keys[0].Seed(); err != nil {
		return fmt.Errorf("channel keys: %w", err)
	}
	if err := e.startServer(ctx, keys); err != nil {
		return err
	}
	if err := e.makeStreams(ctx, sizes, keys[1:]); err != nil {
		return err
	}
	e.startGuard(ctx)
	return nil
}

// lockDir makes the directory and takes its lock, which ends with the process: JetStream itself has none.
func lockDir(dir string) (*os.File, error) {
	if dir == "" {
		return nil, errors.New("channel store: no directory given")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
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

func (e *Embedded) configuration(keys []nkeys.KeyPair) (Configuration, error) {
	c := Configuration{Name: "nightdrop-embedded", Cert: e.config.Cert, Key: e.config.Key, ClientCA: e.config.ClientCA,
		Dir: e.config.Dir, RelayInProcess: true,
		Vault: e.config.VaultNkey, Courier: e.config.CourierNkey, Monitor: e.config.MonitorNkey}
	// The streams' own limits add up to MaxBytes. The broker's must hold what they had before, to let them shrink.
	_, size, err := volume(e.config.Dir)
	if err != nil {
		return c, fmt.Errorf("channel store: %w", err)
	}
	if size < e.config.MaxBytes+e.config.MinFree {
		e.config.Logger.Warn("the channel's volume is smaller than its streams may grow", "volume", size, "streams", e.config.MaxBytes, "reserve", e.config.MinFree)
	}
	c.MaxStore = max(size, e.config.MaxBytes)
	if e.config.Listen != "" {
		host, port, err := net.SplitHostPort(e.config.Listen)
		if err != nil {
			return c, fmt.Errorf("channel listener: %w", err)
		}
		if port == "0" {
			port = "-1" // the broker's way to say any
		}
		c.Listen = net.JoinHostPort(host, port)
	}
	for role, nkey := range map[string]string{"vault": c.Vault, "courier": c.Courier, "monitor": c.Monitor} {
		if nkey != "" && !nkeys.IsValidPublicUserKey(nkey) { // it may be a seed: never repeat it
			return c, fmt.Errorf("channel key of the %s is not a public user nkey (U...)", role)
		}
	}
	public := make([]string, len(keys))
	for i, key := range keys {
		var err error
		if public[i], err = key.PublicKey(); err != nil {
			return c, fmt.Errorf("channel keys: %w", err)
		}
	}
	c.Relays, c.VaultKeeper, c.RelayKeeper = []RelayKey{{Nkey: public[0]}}, public[1], public[2]
	return c, nil
}

// startServer starts the broker and waits until it serves.
func (e *Embedded) startServer(ctx context.Context, keys []nkeys.KeyPair) error {
	c, err := e.configuration(keys)
	if err != nil {
		return err
	}
	text, err := c.Text()
	if err != nil {
		return err
	}
	options := &server.Options{}
	if err := options.ProcessConfigString(text); err != nil {
		return fmt.Errorf("channel configuration: %w", err)
	}
	options.NoSigs, options.DontListen = true, c.Listen == ""
	if e.server, err = server.NewServer(options); err != nil {
		return fmt.Errorf("channel broker: %w", err)
	}
	logger := newBrokerLogger(e.config.Logger)
	e.server.SetLoggerV2(logger, false, false, false)
	e.done.Go(e.server.Start)
	for !e.server.ReadyForConnections(100 * time.Millisecond) {
		select {
		case err := <-logger.fatal:
			return fmt.Errorf("channel broker: %w", err)
		case <-ctx.Done():
			return fmt.Errorf("channel broker did not start: %w", ctx.Err())
		default:
		}
	}
	return e.assertDurable()
}

// assertDurable refuses a broker that acks before fsync (FACTS: it loses everything acked in a power cut).
func (e *Embedded) assertDurable() error {
	js := e.server.JetStreamConfig()
	if js == nil || !js.SyncAlways || !js.Strict {
		return errors.New("channel broker: JetStream does not run with sync always and strict")
	}
	return nil
}

// makeStreams makes the streams of both accounts, each by its keeper.
func (e *Embedded) makeStreams(ctx context.Context, sizes Sizes, keepers []nkeys.KeyPair) error {
	var plans []plan
	for i, account := range []string{accountVault, accountRelay} {
		l, err := dial("keeper", Options{Name: "keeper of " + account, Logger: e.config.Logger}, keepers[i], e.server)
		if err != nil {
			return err
		}
		e.keepers = append(e.keepers, l)
		js, err := jetstream.New(l.nc)
		if err != nil {
			return fmt.Errorf("channel broker: %w", err)
		}
		for _, config := range Streams(account, sizes, 1) {
			plans = append(plans, plan{js: js, config: config})
		}
	}
	return makeStreams(ctx, plans)
}

func (e *Embedded) startGuard(ctx context.Context) {
	e.guard = &guard{
		minFree: e.config.MinFree,
		free: func() (int64, error) {
			free, _, err := volume(e.config.Dir)
			return free, err
		},
		healthy: e.healthy,
		room:    e.room,
		change:  e.config.Logger.Info,
	}
	e.guard.look(ctx)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	e.stop = stop
	e.done.Go(func() { e.guard.run(running) })
}

func (e *Embedded) healthy() error {
	if err := e.assertDurable(); err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if h := e.server.Healthz(&server.HealthzOptions{}); h.StatusCode != 0 && h.StatusCode != 200 {
		return fmt.Errorf("%w: broker health %d: %s: restart the relay", ErrUnavailable, h.StatusCode, h.Error)
	}
	return nil
}

// room is ErrFull when ENVELOPES might not take the next bag, and ErrUnavailable when a stream does not answer.
func (e *Embedded) room(ctx context.Context) error {
	info, err := e.keepers[0].info(ctx, streamEnvelopes)
	if err != nil {
		return err
	}
	if int64(info.State.Bytes)+maxStored > info.Config.MaxBytes {
		return fmt.Errorf("%w: ENVELOPES holds %d of %d bytes: the vault must catch up, or enlarge it", ErrFull, info.State.Bytes, info.Config.MaxBytes)
	}
	_, err = e.keepers[1].info(ctx, streamResults)
	return err
}

// Relay connects to the broker inside the process.
func (e *Embedded) Relay() (*Relay, error) {
	options := Options{Name: "relay", AckTimeout: e.config.AckTimeout, Logger: e.config.Logger}
	return newEmbeddedRelay(options, e.server, e.relaySeed, e.guard.verdict, e.guard.reserve)
}

// Addr is the listener's address, "" without one.
func (e *Embedded) Addr() string {
	if e.config.Listen == "" {
		return ""
	}
	return e.server.Addr().String()
}

// Close stops the broker, waits for it as long as ctx lives, and gives the directory back.
func (e *Embedded) Close(ctx context.Context) error {
	if e.stop != nil {
		e.stop()
	}
	for _, l := range e.keepers {
		l.close()
	}
	if e.server != nil {
		gone := make(chan struct{})
		go func() {
			e.server.Shutdown()
			e.server.WaitForShutdown()
			e.done.Wait()
			close(gone)
		}()
		select {
		case <-gone:
		case <-ctx.Done():
			return fmt.Errorf("stop the channel broker: %w", ctx.Err())
		}
	}
	clear(e.relaySeed)
	if e.lock == nil {
		return nil
	}
	return e.lock.Close()
}
