package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"nightdrop/relay/internal/bagger"
	"nightdrop/shared/envelope"
)

// bodyTimeout is how long a body may take to arrive; then the connection is closed.
const bodyTimeout = 10 * time.Second

// post accepts an envelope. The checks are in the order of specification 6: rate limits first, that
// of the address included. Slots are acquired only when the body is in, or a slow sender could hold
// them. What counts for a merchant (rate, slots, share of the channel) is checked right after the
// signature has verified, between 401 and 403, or anybody could use up another merchant's by naming
// it.
func (e *Edge) post(w http.ResponseWriter, r *http.Request) error {
	directory := e.config.Board.Directory()
	if directory == nil || !e.config.Board.HasMembers() {
		return noDirectory
	}
	if !e.config.Board.Listed() {
		return notListed
	}
	if err := errors.Join(e.config.Channel.Ready(), e.config.Bags.Trouble()); err != nil {
		return refusalOf(err)
	}
	if err := checkHeaders(r); err != nil {
		return err
	}
	body, err := readBody(w, r)
	if err != nil {
		return err
	}
	release, ok := e.posting.acquire(siteOf(addressOf(r)))
	if !ok {
		clear(body)
		return rateLimited
	}
	defer release()
	signed, member, err := e.verify(body)
	if err == nil {
		var leave func()
		if leave, err = e.admit(signed, member); err == nil {
			defer leave()
			err = checkParts(signed.Value, directory.Value, e.config.Now())
		}
	}
	if err != nil {
		forget(body, signed.Value)
		return err
	}
	return e.accept(w, r, signed)
}

// forget overwrites what was posted and refused: a shop that forgot to seal posts account data in
// clear. What the connection's buffers hold goes with the connection, which every refusal closes.
func forget(body []byte, posted envelope.Envelope) {
	clear(body)
	for _, part := range posted.Parts {
		clear(part.Sealed)
	}
}

func checkHeaders(r *http.Request) error {
	// ContentLength is also 0 if the header is missing, and Transfer-Encoding overrides it.
	if len(r.TransferEncoding) > 0 || r.ContentLength < 0 || r.Header.Get("Content-Length") == "" {
		return lengthRequired
	}
	types := r.Header["Content-Type"]
	if len(types) != 1 || !strings.EqualFold(types[0], envelope.MediaType) || len(r.Header["Content-Encoding"]) > 0 {
		return mediaType
	}
	if r.ContentLength > envelope.MaxEnvelopeBytes {
		return tooLarge
	}
	return nil
}

// firstRead is the buffer that a body gets at first. Most fit.
const firstRead = 8 << 10

// readBody reads the whole body within bodyTimeout. Its buffer grows with what has arrived, for a
// sender without a slot may announce much. The bag keeps these bytes until it is durable.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	connection := http.NewResponseController(w)
	if err := connection.SetReadDeadline(time.Now().Add(bodyTimeout)); err != nil {
		return nil, fmt.Errorf("set the deadline of a body: %w", err)
	}
	body := make([]byte, min(r.ContentLength, firstRead))
	for read := 0; ; {
		n, err := io.ReadFull(r.Body, body[read:])
		if err != nil {
			clear(body)
			return nil, fmt.Errorf("read a body: %w", err)
		}
		if read += n; int64(read) == r.ContentLength {
			break
		}
		grown := make([]byte, min(r.ContentLength, 2*int64(read)))
		copy(grown, body)
		clear(body)
		body = grown
	}
	// With the deadline left set, the server would mistake a slow ack for a caller that has gone.
	if err := connection.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("clear the deadline of a body: %w", err)
	}
	return body, nil
}

// verify checks form and signature. With an error it returns the envelope as posted.
func (e *Edge) verify(body []byte) (posted envelope.Signed[envelope.Envelope], member envelope.Member, err error) {
	unverified, err := envelope.Read[envelope.Envelope](body)
	if err != nil {
		return posted, member, malformedNote
	}
	posted.Value = unverified.Value
	member, found, known := e.config.Board.Member(unverified.Value.Merchant)
	if !known {
		return posted, member, noDirectory
	}
	signed, err := unverified.Verify(member.Verifiers...)
	if !found || err != nil {
		return posted, member, unknownSigner
	}
	return signed, member, nil
}

// admit checks what counts for the verified merchant, and acquires one of its slots until leave is
// called.
func (e *Edge) admit(signed envelope.Signed[envelope.Envelope], member envelope.Member) (leave func(), err error) {
	if wait, ok := e.posts.spend(member.ID); !ok {
		return nil, rateLimited.after(wait)
	}
	leave, ok := e.merchants.acquire(member.ID)
	if !ok {
		return nil, rateLimited
	}
	switch {
	case e.config.Bags.Room(parcel(signed)) != nil:
		err = overShare
	case member.Status != envelope.MemberActive:
		err = merchantSuspended
	default:
		return leave, nil
	}
	leave()
	return nil, err
}

func parcel(signed envelope.Signed[envelope.Envelope]) bagger.Envelope {
	return bagger.Envelope{Merchant: signed.Value.Merchant, Digest: signed.Digest, Note: signed.Note}
}

// checkParts checks times and, as far as a relay can, that each part is sealed to a key in force.
func checkParts(posted envelope.Envelope, directory envelope.Directory, now time.Time) error {
	switch err := posted.CheckTimes(now); {
	case errors.Is(err, envelope.ErrLate):
		return late
	case err != nil:
		return clockOff
	}
	for name, part := range posted.Parts {
		if _, err := directory.Accepts(part.Key, name, now); err != nil {
			return unknownKey
		}
	}
	for name, part := range posted.Parts {
		if part.CheckForm(name) != nil {
			return notSealed
		}
	}
	return nil
}

// accept waits until the envelope is durable and answers with its receipt, or with the earlier one
// if it was posted a moment ago. Any failure except [bagger.ErrShare] leaves the outcome unknown,
// so it is a 503: the same bytes may be posted again.
func (e *Edge) accept(w http.ResponseWriter, r *http.Request, signed envelope.Signed[envelope.Envelope]) error {
	ctx, cancel := context.WithTimeout(r.Context(), e.config.Limits.AckWait)
	defer cancel()
	place, err := e.config.Bags.Submit(ctx, parcel(signed))
	if err != nil {
		return refusalOf(err)
	}
	receipt, err := envelope.SignNote(envelope.Receipt{
		Merchant: signed.Value.Merchant, ID: signed.Value.ID, Digest: signed.Digest, Relay: e.config.Signer.Name(),
		Run: place.Run, Number: place.Number, Index: place.Index, Received: envelope.At(place.Received),
	}, e.config.Signer)
	if err != nil {
		e.config.Logger.Error("a receipt could not be signed", "error", err)
		return channelUnavailable
	}
	w.Header().Set("Content-Type", envelope.ReceiptMediaType)
	w.WriteHeader(http.StatusAccepted)
	_, err = w.Write(receipt)
	return err
}
