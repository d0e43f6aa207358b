package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// resultsAge is how long results stay readable (INTERFACES 7 and 8).
	resultsAge = 30 * 24 * time.Hour
	// noticesKept is how many of each notice stay (INTERFACES 8).
	noticesKept = 100
	// maxStored is the largest stored message: MaxMessage and room for the headers of a publish.
	maxStored = MaxMessage + 4096
	// duplicateWindow is how long the broker remembers a Nats-Msg-Id.
	duplicateWindow = 2 * time.Minute
	// storedPrefix stands before the subject of a message in the hint that the broker sends once it is stored.
	// A hint is sent at most once: it wakes readers, it proves nothing.
	storedPrefix = "stored."
)

// Sizes are the most bytes that each stream may hold. All are positive.
type Sizes struct {
	Envelopes, Journal, Results, Notices int64
}

func (s Sizes) total() int64 { return s.Envelopes + s.Journal + s.Results + s.Notices }

// Streams returns the configuration of the streams that an account owns, "VAULT" or "RELAY", with a number of
// replicas (1 for the embedded broker). MaxAge is nowhere but on RESULTS: it deletes without a word.
func Streams(account string, sizes Sizes, replicas int) []jetstream.StreamConfig {
	base := jetstream.StreamConfig{
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Storage:     jetstream.FileStorage,
		Replicas:    replicas,
		MaxMsgSize:  maxStored,
		Duplicates:  duplicateWindow,
		AllowDirect: true,
	}
	named := func(name, subject string, size int64) jetstream.StreamConfig {
		c := base
		c.Name, c.Subjects, c.MaxBytes = name, []string{subject}, size
		all := subject[:strings.Index(subject, "*")] + ">"
		c.RePublish = &jetstream.RePublish{Source: all, Destination: storedPrefix + all, HeadersOnly: true}
		return c
	}
	switch account {
	case accountVault:
		envelopes := named(streamEnvelopes, "bag.*", sizes.Envelopes)
		envelopes.DenyDelete = true // only a purge below a sequence, never a single bag
		journal := named(streamJournal, "journal.*", sizes.Journal)
		journal.DenyDelete = true
		return []jetstream.StreamConfig{envelopes, journal}
	case accountRelay:
		results := named(streamResults, "res.*.*.*", sizes.Results)
		results.MaxMsgsPerSubject, results.MaxAge = 1, resultsAge
		notices := named(streamNotices, "notice.*", sizes.Notices)
		notices.MaxMsgsPerSubject = noticesKept
		notices.Discard = jetstream.DiscardOld // a new directory is worth more than an old one
		return []jetstream.StreamConfig{results, notices}
	default:
		return nil
	}
}

// plan is a stream to be made, or brought to its configuration, by the keeper of its account.
type plan struct {
	js     jetstream.JetStream
	config jetstream.StreamConfig
	grows  int64 // bytes by which its limit grows
}

// makeStreams creates the streams or brings them to their configuration: those that shrink first, for together they may
// fill all that the broker has. It refuses to shrink one below what it holds, for the broker would delete from its head.
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

// compare looks at the stream that is there, if any.
func (p *plan) compare(ctx context.Context) error {
	p.grows = p.config.MaxBytes
	old, err := p.js.Stream(ctx, p.config.Name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at stream %s: %w", p.config.Name, err)
	}
	info := old.CachedInfo()
	p.grows -= info.Config.MaxBytes
	if held := info.State.Bytes; held > uint64(p.config.MaxBytes) && p.config.Discard == jetstream.DiscardNew {
		return fmt.Errorf("stream %s holds %d bytes and is configured for %d: give it at least what it holds",
			p.config.Name, held, p.config.MaxBytes)
	}
	return nil
}

// checkStream asserts what durability rests on, whoever made the stream.
func checkStream(got, want jetstream.StreamConfig) error {
	if got.Storage != jetstream.FileStorage || got.PersistMode != jetstream.DefaultPersistMode ||
		got.MaxAge != want.MaxAge || got.Discard != want.Discard || got.MaxBytes != want.MaxBytes {
		return fmt.Errorf("stream %s is not as Nightdrop makes it (storage, persist mode, age, discard or size): delete or repair it", want.Name)
	}
	return nil
}
