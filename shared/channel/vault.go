package channel

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nkeys"
)

// vaultInFlight bounds the results and journal entries on the way.
const vaultInFlight = 1024

// Vault is the vault's side of the channel. It reads bags, and writes results, notices and journal
// entries. It only dials out. It is safe for concurrent use, and goes on reconnecting until Close;
// calls meanwhile are ErrUnavailable.
type Vault struct {
	writes *link
	// of its own: the broker answers a read before it looks at what the connection sends next
	reads     *link
	publisher *publisher
	acked     acked
}

// DialVault reaches the broker, embedded in a relay or external, with the vault's key. It fails on
// wrong files only; a broker that is not there yet is tried until it is.
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

// Close ends all that is in flight as ErrUnknown and leaves the broker.
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

// PublishResult sends a merchant's result note. The same result may be sent again at any time: it
// takes the place of the one before. Many may be in flight; it blocks while 1,024 are, never longer
// than the ack timeout. note must not be changed until the ack is there.
func (v *Vault) PublishResult(merchant string, serial uint64, id string, note []byte) Ack {
	subject, err := resultSubject(merchant, serial, id)
	if err != nil {
		return settled(err)
	}
	return v.publisher.publish(streamResults, subject, "", note)
}

// PublishNotice sends a note of a kind and waits until it is durable. When ctx ends first, the note
// may be stored.
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

// PublishJournal sends sealed log entries of a generation. Many may be in flight, as with
// PublishResult; the order of calls is the order of the stream. msgID keeps a repetition within two
// minutes from being stored twice.
func (v *Vault) PublishJournal(generation uint64, msgID string, entries []byte) Ack {
	return v.publisher.publish(streamJournal, journalSubject(generation), msgID, entries)
}

func journalSubject(generation uint64) string { return "journal." + strconv.FormatUint(generation, 10) }

// PurgeBags destroys all bags with a sequence less than below; 0 and 1 destroy nothing. The caller
// answers for the rule of specification 8: all of them at or below the signed position, and stored
// over 7 days ago.
func (v *Vault) PurgeBags(ctx context.Context, below uint64) error {
	if below <= 1 {
		return nil // to the broker, 0 would mean all
	}
	_, err := v.purge(ctx, purgeSubject(streamEnvelopes), purgeRequest{Sequence: below})
	return err
}

// BagAt returns the bag at a sequence, as the stream's leader has it: to check that a remembered
// place still names the same bag. It is ErrNotFound where there is none.
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

// NewestJournal returns the message that was published last to a generation's journal, as the
// stream's leader has it. It is ErrNotFound where there is none.
func (v *Vault) NewestJournal(ctx context.Context, generation uint64) (Message, error) {
	return v.stored(ctx, streamJournal, getRequest{Last: journalSubject(generation)})
}

// JournalFrom returns the first message of a generation's journal at a sequence, from 1, or behind
// it, as the stream's leader has it. It is ErrNotFound where there is none, and ErrUnavailable
// where the broker answers with an earlier one.
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
