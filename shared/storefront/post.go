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

// The pause between posts doubles from the first to the last, with jitter, unless the relay sets
// it.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
)

// Post sends an envelope's bytes until a relay answers with a receipt that verifies, or refuses it
// for good ([*Refused] with a 4xx), or ctx ends. It is always safe to call again with the same
// bytes, also after a crash: the vault accepts an envelope once. After an error that is neither
// [*Refused] nor [ErrNotSent] the envelope may have been accepted. One that an earlier key signed
// is not posted ([ErrOtherKey]).
func (c *Client) Post(ctx context.Context, envelopeNote []byte) (envelope.Receipt, error) {
	receipt, err := c.PostSigned(ctx, envelopeNote)
	return receipt.Value, err
}

// PostSigned is [Client.Post], returning the signed receipt: keep it ([Outbox.KeepReceipt]) as
// evidence in case the envelope is lost.
func (c *Client) PostSigned(ctx context.Context, envelopeNote []byte) (envelope.Signed[envelope.Receipt], error) {
	sent, err := c.own(envelopeNote)
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, fmt.Errorf("post: %w", err)
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

// ErrNotSent is returned when no byte of the envelope was sent, or each post was refused: nothing
// changed.
var ErrNotSent = errors.New("nothing was accepted")

// outcome returns the error if no receipt came. unknown: a relay may have the envelope.
func outcome(unknown bool, refused *Refused) error {
	switch {
	case unknown:
		return errors.New("outcome unknown, post the same bytes again")
	case refused != nil:
		return fmt.Errorf("%w: the relay refused each copy for now; post it again later", ErrNotSent)
	}
	return fmt.Errorf("%w: the relay was not reached and nothing was sent; post it again when it is, which is always safe", ErrNotSent)
}

// postOnce posts once. reached: a connection stood, so the relay may have the envelope.
func (c *Client) postOnce(ctx context.Context, sent envelope.Signed[envelope.Envelope], reached *bool) (envelope.Signed[envelope.Receipt], error) {
	// The directory comes first, so that no answer about it is mistaken for one about the envelope.
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
		// the key may be newer than the directory
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
