package channel

import (
	"context"
	"fmt"
	"time"
)

// Room is how full a stream is. Of RESULTS it is a hint.
type Room struct {
	// what the stream holds, with the broker's own bytes for each message
	Bytes    int64  `json:"bytes"`
	MaxBytes int64  `json:"maxBytes"` // what it may hold
	Messages uint64 `json:"messages"`
	// sequence of the oldest message; one more than the last if there is none
	First uint64 `json:"first"`
	Last  uint64 `json:"last"` // sequence of the message that was stored last, 0 before the first

	Created time.Time `json:"created"` // when the stream was made
	Oldest  time.Time `json:"oldest"`  // when the oldest message was stored, by the broker's clock
}

// Full reports whether the stream is at least percent full. An unbounded stream is never full.
func (r Room) Full(percent int64) bool { return r.MaxBytes > 0 && r.Bytes/percent >= r.MaxBytes/100 }

// EnvelopesRoom returns how full ENVELOPES is.
func (v *Vault) EnvelopesRoom(ctx context.Context) (Room, error) {
	return v.room(ctx, infoSubject(streamEnvelopes))
}

// JournalRoom returns how full JOURNAL is, all generations. When it is full the oldest messages go.
func (v *Vault) JournalRoom(ctx context.Context) (Room, error) {
	return v.room(ctx, infoSubject(streamJournal))
}

// ResultsRoom returns how full RESULTS is, as the broker says. It is [ErrUnavailable] also if the
// broker's configuration is older than the export of this state.
func (v *Vault) ResultsRoom(ctx context.Context) (Room, error) {
	return v.room(ctx, stateSubject(streamResults))
}

func (v *Vault) room(ctx context.Context, subject string) (Room, error) {
	var info streamInfo
	if err := v.reads.call(ctx, subject, struct{}{}, &info); err != nil {
		return Room{}, err
	}
	return Room{Bytes: int64(info.State.Bytes), MaxBytes: info.Config.MaxBytes, Messages: info.State.Messages, First: info.State.First,
		Last: info.State.Last, Created: info.Created, Oldest: info.State.FirstTime}, nil
}

// PurgeResults destroys a merchant's results except the keep (1 or more) published last, and
// returns how many the broker says it destroyed.
func (v *Vault) PurgeResults(ctx context.Context, merchant string, keep uint64) (uint64, error) {
	if !token(merchant) || keep == 0 { // to the broker, 0 would mean none
		return 0, fmt.Errorf("purge the results of merchant %q but for %d: %w", merchant, keep, ErrSubject)
	}
	return v.purge(ctx, purgeResultsSubject(), purgeRequest{Filter: "res." + merchant + ".*.*", Keep: keep})
}

// purgeRequest is a JetStream purge: below a sequence, or of subjects except the newest.
type purgeRequest struct {
	Sequence uint64 `json:"seq,omitempty"`
	Filter   string `json:"filter,omitempty"`
	Keep     uint64 `json:"keep,omitempty"`
}

func (v *Vault) purge(ctx context.Context, subject string, request purgeRequest) (uint64, error) {
	var done struct {
		Success bool   `json:"success"`
		Purged  uint64 `json:"purged"`
	}
	if err := v.writes.call(ctx, subject, request, &done); err != nil {
		return 0, err
	}
	if !done.Success {
		return 0, fmt.Errorf("%w: %s: the broker did not purge", ErrUnknown, subject)
	}
	return done.Purged, nil
}
