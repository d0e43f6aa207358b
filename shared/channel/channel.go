// Package channel is the one-way slot between the relay and the vault: four NATS JetStream streams,
// the subjects and allow-lists of the two sides, and a client for each side (specification 8). The
// broker that the relay embeds is package broker, so that the vault links no server.
//
// Two NATS accounts each own the streams that they read. Account VAULT owns ENVELOPES and JOURNAL,
// account RELAY owns RESULTS and NOTICES, and only the write subjects cross, as service export and
// import. An allow-list per key comes on top; alone it would be no boundary, because the broker
// checks no permission on reply subjects.
//
// An Ack of nil means that the message is on disk. Nothing here is an identity: sequences may be
// reused after a broker lost the tail of a stream, and a message may come twice.
package channel

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"
)

// MaxMessage is the most bytes of data in a message (specification 8). The broker's 1 MiB counts
// headers.
const MaxMessage = 1_000_000

// Errors of writing and reading.
var (
	// ErrFull is returned when the message was not stored because a size limit or the reserve of
	// free space on the broker's volume is reached. Try again when the vault has caught up or space
	// is free.
	ErrFull = errors.New("channel full")
	// ErrUnavailable is returned when the broker is not reachable; the message was not stored. The
	// client goes on reconnecting: try again later.
	ErrUnavailable = errors.New("channel unavailable")
	// ErrUnknown is returned when no clear answer came: the message may be stored, even later.
	ErrUnknown = errors.New("channel gave no answer: the message may be stored")
	// ErrTooLarge is returned for data above MaxMessage; nothing was sent.
	ErrTooLarge = errors.New("message over 1,000,000 bytes")
	// ErrSubject is returned for a name or id that cannot be part of a subject; nothing was sent.
	ErrSubject = errors.New("not usable in a subject")
	// ErrNotFound is returned for a message that was never stored, purged or lost.
	ErrNotFound = errors.New("no such message")
	// ErrRewound is returned by [Vault.Bags] when the stream does not hold what was read before, or
	// ends before the position asked for: the broker lost its tail or its store was replaced. Look
	// for a position that [Vault.BagAt] confirms and start again there, or from 1.
	ErrRewound = errors.New("the ENVELOPES stream was rewound or replaced")
)

// The streams, the accounts that own them, and those of the roles that own none.
const (
	accountVault   = "VAULT"
	accountRelay   = "RELAY"
	accountCourier = "COURIER"
	accountMonitor = "MONITOR"

	streamEnvelopes = "ENVELOPES"
	streamJournal   = "JOURNAL"
	streamResults   = "RESULTS"
	streamNotices   = "NOTICES"
)

func streamOwners() map[string]string {
	return map[string]string{streamEnvelopes: accountVault, streamJournal: accountVault, streamResults: accountRelay, streamNotices: accountRelay}
}

// Notice is a kind of note that the vault publishes: the last token of its subject.
type Notice string

// The notices of specification 8.
const (
	NoticeDirectory  Notice = "directory"
	NoticeMembers    Notice = "members"
	NoticePosition   Notice = "position"
	NoticeCheckpoint Notice = "checkpoint"
)

// notices is every kind, in the order in which a reader gets them.
func notices() [4]Notice {
	return [4]Notice{NoticeDirectory, NoticeMembers, NoticePosition, NoticeCheckpoint}
}

func (n Notice) valid() bool {
	for _, k := range notices() {
		if n == k {
			return true
		}
	}
	return false
}

// Ack carries one value: nil when the message is durable, or one of [ErrFull], [ErrUnavailable],
// [ErrUnknown], [ErrTooLarge] or [ErrSubject]. It is buffered: nobody has to receive.
type Ack <-chan error

// Message is one stored message. Data is the receiver's own.
type Message struct {
	Subject  string
	Sequence uint64    // place in the stream, from 1; a hint, never an identity
	Stored   time.Time // the broker's clock when it stored the message
	Data     []byte
}

// Options say how a client reaches an external broker, always by TLS 1.3, handshake first.
type Options struct {
	URL  string // tls://host:port, several with commas
	Seed string // file with the role's nkey seed, mode 0600
	CA   string // PEM file of the authorities that may vouch for the broker; "" = the system's
	Cert string // PEM file with the client certificate; "" = none
	Key  string // PEM file with its key
	Name string // shown in the broker's connection list; "" = the role
	// AckTimeout is how long a publish waits for its ack before it is ErrUnknown; 0 = 10 s.
	AckTimeout time.Duration
	Logger     *slog.Logger // nil = none
}

func (o Options) logger() *slog.Logger {
	if o.Logger == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Logger
}

// token reports whether s may be one token of a subject: 1 to 64 of a-z, 0-9 and '-'. It keeps out
// wildcards and dots; names and ids are checked elsewhere.
func token(s string) bool {
	if len(s) == 0 || len(s) > 64 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

func bagSubject(relay string) (string, error) {
	if !token(relay) {
		return "", fmt.Errorf("relay name %q: %w", relay, ErrSubject)
	}
	return "bag." + relay, nil
}

func resultSubject(merchant string, serial uint64, id string) (string, error) {
	if !token(merchant) || !token(id) || serial == 0 {
		return "", fmt.Errorf("result %d of merchant %q, id %q: %w", serial, merchant, id, ErrSubject)
	}
	return "res." + merchant + "." + strconv.FormatUint(serial, 10) + "." + id, nil
}

func noticeSubject(n Notice) (string, error) {
	if !n.valid() {
		return "", fmt.Errorf("notice %q: %w", string(n), ErrSubject)
	}
	return "notice." + string(n), nil
}

func serialOf(subject string) (uint64, bool) {
	tokens := strings.Split(subject, ".")
	if len(tokens) != 4 || tokens[0] != "res" {
		return 0, false
	}
	serial, err := strconv.ParseUint(tokens[2], 10, 64)
	return serial, err == nil && serial > 0
}
