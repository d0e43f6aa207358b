package storefront

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// The pause between posts of the same bytes doubles from the first to the last, with jitter, unless
// the relay says how long.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
)

// Post sends an envelope's bytes until a relay answers with a receipt that verifies, or refuses it
// for good (*Refused with a 4xx), or ctx ends. It is always safe to call again with the same bytes,
// also after a crash: the relay remembers nothing and the vault takes an envelope once. When it
// returns an error that is neither *Refused nor ErrNotSent, the envelope may have been taken.
func (c *Client) Post(ctx context.Context, envelopeNote []byte) (envelope.Receipt, error) {
	receipt, err := c.PostSigned(ctx, envelopeNote)
	return receipt.Value, err
}

// PostSigned is Post, with the receipt as the relay signed it: keep it (Outbox.KeepReceipt), for it
// is the evidence where an envelope is lost.
func (c *Client) PostSigned(ctx context.Context, envelopeNote []byte) (envelope.Signed[envelope.Receipt], error) {
	sent, err := envelope.Open[envelope.Envelope](envelopeNote, c.identity.Verifier())
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, fmt.Errorf("post: not an envelope of this identity: %w", err)
	}
	pause, unknown := firstPause, false
	for {
		reached := false
		receipt, err := c.postOnce(ctx, sent, &reached)
		var refused *Refused
		switch {
		case err == nil:
			return receipt, nil
		case errors.As(err, &refused) && !refused.Temporary(), errors.Is(err, ErrUnverified):
			return envelope.Signed[envelope.Receipt]{}, err
		}
		unknown = unknown || reached && (refused == nil || refused.Status >= http.StatusInternalServerError)
		wait := pause/2 + rand.N(pause) //nolint:gosec // jitter needs no secrecy
		if refused != nil && refused.RetryAfter > wait {
			wait = refused.RetryAfter
		}
		select {
		case <-ctx.Done():
			return envelope.Signed[envelope.Receipt]{}, fmt.Errorf("post %s: %w: %w", sent.Value.ID, outcome(unknown, refused), errors.Join(ctx.Err(), err))
		case <-time.After(wait):
		}
		pause = min(2*pause, lastPause)
	}
}

// ErrNotSent is returned when no byte of the envelope left for a relay, or each that did was
// refused: this call has changed nothing.
var ErrNotSent = errors.New("nothing was taken")

// outcome says what is known where no receipt came. unknown is set where a relay may have the
// envelope.
func outcome(unknown bool, refused *Refused) error {
	switch {
	case unknown:
		return errors.New("outcome unknown, post the same bytes again")
	case refused != nil:
		return fmt.Errorf("%w: the relay refused each copy for now; post it again later", ErrNotSent)
	}
	return fmt.Errorf("%w: the relay was not reached and nothing was sent; post it again when it is, which is always safe", ErrNotSent)
}

// postOnce posts once. reached is set where a connection to the relay stood: from then on it may
// have the envelope.
func (c *Client) postOnce(ctx context.Context, sent envelope.Signed[envelope.Envelope], reached *bool) (envelope.Signed[envelope.Receipt], error) {
	// Whose receipts count is asked first, so that no answer about the directory is taken for one
	// about the envelope.
	directory, err := c.Directory(ctx)
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, err
	}
	var stood atomic.Bool // the transport may go on trying after the call has ended
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { stood.Store(true) }})
	request, err := http.NewRequestWithContext(traced, http.MethodPost, c.relay+"/v1/envelopes", bytes.NewReader(sent.Note))
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, err
	}
	request.Header.Set("Content-Type", envelope.MediaType)
	posted := c.now()
	body, err := c.do(request, http.StatusAccepted, note.MaxBytes)
	*reached = stood.Load()
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, err
	}
	receipt, err := envelope.Open[envelope.Receipt](body, directory.Value.Relays...)
	if errors.Is(err, note.ErrUnverified) {
		// It may be a relay's that is newer than the directory.
		if directory, fetchErr := c.directoryAfter(ctx, posted); fetchErr == nil {
			receipt, err = envelope.Open[envelope.Receipt](body, directory.Value.Relays...)
		}
	}
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, fmt.Errorf("receipt: %w: %w", ErrUnverified, err)
	}
	r := receipt.Value
	if r.Merchant != sent.Value.Merchant || r.ID != sent.Value.ID || r.Digest != sent.Digest {
		return envelope.Signed[envelope.Receipt]{}, fmt.Errorf("receipt of another envelope: %w", ErrUnverified)
	}
	return receipt, nil
}
