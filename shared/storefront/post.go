package storefront

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// The pause between posts of the same bytes doubles from the first to the last, with jitter, unless the relay says how long.
const (
	firstPause = 200 * time.Millisecond
	lastPause  = 30 * time.Second
)

// Post sends an envelope's bytes until a relay answers with a receipt that verifies, or refuses it for good (*Refused with a 4xx), or
// ctx ends. It is always safe to call again with the same bytes, also after a crash: the relay remembers nothing and the vault takes
// an envelope once. When it returns an error that is not *Refused, the envelope may have been taken.
func (c *Client) Post(ctx context.Context, envelopeNote []byte) (envelope.Receipt, error) {
	receipt, err := c.PostSigned(ctx, envelopeNote)
	return receipt.Value, err
}

// PostSigned is Post, with the receipt as the relay signed it: keep it (Outbox.KeepReceipt), for it is the evidence where an envelope is lost.
func (c *Client) PostSigned(ctx context.Context, envelopeNote []byte) (envelope.Signed[envelope.Receipt], error) {
	sent, err := envelope.Open[envelope.Envelope](envelopeNote, c.identity.Verifier())
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, fmt.Errorf("post: not an envelope of this identity: %w", err)
	}
	pause := firstPause
	for {
		receipt, err := c.postOnce(ctx, sent)
		var refused *Refused
		switch {
		case err == nil:
			return receipt, nil
		case errors.As(err, &refused) && !refused.Temporary(), errors.Is(err, ErrUnverified):
			return envelope.Signed[envelope.Receipt]{}, err
		}
		wait := pause/2 + rand.N(pause) //nolint:gosec // jitter needs no secrecy
		if refused != nil && refused.RetryAfter > wait {
			wait = refused.RetryAfter
		}
		select {
		case <-ctx.Done():
			return envelope.Signed[envelope.Receipt]{}, fmt.Errorf("post %s: outcome unknown, post the same bytes again: %w", sent.Value.ID, errors.Join(ctx.Err(), err))
		case <-time.After(wait):
		}
		pause = min(2*pause, lastPause)
	}
}

func (c *Client) postOnce(ctx context.Context, sent envelope.Signed[envelope.Envelope]) (envelope.Signed[envelope.Receipt], error) {
	// Whose receipts count is asked first, so that no answer about the directory is taken for one about the envelope.
	directory, err := c.Directory(ctx)
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.relay+"/v1/envelopes", bytes.NewReader(sent.Note))
	if err != nil {
		return envelope.Signed[envelope.Receipt]{}, err
	}
	request.Header.Set("Content-Type", envelope.MediaType)
	posted := c.now()
	body, err := c.do(request, http.StatusAccepted, note.MaxBytes)
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
