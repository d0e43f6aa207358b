package storefront

import (
	"context"
	"errors"
	"fmt"
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

// Read reads an envelope that Seal made, and checks that it is one of this identity.
func (c *Client) Read(envelopeNote []byte) (Sealed, error) {
	if _, err := envelope.Open[envelope.Envelope](envelopeNote, c.identity.Verifier()); err != nil {
		return Sealed{}, fmt.Errorf("not an envelope of this identity: %w", err)
	}
	return sealedFrom(envelopeNote)
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
