package channel

import (
	"context"
	"fmt"
)

// StreamState is how full a stream is.
type StreamState struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
	Limit int64  `json:"limit"` // bytes that it may hold
	Rolls bool   `json:"rolls"` // what is oldest goes when it is full: full is regular
}

// nearlyFull, in quarters, is worth a warning; from there on the vault purges committed bags.
const nearlyFull = 3

// Nearly reports whether a stream that should not be full is so at three quarters or more.
func (s StreamState) Nearly() bool { return !s.Rolls && s.Bytes >= s.Limit/4*nearlyFull }

// full reports whether such a stream might refuse the next message, of most bytes.
func (s StreamState) full(most int64) bool { return !s.Rolls && s.Bytes+most > s.Limit }

// maxResult bounds a stored result: a note of at most 64 KiB (specification 1), subject and
// headers.
const maxResult = 70_000

// EnvelopesCrowded reports whether ENVELOPES is seven eighths full: from three quarters on the
// vault purges what it has committed, so something keeps it from that, or it is not running.
func EnvelopesCrowded(streams []StreamState) bool {
	for _, s := range streams {
		if s.Name == streamEnvelopes {
			return s.Bytes >= s.Limit/8*7
		}
	}
	return false
}

// ResultsFull returns [ErrFull] if RESULTS might refuse the vault's next result: posts are still
// accepted, and their answers wait in the vault.
func ResultsFull(streams []StreamState) error {
	for _, s := range streams {
		if s.Name == streamResults && s.full(maxResult) {
			return fmt.Errorf("%w: RESULTS holds %d of %d bytes: the vault's answers wait; let the vault purge merchants' oldest results, or enlarge it",
				ErrFull, s.Bytes, s.Limit)
		}
	}
	return nil
}

func (l *link) state(ctx context.Context, streams ...string) ([]StreamState, error) {
	var all []StreamState
	for _, name := range streams {
		info, err := l.info(ctx, name)
		if err != nil {
			return nil, err
		}
		all = append(all, StreamState{Name: name, Bytes: int64(info.State.Bytes), Limit: info.Config.MaxBytes,
			Rolls: name == streamJournal || name == streamNotices})
	}
	return all, nil
}

// Streams returns how full the streams are, or [ErrUnavailable] if one does not answer.
func (k *Keepers) Streams(ctx context.Context) ([]StreamState, error) {
	vault, err := k.vault.state(ctx, streamEnvelopes, streamJournal)
	if err != nil {
		return nil, err
	}
	relay, err := k.relay.state(ctx, streamResults, streamNotices)
	return append(vault, relay...), err
}

// EnvelopesFull returns [ErrFull] if ENVELOPES might refuse the next bag.
func EnvelopesFull(streams []StreamState) error {
	for _, s := range streams {
		if s.Name == streamEnvelopes && s.full(maxStored) {
			return fmt.Errorf("%w: ENVELOPES holds %d of %d bytes: the vault must catch up, or enlarge it", ErrFull, s.Bytes, s.Limit)
		}
	}
	return nil
}
