package storefront

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"

	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
)

// Payment is a storefront's order. Account and Code are plaintext JSON of specification 3, nil if
// not needed; the caller should clear them after Seal.
type Payment struct {
	ID      string // a UUID of version 4 or 7, the idempotency key; "": a fresh one
	Order   envelope.Order
	Account []byte
	Code    []byte
	Expires time.Duration // how long the vault may begin to act on it; default and at most 6 days
}

// Sealed is a signed envelope, ready to post, and the names that its results use.
type Sealed struct {
	ID      string
	Digest  string // hex SHA-256 of the note's text
	Created time.Time
	Until   time.Time
	Note    []byte // post exactly these bytes, every time
}

// Seal encrypts a payment's parts to the vault's newest keys and signs the envelope. Sealing twice
// gives different bytes: keep what it returns, and post that.
func (c *Client) Seal(ctx context.Context, p Payment) (Sealed, error) {
	if p.ID == "" {
		id, err := uuid.NewRandom()
		if err != nil {
			return Sealed{}, err
		}
		p.ID = id.String()
	}
	if p.Expires <= 0 || p.Expires > envelope.MaxLife {
		p.Expires = envelope.MaxLife
	}
	if err := p.Order.CheckMembers(p.Account != nil, p.Code != nil); err != nil {
		return Sealed{}, fmt.Errorf("order: %w", err)
	}
	directory, err := c.Directory(ctx)
	if err != nil {
		return Sealed{}, err
	}
	now := c.now()
	s := sealing{client: c, directory: directory.Value, now: now, id: p.ID}
	e := envelope.Envelope{Merchant: c.Merchant(), ID: p.ID, Created: envelope.At(now), Until: envelope.At(now.Add(p.Expires))}
	plainOrder, err := envelope.EncodeOrder(p.Order)
	if err != nil {
		return Sealed{}, fmt.Errorf("order: %w", err)
	}
	order, err := s.part(envelope.PartOrder, plainOrder)
	if err != nil {
		return Sealed{}, err
	}
	e.Order = *order
	if e.Account, err = s.part(envelope.PartAccount, p.Account); err != nil {
		return Sealed{}, err
	}
	if e.Code, err = s.part(envelope.PartCode, p.Code); err != nil {
		return Sealed{}, err
	}
	signed, err := envelope.Sign(e, c.identity.signer)
	if err != nil {
		return Sealed{}, fmt.Errorf("sign: %w", err)
	}
	return Sealed{ID: p.ID, Digest: signed.Digest, Created: e.Created.Time, Until: e.Until.Time, Note: signed.Note}, nil
}

// Read reads an envelope that Seal made, and checks that it is one of this identity. It fails with
// [ErrOtherKey] for one of an earlier key.
func (c *Client) Read(envelopeNote []byte) (Sealed, error) {
	if _, err := c.own(envelopeNote); err != nil {
		return Sealed{}, err
	}
	return sealedFrom(envelopeNote)
}

// ErrOtherKey is returned for an envelope of the merchant that another key than the identity's
// signed: it was sealed before the storefront made new keys. While the vault knows that key, post
// it with the identity of then. Once `vault merchant update` has retired the key no copy is taken
// any more, for it never comes back. What was taken before goes on, so pay under a new id only when
// a result rejects the envelope, or none will come ([Outbox.Lapsed]).
var ErrOtherKey = errors.New("another key of this merchant signed it: while the vault knows that key, post it with the identity file of then; " + retiredNext)

// retiredNext is what to do about an envelope whose key was retired.
const retiredNext = "once `vault merchant update` has retired the key no copy is taken any more: read the results, and pay under a new id when they reject it, " +
	"or when `storefront results --explain ID` says lapsed"

// own opens an envelope of this identity.
func (c *Client) own(envelopeNote []byte) (envelope.Signed[envelope.Envelope], error) {
	read, err := envelope.Read[envelope.Envelope](envelopeNote)
	var signed envelope.Signed[envelope.Envelope]
	if err == nil {
		signed, err = read.Verify(c.identity.Verifier())
	}
	if err != nil && read.Value.Merchant == c.Merchant() && !slices.Contains(read.KeyIDs(), c.identity.Verifier().ID()) {
		err = ErrOtherKey
	}
	if err != nil {
		return signed, fmt.Errorf("not an envelope of this identity: %w", err)
	}
	return signed, nil
}

type sealing struct {
	client    *Client
	directory envelope.Directory
	now       time.Time
	id        string
}

// ErrNoKey is returned when the directory has no current key of the kind and suite.
var ErrNoKey = errors.New("the vault's directory has no current key: try the other suite, or ask the vault's operators")

func (s sealing) part(part envelope.PartName, plaintext []byte) (*envelope.Part, error) {
	if plaintext == nil {
		return nil, nil
	}
	kind := envelope.KindDay
	if part == envelope.PartCode {
		kind = envelope.KindCode
	}
	key, ok := s.directory.Newest(kind, s.client.suite, s.now)
	if !ok {
		return nil, fmt.Errorf("%s key, suite %s: %w", kind, s.client.suite, ErrNoKey)
	}
	sealed, err := seal.Seal(key.Name, key.Public, part, s.client.Merchant(), s.id, plaintext)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", part, err)
	}
	return &sealed, nil
}
