package channel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nkeys"
)

// vaultInFlight bounds the results and journal entries under way.
const vaultInFlight = 1024

// Vault is the vault's side of the channel: it reads bags and writes results, notices and journal
// entries. It only dials out. Safe for concurrent use; it goes on reconnecting until Close, calls
// meanwhile return [ErrUnavailable].
type Vault struct {
	writes *link
	// its own link: the broker answers a read before it looks at what the connection sends next
	reads     *link
	publisher *publisher
	acked     acked
}

// DialVault connects to the broker, embedded in a relay or external, with the vault's key. It fails
// only on wrong files; an unreachable broker is tried again.
func DialVault(_ context.Context, options Options) (*Vault, error) {
	v := &Vault{}
	if err := v.connect(options); err != nil {
		v.Close()
		return nil, err
	}
	return v, nil
}

func (v *Vault) connect(options Options) (err error) {
	key := func() (nkeys.KeyPair, error) { return readSeed(options.Seed) }
	if v.writes, err = dialWith(key, "vault", options, nil); err != nil {
		return err
	}
	if v.reads, err = dialWith(key, "vault", options, nil); err != nil {
		return err
	}
	v.publisher, err = newPublisher(v.writes, options.AckTimeout, vaultInFlight, v.acked.note)
	return err
}

// Connected reports whether the broker is reached right now.
func (v *Vault) Connected() bool { return v.writes.up() == nil && v.reads.up() == nil }

// Close ends all in flight as [ErrUnknown] and closes the connections.
func (v *Vault) Close() {
	if v.publisher != nil {
		v.publisher.close()
	}
	for _, l := range []*link{v.writes, v.reads} {
		if l != nil {
			l.close()
		}
	}
}

// PublishResult sends a merchant's result note. Sent again, it replaces the one before. Many may be
// in flight; it blocks while 1,024 are, never longer than the ack timeout. note must not change
// until the ack.
func (v *Vault) PublishResult(merchant string, serial uint64, id string, note []byte) Ack {
	subject, err := resultSubject(merchant, serial, id)
	if err != nil {
		return finished(err)
	}
	return v.publisher.publish(streamResults, subject, "", note)
}

// PublishNotice sends a note and waits until it is durable. If ctx ends first, it may be stored.
func (v *Vault) PublishNotice(ctx context.Context, kind Notice, note []byte) error {
	subject, err := noticeSubject(kind)
	if err != nil {
		return err
	}
	select {
	case err := <-v.publisher.publish(streamNotices, subject, "", note):
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrUnknown, ctx.Err())
	}
}

// PublishJournal sends sealed log entries of a generation, as [Vault.PublishResult] does; the order
// of calls is the order of the stream. msgID prevents a second copy within two minutes.
func (v *Vault) PublishJournal(generation uint64, msgID string, entries []byte) Ack {
	return v.publisher.publish(streamJournal, journalSubject(generation), msgID, entries)
}

func journalSubject(generation uint64) string { return "journal." + strconv.FormatUint(generation, 10) }

// PurgeBags destroys all bags with a sequence below below; 0 and 1 destroy nothing. The caller must
// keep specification 8: all at or below the signed position, and stored over 7 days ago.
func (v *Vault) PurgeBags(ctx context.Context, below uint64) error {
	if below <= 1 {
		return nil // to the broker, 0 would mean all
	}
	_, err := v.purge(ctx, purgeSubject(streamEnvelopes), purgeRequest{Sequence: below})
	return err
}

// BagAt returns the bag at a sequence, as the stream's leader has it, to check that a remembered
// position still names the same bag; or [ErrNotFound].
func (v *Vault) BagAt(ctx context.Context, sequence uint64) (Message, error) {
	if sequence == 0 {
		return Message{}, fmt.Errorf("bag 0: %w", ErrNotFound)
	}
	m, err := v.stored(ctx, streamEnvelopes, getRequest{Sequence: sequence})
	if errors.Is(err, ErrNotFound) {
		return Message{}, fmt.Errorf("bag %d: %w", sequence, ErrNotFound)
	}
	return m, err
}

// NewestJournal returns the message published last to a generation's journal, as the stream's
// leader has it; or [ErrNotFound].
func (v *Vault) NewestJournal(ctx context.Context, generation uint64) (Message, error) {
	return v.stored(ctx, streamJournal, getRequest{Last: journalSubject(generation)})
}

// JournalFrom returns the first message of a generation's journal at or behind a sequence, from 1,
// as the stream's leader has it; [ErrNotFound] if none, [ErrUnavailable] if the broker answers with
// an earlier one.
func (v *Vault) JournalFrom(ctx context.Context, generation, sequence uint64) (Message, error) {
	m, err := v.stored(ctx, streamJournal, getRequest{Sequence: sequence, Next: journalSubject(generation)})
	if err == nil && m.Sequence < sequence {
		return Message{}, fmt.Errorf("%w: the broker gave message %d of the journal for %d", ErrUnavailable, m.Sequence, sequence)
	}
	return m, err
}

// stored asks a stream's leader for one message.
func (v *Vault) stored(ctx context.Context, stream string, which getRequest) (Message, error) {
	var answer struct {
		Message struct {
			Subject  string    `json:"subject"`
			Sequence uint64    `json:"seq"`
			Data     []byte    `json:"data"`
			Time     time.Time `json:"time"`
		} `json:"message"`
	}
	if err := v.reads.call(ctx, getSubject(stream), which, &answer); err != nil {
		return Message{}, err
	}
	m := answer.Message
	return Message{Subject: m.Subject, Sequence: m.Sequence, Stored: m.Time, Data: m.Data}, nil
}
