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

// bodyTimeout is how long a body may take to come in; then the connection is closed.
const bodyTimeout = 10 * time.Second

// post takes an envelope. The checks are in the order of specification 6.
//
// The order puts rate limits first, and so does the one per address. Slots are taken only when the
// body is in, or whoever sends slowly could hold them. What counts for a merchant (rate, slots,
// share of the channel) can only count once the signature has proved who posts, or anybody could
// spend another's by naming it: it stands right after that proof, between 401 and 403.
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
	release, ok := e.posting.take(siteOf(addressOf(r)))
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
// clear. What the connection's buffers hold is beyond reach, and goes with the connection, which
// every refusal closes.
func forget(body []byte, posted envelope.Envelope) {
	clear(body)
	for _, part := range posted.Parts {
		clear(part.Sealed)
	}
}

// checkHeaders refuses a body before it is read.
func checkHeaders(r *http.Request) error {
	// ContentLength is 0 also where the header is missing, and a Transfer-Encoding takes a
	// Content-Length away.
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

// firstRead is how much room a body gets before any of it is there. Most fit.
const firstRead = 8 << 10

// readBody reads the whole body, which must come within bodyTimeout. Room grows with what has come,
// for who holds no slot yet may promise much. The bytes are the envelope's own: its bag keeps them
// until it is durable.
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
	// With the deadline left in place the server would take a slow ack for a caller that has gone.
	if err := connection.SetReadDeadline(time.Time{}); err != nil {
		return nil, fmt.Errorf("clear the deadline of a body: %w", err)
	}
	return body, nil
}

// verify checks form and signature. What it returns with an error is as it was posted.
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

// admit checks what counts for the merchant that has proved who it is, and takes one of its slots
// until leave is called.
func (e *Edge) admit(signed envelope.Signed[envelope.Envelope], member envelope.Member) (leave func(), err error) {
	if wait, ok := e.posts.spend(member.ID); !ok {
		return nil, rateLimited.after(wait)
	}
	leave, ok := e.merchants.take(member.ID)
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

// parcel is what the bagger takes.
func parcel(signed envelope.Signed[envelope.Envelope]) bagger.Envelope {
	return bagger.Envelope{Merchant: signed.Value.Merchant, Digest: signed.Digest, Note: signed.Note}
}

// checkParts checks times and, as far as a relay can see, that every part is sealed to a key in
// force.
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

// accept waits until the envelope is durable and answers with the receipt: that of the bag which
// holds it already, where it was posted a moment ago. Whatever fails here, but for a share that
// others of the merchant took meanwhile, leaves the outcome unknown, so it is a 503: the same bytes
// may be posted again.
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
