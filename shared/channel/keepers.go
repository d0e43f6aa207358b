package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
)

// Keepers make a broker's streams and watch their room, from the broker's own process: their keys
// are accepted nowhere else. Safe for concurrent use.
type Keepers struct{ vault, relay *link }

// DialKeepers connects with the keys named VaultKeeper and RelayKeeper in [Configuration]. It owns
// the pairs, which Close wipes. A nil logger logs nothing.
func DialKeepers(server nats.InProcessConnProvider, vault, relay nkeys.KeyPair, logger *slog.Logger) (*Keepers, error) {
	k := &Keepers{}
	var err error
	if k.vault, err = dial("keeper", Options{Name: "keeper of " + accountVault, Logger: logger}, vault, server); err != nil {
		return nil, err
	}
	if k.relay, err = dial("keeper", Options{Name: "keeper of " + accountRelay, Logger: logger}, relay, server); err != nil {
		k.Close()
		return nil, err
	}
	return k, nil
}

// Close closes the connections.
func (k *Keepers) Close() {
	for _, l := range []*link{k.vault, k.relay} {
		if l != nil {
			l.close()
		}
	}
}

// MakeStreams creates the streams of both accounts with one replica, or updates them. It deletes
// nothing: no stream is made smaller than what it holds.
func (k *Keepers) MakeStreams(ctx context.Context, sizes Sizes) error {
	var plans []plan
	for _, side := range []struct {
		account string
		keeper  *link
	}{{accountVault, k.vault}, {accountRelay, k.relay}} {
		js, err := jetstream.New(side.keeper.nc)
		if err != nil {
			return fmt.Errorf("channel keeper: %w", err)
		}
		for _, config := range Streams(side.account, sizes, 1) {
			plans = append(plans, plan{js: js, config: config})
		}
	}
	return makeStreams(ctx, plans)
}

type plan struct {
	js     jetstream.JetStream
	config jetstream.StreamConfig
	grows  int64 // bytes by which its limit grows
}

// makeStreams creates or updates the streams: those that shrink first, for together they may fill
// all that the broker has. It shrinks none below what it holds, for the broker would delete its
// head.
func makeStreams(ctx context.Context, plans []plan) error {
	for i := range plans {
		if err := plans[i].compare(ctx); err != nil {
			return err
		}
	}
	slices.SortStableFunc(plans, func(a, b plan) int { return cmp.Compare(a.grows, b.grows) })
	for _, p := range plans {
		made, err := p.js.CreateOrUpdateStream(ctx, p.config)
		if err != nil {
			return fmt.Errorf("make stream %s: %w", p.config.Name, err)
		}
		if err := checkStream(made.CachedInfo().Config, p.config); err != nil {
			return err
		}
	}
	return nil
}

func (p *plan) compare(ctx context.Context) error {
	p.grows = p.config.MaxBytes
	old, err := p.js.Stream(ctx, p.config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the state of stream %s: %w", p.config.Name, err)
	}
	info := old.CachedInfo()
	p.grows -= info.Config.MaxBytes
	if held := info.State.Bytes; held > uint64(p.config.MaxBytes) && p.config.Discard == jetstream.DiscardNew {
		return fmt.Errorf("stream %s holds %d bytes and is configured for %d: give it at least what it holds",
			p.config.Name, held, p.config.MaxBytes)
	}
	return nil
}

// checkStream checks what durability rests on, whoever made the stream.
func checkStream(got, want jetstream.StreamConfig) error {
	if got.Storage != jetstream.FileStorage || got.PersistMode != jetstream.DefaultPersistMode ||
		got.MaxAge != want.MaxAge || got.Discard != want.Discard || got.MaxBytes != want.MaxBytes {
		return fmt.Errorf("stream %s is not as Nightdrop makes it (storage, persist mode, age, discard or size): delete or repair it", want.Name)
	}
	return nil
}
