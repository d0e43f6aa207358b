// Package intake brings what storefronts sent into the ledger: bags from the channel (or from a
// courier's bundles) are verified and opened in parallel, and all effects of a group of bags are
// committed in one transaction.
//
// Nothing that a relay or a storefront can send stops the rest: a bad envelope is rejected or is an
// integrity finding, a bad bag is a finding. Reading the same message again changes nothing, so
// after a crash, or when the channel has lost messages, it is read again.
//
// Account data lives in byte slices while one envelope is judged, and is cleared. What stays is the
// masked number, a keyed fingerprint, the sealed account and code parts while something needs them,
// and stored accounts, each sealed under its own key.
package intake

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/folded"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// Opener opens sealed parts; [keyring.Ring] implements it. It must be safe for concurrent use. The
// caller clears the plaintext. An error other than [keyring.ErrKeyDead] and [keyring.ErrCannotOpen]
// says nothing about the part: the group is not committed.
type Opener interface {
	OpenPart(part envelope.PartName, merchant, id string, p envelope.Part) ([]byte, error)
}

// Accounts seals, opens and forgets stored accounts; [keyring.Ring] implements it and documents the
// contract.
type Accounts interface {
	SealStored(merchant, token string, plain []byte) (slot uint32, sealed []byte, err error)
	OpenStored(merchant, token string, slot uint32, sealed []byte) ([]byte, error)
	ForgetStored(slots ...uint32) error
}

// Source is the channel's side of intake; [channel.Vault] implements it.
type Source interface {
	// Bags calls fn with messages in stream order from a sequence on, until ctx ends or fn fails.
	// It returns [channel.ErrRewound] when the stream lost what was read from it.
	Bags(ctx context.Context, from uint64, fn func([]channel.Message) error) error
	// BagAt returns one message, or [channel.ErrNotFound].
	BagAt(ctx context.Context, sequence uint64) (channel.Message, error)
	// EnvelopesRoom returns how full the stream is.
	EnvelopesRoom(ctx context.Context) (channel.Room, error)
	// PurgeBags deletes the messages below a sequence.
	PurgeBags(ctx context.Context, below uint64) error
}

// Limits and times, with their reasons.
const (
	// of bags in one commit: some 700 envelopes of three parts, tens of milliseconds to write
	defaultGroupBytes = 4 << 20
	// specification 8: how long bags stay, for a standby to read again
	defaultKeep = 7 * 24 * time.Hour
	upkeepEvery = time.Hour // between purges
	// between looks at how full ENVELOPES is: a quarter of it lasts longer
	roomEvery   = 10 * time.Second
	gapPatience = time.Hour        // after which a number that never came is a finding
	retryEvery  = time.Second      // while the channel is away
	resendEvery = 10 * time.Second // least time between two resends of one payment's results
	// resends, refusals and links in memory; forgetting one costs one more resend or result
	rememberedAnswers = 1 << 14
	// messages that are not bags, some 120 bytes each; forgetting one means counting it again
	rememberedStrays = 1 << 16
)

// Config configures an [Intake].
type Config struct {
	Ledger     *ledger.Ledger
	Opener     Opener
	Source     Source           // may be nil where only Take is called
	Workers    int              // envelopes judged at once; 0 is GOMAXPROCS
	GroupBytes int              // bytes of bags in one commit; 0 is 4 MiB; a larger bag goes alone
	Keep       time.Duration    // how long committed bags stay in the channel; 0 is 7 days
	Now        func() time.Time // the vault's clock
	Logger     *slog.Logger     // nil is none

	// of stored accounts, after [keyring.Ring.KeepStored]; nil: store, update and forget are not
	// permitted
	Accounts Accounts
	// the acquirer refunds a card by reference: a refund needs no number (acquirer.Acquirer)
	RefundsByReference bool
	// called before each group: nil while there is room for bags, else why they wait in the
	// channel; may be nil
	Room func() error
	Bank bool // settlement files are written for a bank; without, bank accounts are not permitted
}

