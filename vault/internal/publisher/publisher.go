// Package publisher sends results to merchants, and the rolling notes (directory, members,
// position, checkpoint) to everyone.
//
// The ledger's fold issues results, one row each, in the transaction of their event. A [Publisher]
// seals them to the merchant's newest reply key, links them into the merchant's chain, signs,
// commits the bytes, and only then publishes; what has its durable ack is marked sent. A crash
// between any two steps repeats the step: before the commit nothing was sent, after it the same
// bytes are published again under the same serial.
//
// Rolling notes are made again at each start, so only the serials of directory and members are
// stored, as events.
package publisher

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/ledger"
)

// Channel publishes; [channel.Vault] implements it. Publishing the same bytes again is always safe.
type Channel interface {
	// PublishResult publishes one result, with many in flight; the stream has the order of calls.
	PublishResult(merchant string, serial uint64, id string, note []byte) channel.Ack
	// PublishNotice returns when the note is durable.
	PublishNotice(ctx context.Context, kind channel.Notice, note []byte) error
	// ResultsRoom returns how full RESULTS is: the broker's hint.
	ResultsRoom(ctx context.Context) (channel.Room, error)
	// PurgeResults removes a merchant's results but for the keep that were published last, and
	// returns how many it removed.
	PurgeResults(ctx context.Context, merchant string, keep uint64) (uint64, error)
	// KeptResults returns which results of a merchant RESULTS holds: the broker's hint.
	KeptResults(ctx context.Context, merchant string) (channel.Kept, error)
	// ResultsAcked returns how far the acks of results went.
	ResultsAcked() channel.Acked
	// Connected reports whether the broker is connected.
	Connected() bool
}

// Keys sign and list keys; an unlocked keyring.Ring implements it.
type Keys interface {
	Signer() *note.Signer
	Directory(now time.Time) []envelope.DirectoryKey
}

// Limits and times, with their reasons.
const (
	defaultLifetime = 48 * time.Hour // of directory and members, on line (specification 5)
	// a restarted relay has a fresh one soon, and a lost publish does no harm
	defaultReissue = time.Hour
	// results a second: above what one disk makes durable, below what would hide a flood
	defaultRate = 2000
	// results sealed in one commit, and in flight at once: three megabytes
	roundResults = 512
	retryEvery   = time.Second // while the channel is away or full
	noticeEvery  = time.Second // between two positions or checkpoints
	// between two checks of the connection: the client needs longer to reconnect
	connectionEvery = 100 * time.Millisecond
	noticeTimeout   = 10 * time.Second
	memberEvery     = 10 * time.Millisecond // between two checks whether a members note is out
	connectGrace    = 3 * time.Second       // for the channel's first connection
	sealersKept     = 4096                  // reply keys parsed and kept, 10 KB each at most
)

// Config configures an [Publisher].
type Config struct {
	Ledger   *ledger.Ledger
	Keys     Keys
	Channel  Channel
	Position func(*ledger.Tx) (envelope.Position, error) // intake's
	// of directory and members; 0 is 48 h; courier sites 14 days
	Lifetime time.Duration
	// the longest time between two directories; 0 is 1 h, at most half of Lifetime
	Reissue time.Duration
	Rate    int              // results published a second at most; 0 is 2,000
	Workers int              // results sealed at once; 0 is GOMAXPROCS
	Now     func() time.Time // the vault's clock
	Logger  *slog.Logger     // nil is none
}

// Publisher publishes results and notices. Its methods are safe for concurrent use; one
// [Publisher.Run] at a time.
type Publisher struct {
	Config
	limit   *rate.Limiter
	made    time.Time
	sealers *lru.Cache[string, *seal.Sealer] // by reply key line
	wake    chan struct{}                    // a notice was issued outside the loop
	shares  *shares                          // of RESULTS
	losses  *losses                          // of RESULTS

	issuing sync.Mutex // of directories: the newest in notices is the newest in the ledger
	mu      sync.Mutex // of notices; not held while publishing
	notices map[channel.Notice]*notice
}

// New returns a Publisher. It fails on an incomplete configuration.
func New(c Config) (*Publisher, error) {
	if c.Ledger == nil || c.Keys == nil || c.Channel == nil || c.Position == nil || c.Now == nil {
		return nil, errors.New("the publisher needs a ledger, keys, a channel, intake's position and a clock")
	}
	if c.Lifetime <= 0 {
		c.Lifetime = defaultLifetime
	}
	if c.Reissue <= 0 {
		c.Reissue = defaultReissue
	}
	c.Reissue = min(c.Reissue, c.Lifetime/2)
	if c.Rate <= 0 {
		c.Rate = defaultRate
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	sealers, err := lru.New[string, *seal.Sealer](sealersKept)
	if err != nil {
		return nil, err
	}
	o := &Publisher{Config: c, made: time.Now(), limit: rate.NewLimiter(rate.Limit(c.Rate), min(c.Rate, roundResults)), sealers: sealers,
		wake: make(chan struct{}, 1), shares: newShares(), losses: newLosses(), notices: map[channel.Notice]*notice{}}
	return o, nil
}

// Run publishes until ctx ends, whose error it then returns. It waits while the channel is away.
// Any other error is the ledger's or the signing key's: the daemon must stop.
func (o *Publisher) Run(ctx context.Context) error {
	if err := o.losses.begin(o.Ledger); err != nil {
		return err
	}
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return o.sealResults(ctx) })
	tasks.Go(func() error { return o.sendResults(ctx) })
	tasks.Go(func() error { return o.sendNotices(ctx) })
	tasks.Go(func() error { return o.keepRoom(ctx) })
	return tasks.Wait()
}

// signer returns the vault's key, or an error when the ring was locked meanwhile.
func (o *Publisher) signer() (*note.Signer, error) {
	if s := o.Keys.Signer(); s != nil {
		return s, nil
	}
	return nil, errors.New("the vault is locked: nothing can be signed until custodians unlock it")
}
