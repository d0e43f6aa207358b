package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
)

// answer is who makes a bad envelope, where it is refused and with which code (specification 6 and
// 7).
type answer struct {
	byHand  bool // no honest storefront makes it
	byRelay bool
	code    string
}

// answers is what each kind of bad envelope must get.
var answers = map[string]answer{
	"plaintext":         {true, true, "not-sealed"},
	"foreign-signature": {true, true, "unknown-signer"},
	"late":              {true, true, "late"},
	"unknown-key":       {true, true, "unknown-key"},
	"oversize":          {true, true, "too-large"},
	"luhn":              {true, false, "luhn"},
	"expired-card":      {true, false, "expired-card"},
	"bad-account":       {true, false, "bad-account"},
	"amount":            {true, false, "amount"},
	"reference":         {true, false, "reference"},
	"moved-part":        {true, false, "cannot-open"},
	"id-conflict":       {true, false, "id-conflict"},
	"not-permitted":     {false, false, "not-permitted"},
	"blocked-account":   {false, false, "blocked-account"},
	"unknown-token":     {false, false, "unknown-token"},
	"wrong-state":       {false, false, "wrong-state"},
	"over-authorised":   {false, false, "over-authorised"},
	"over-captured":     {false, false, "over-captured"},
}

// culprit seals and posts what no honest storefront would.
type culprit struct {
	relay     string
	http      *http.Client
	signer    *note.Signer
	directory envelope.Directory
	takenID   string // an id under which this merchant has posted something else
}

// badEnvelope is a posted bad envelope.
type badEnvelope struct {
	defect, merchant, id, digest string
	refused                      string // the relay's code; "" when it gave a receipt
}

// post makes and posts one.
func (c *culprit) post(ctx context.Context, o order) (badEnvelope, error) {
	msg, id, err := c.make(o)
	if err != nil {
		return badEnvelope{}, fmt.Errorf("make a bad envelope (%s): %w", o.defect, err)
	}
	bad := badEnvelope{defect: o.defect, merchant: o.merchant, id: id}
	if text, err := note.Text(msg); err == nil {
		bad.digest = note.Digest(text)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.relay+"/v1/envelopes", bytes.NewReader(msg))
	if err != nil {
		return bad, err
	}
	request.Header.Set("Content-Type", envelope.MediaType)
	response, err := c.http.Do(request)
	if err != nil {
		return bad, fmt.Errorf("post a bad envelope (%s): %w", o.defect, err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, note.MaxBytes))
	if err != nil {
		return bad, err
	}
	if response.StatusCode == http.StatusAccepted {
		return bad, nil
	}
	var problem struct{ Type string }
	if json.Unmarshal(body, &problem) != nil || !strings.HasPrefix(problem.Type, "urn:nightdrop:") {
		return bad, fmt.Errorf("a bad envelope (%s) was answered %s without a problem document", o.defect, response.Status)
	}
	bad.refused = strings.TrimPrefix(problem.Type, "urn:nightdrop:")
	return bad, nil
}

// oversize is more than the 32 KiB that a relay takes.
const oversize = 40 << 10

func (c *culprit) make(o order) (msg []byte, id string, err error) {
	id = uuid.NewString()
	if o.defect == "id-conflict" {
		id = c.takenID
	}
	now := time.Now()
	e := envelope.Envelope{Merchant: o.merchant, ID: id, Created: envelope.At(now), Until: envelope.At(now.Add(time.Hour))}
	if o.defect == "late" {
		e.Created, e.Until = envelope.At(now.Add(-time.Hour)), envelope.At(now.Add(-time.Minute))
	}
	sealedFor := id
	if o.defect == "moved-part" {
		sealedFor = uuid.NewString()
	}
	if err := c.sealParts(&e, o, sealedFor); err != nil {
		return nil, "", err
	}
	signer := c.signer
	if o.defect == "foreign-signature" {
		if signer, err = note.GenerateSigner(o.merchant); err != nil {
			return nil, "", err
		}
	}
	signed, err := envelope.Sign(e, signer)
	if err != nil {
		return nil, "", err
	}
	if o.defect == "oversize" {
		return append(signed.Note, bytes.Repeat([]byte("x"), oversize)...), id, nil
	}
	return signed.Note, id, nil
}

func (c *culprit) sealParts(e *envelope.Envelope, o order, accountID string) error {
	key, ok := c.directory.Newest(envelope.KindDay, envelope.SuiteXWing, time.Now())
	if !ok {
		return errors.New("the directory has no day key")
	}
	amount, err := strconv.ParseInt(o.amount, 10, 64)
	if err != nil {
		return err
	}
	order, err := json.Marshal(map[string]any{"operation": "sale", "reference": o.reference, "amount": amount, "currency": o.currency})
	if err != nil {
		return err
	}
	account, err := json.Marshal(map[string]any{"card": map[string]string{"number": o.number, "expiry": o.expiry}})
	if err != nil {
		return err
	}
	if e.Order, err = seal.Seal(key.Name, key.Public, envelope.PartOrder, e.Merchant, e.ID, order); err != nil {
		return err
	}
	part, err := seal.Seal(key.Name, key.Public, envelope.PartAccount, e.Merchant, accountID, account)
	if err != nil {
		return err
	}
	switch o.defect {
	case "plaintext": // a shop that forgot to seal
		part.Sealed = account
	case "unknown-key": // sealed to a key that no vault published
		part.Key = envelope.MakeKeyName(envelope.KindDay, ^key.Name.ID(), envelope.SuiteXWing)
		for i := range 4 {
			part.Sealed[1+i] = ^part.Sealed[1+i]
		}
	}
	e.Account = &part
	return nil
}