// Intake accepts bags. [Intake.Take] may be called while [Intake.Run] runs, from any goroutine.
type Intake struct {
	Config
	// when a payment's results were last resent, or a forged envelope was refused
	answers *lru.Cache[string, time.Time]
	links   *lru.Cache[string, string] // of bags that came: their previous
	room    envelopes                  // what was last seen of the stream
	// messages that are not bags and were reported, by sequence and digest
	strays *lru.Cache[stray, bool]
	tally  *tally
	lines  *folded.Lines // of Logger, for what a stranger can cause
}

// New returns an Intake. It fails on an incomplete configuration.
func New(c Config) (*Intake, error) {
	if c.Ledger == nil || c.Opener == nil || c.Now == nil {
		return nil, errors.New("intake needs a ledger, an opener and a clock")
	}
	if c.Workers <= 0 {
		c.Workers = runtime.GOMAXPROCS(0)
	}
	if c.GroupBytes <= 0 {
		c.GroupBytes = defaultGroupBytes
	}
	if c.Keep <= 0 {
		c.Keep = defaultKeep
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	answers, err := lru.New[string, time.Time](rememberedAnswers)
	if err != nil {
		return nil, fmt.Errorf("make intake's memory: %w", err)
	}
	links, err := lru.New[string, string](rememberedAnswers)
	if err != nil {
		return nil, fmt.Errorf("make intake's memory: %w", err)
	}
	strays, err := lru.New[stray, bool](rememberedStrays)
	if err != nil {
		return nil, fmt.Errorf("make intake's memory: %w", err)
	}
	return &Intake{Config: c, answers: answers, links: links, strays: strays, tally: &tally{sources: map[source]tallied{}}, lines: folded.New(c.Logger)}, nil
}

// Run reads the channel from the ledger's position until ctx ends, whose error it then returns. It
// waits while the channel is away. Any other error is the ledger's or the key ring's, and the
// daemon must stop: what was not committed is read again at the next start.
func (i *Intake) Run(ctx context.Context) (err error) {
	defer func() {
		if errors.Is(err, context.Canceled) {
			err = cmp.Or(i.reportCounted(context.WithoutCancel(ctx), true), err)
		}
	}()
	for {
		var from uint64
		if from, err = i.resume(ctx); err != nil {
			return err
		}
		err = i.follow(ctx, from)
		if !errors.Is(err, channel.ErrRewound) && !errors.Is(err, channel.ErrUnavailable) {
			return err
		}
		i.lines.Warn("position", "finding the position in the channel again", "error", err)
		if err := pause(ctx, retryEvery); err != nil {
			return err
		}
	}
}

// resume returns the sequence to read from: the one after the ledger's hint where the channel still
// holds the same message there. Otherwise the channel lost its tail and may reuse sequences, so
// everything is read again; what was committed is recognised by its bag.
func (i *Intake) resume(ctx context.Context) (uint64, error) {
	var hint ledger.Hint
	err := i.Ledger.View(func(tx *ledger.Tx) (err error) {
		hint, err = tx.BagHint()
		return err
	})
	if err != nil || hint.Sequence == 0 {
		return 1, err
	}
	for {
		message, err := i.Source.BagAt(ctx, hint.Sequence)
		switch {
		case err == nil && digestOf(message) == hint.Digest:
			return hint.Sequence + 1, nil
		case err == nil, errors.Is(err, channel.ErrNotFound):
			return 1, i.startOver(ctx, hint)
		case ctx.Err() != nil:
			return 0, ctx.Err()
		}
		i.lines.Info("waiting", "waiting for the channel", "error", err)
		if err := pause(ctx, retryEvery); err != nil {
			return 0, err
		}
	}
}

// startOver records that the channel no longer holds what was read from it. A crash after it means
// one finding and a normal start; a crash before it, that it is detected again.
func (i *Intake) startOver(ctx context.Context, hint ledger.Hint) error {
	i.lines.Error("start over", "the channel no longer holds the bag that was read last: reading from the start", "sequence", hint.Sequence)
	found := book.IntegrityFound{Finding: book.FindingSequence, Detail: fmt.Sprintf("sequence %d is not the bag that was read there", hint.Sequence)}
	return i.commitCounting(ctx, func(tx *ledger.Tx, counts *attemptCounts) error {
		if counts.due(source{finding: found.Finding}, tx.Now().Time, &found) {
			if _, err := tx.Append(book.Event{Actor: "vault", Origin: "start", Evidence: hint.Digest, Body: found}); err != nil {
				return err
			}
		}
		return tx.SetBagHint(ledger.Hint{})
	})
}

// follow reads, judges and commits in a pipeline: while one group is committed the next is judged.
func (i *Intake) follow(ctx context.Context, from uint64) error {
	tasks, ctx := errgroup.WithContext(ctx)
	// unbuffered: at most one group waits, so memory is bounded by three
	judged := make(chan *group)
	tasks.Go(func() error {
		defer close(judged)
		return i.Source.Bags(ctx, from, func(messages []channel.Message) error {
			for _, part := range i.split(messages) {
				if err := i.awaitRoom(ctx); err != nil {
					return err
				}
				g, err := i.judgeAll(part)
				if err != nil {
					return err
				}
				select {
				case judged <- g:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
	})
	tasks.Go(func() error {
		for g := range judged {
			if err := i.commit(ctx, g); err != nil {
				return err
			}
		}
		return nil
	})
	tasks.Go(func() error { return i.upkeep(ctx) })
	return tasks.Wait()
}

func (i *Intake) hasRoom() error {
	if i.Room == nil {
		return nil
	}
	return i.Room()
}

// awaitRoom returns when there is room for bags, or ctx ends. Meanwhile they wait in the channel,
// and may become late.
func (i *Intake) awaitRoom(ctx context.Context) error {
	for {
		err := i.hasRoom()
		if err == nil {
			return nil
		}
		i.lines.Warn("room", "bags wait in the channel", "reason", err)
		if err := pause(ctx, retryEvery); err != nil {
			return err
		}
	}
}

// Take verifies and commits messages, in their order: when it returns nil all their effects are
// durable. Where there is no room it fails and commits none. Messages with a sequence move the
// ledger's position in the channel; those of a bundle have none.
func (i *Intake) Take(ctx context.Context, messages []channel.Message) error {
	for _, part := range i.split(messages) {
		if err := i.hasRoom(); err != nil {
			return err
		}
		g, err := i.judgeAll(part)
		if err != nil {
			return err
		}
		if err := i.commit(ctx, g); err != nil {
			return err
		}
	}
	return nil
}

// split splits messages into groups of at most GroupBytes, or of one message.
func (i *Intake) split(messages []channel.Message) [][]channel.Message {
	var groups [][]channel.Message
	start, size := 0, 0
	for n, m := range messages {
		if n > start && size+len(m.Data) > i.GroupBytes {
			groups = append(groups, messages[start:n])
			start, size = n, 0
		}
		size += len(m.Data)
	}
	if start < len(messages) {
		groups = append(groups, messages[start:])
	}
	return groups
}

// parallel calls do for 0 to n-1 on all workers until one fails, and returns the first error.
func (i *Intake) parallel(n int, do func(int) error) error {
	var (
		next  atomic.Int64
		fail  atomic.Bool
		once  sync.Once
		wait  sync.WaitGroup
		first error
	)
	for range min(i.Workers, n) {
		wait.Go(func() {
			for !fail.Load() {
				k := int(next.Add(1)) - 1
				if k >= n {
					return
				}
				if err := do(k); err != nil {
					once.Do(func() { first = err })
					fail.Store(true)
				}
			}
		})
	}
	wait.Wait()
	return first
}

// digestOf returns the digest of a message in the ledger's hint.
func digestOf(m channel.Message) string {
	sum := sha256.Sum256(m.Data)
	return hex.EncodeToString(sum[:])
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
