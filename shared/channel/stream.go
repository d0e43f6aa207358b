package channel

import (
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	// resultsAge is how long results stay readable (specification 7 and 8).
	resultsAge = 30 * 24 * time.Hour
	// noticesKept is how many of each notice stay (specification 8).
	noticesKept = 100
	// maxStored is the largest stored message: [MaxMessage] and a publish's headers.
	maxStored       = MaxMessage + 4096
	duplicateWindow = 2 * time.Minute
	// storedPrefix begins the subject of the hint that a message is stored: the broker sends it for
	// results and notices, the relay for bags. It is sent at most once: it wakes readers, it proves
	// nothing.
	storedPrefix = "stored."
)

// Sizes are the most bytes that each stream may hold. All are positive.
type Sizes struct {
	Envelopes, Journal, Results, Notices int64
}

// Streams returns the configuration of an account's streams ("VAULT" or "RELAY") with a number of
// replicas (1 if embedded). MaxAge is only on RESULTS: it deletes silently.
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
		return c
	}
	// To hint, a broker first looks up the previous message on the subject. For bags that would
	// copy a megabyte each time, and keep a block that is being written in memory for ten seconds.
	hinted := func(c jetstream.StreamConfig) jetstream.StreamConfig {
		all := c.Subjects[0][:strings.Index(c.Subjects[0], "*")] + ">"
		c.RePublish = &jetstream.RePublish{Source: all, Destination: storedPrefix + all, HeadersOnly: true}
		return c
	}
	switch account {
	case accountVault:
		envelopes := named(streamEnvelopes, "bag.*", sizes.Envelopes)
		envelopes.DenyDelete = true // only a purge below a sequence, never a single bag
		journal := named(streamJournal, "journal.*", sizes.Journal)
		journal.DenyDelete = true
		// a full journal may not stop payments: only what is newer than the last backup counts
		journal.Discard = jetstream.DiscardOld
		return []jetstream.StreamConfig{envelopes, journal}
	case accountRelay:
		results := hinted(named(streamResults, "res.*.*.*", sizes.Results))
		results.MaxMsgsPerSubject, results.MaxAge = 1, resultsAge
		notices := hinted(named(streamNotices, "notice.*", sizes.Notices))
		notices.MaxMsgsPerSubject = noticesKept
		notices.Discard = jetstream.DiscardOld // a new directory is worth more than an old one
		return []jetstream.StreamConfig{results, notices}
	default:
		return nil
	}
}
