package ingest

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// plaintextNumber is posted where nobody should post it; no answer and no log may hold it.
const plaintextNumber = "4242424242424242"

// refusalRow is a post with one defect.
type refusalRow struct {
	name   string
	body   []byte
	header map[string]string
	status int
	code   string
}

// valid returns an envelope of shop, after change, signed by its merchant.
func (s *site) valid(change func(*envelope.Envelope)) []byte {
	s.t.Helper()
	e := s.envelope()
	if change != nil {
		change(&e)
	}
	return sign(s, e, s.shops[e.Merchant])
}

// spoil replaces the first old in b, which must be there.
func (s *site) spoil(b []byte, old, replacement string) []byte {
	s.t.Helper()
	if !bytes.Contains(b, []byte(old)) {
		s.t.Fatalf("nothing to spoil: %q", old)
	}
	return bytes.Replace(b, []byte(old), []byte(replacement), 1)
}

// wrongHeaders are refused before the body is read.
func (s *site) wrongHeaders() []refusalRow {
	return []refusalRow{
		{"no media type", s.valid(nil), map[string]string{"Content-Type": ""}, 415, "media-type"},
		{"another media type", s.valid(nil), map[string]string{"Content-Type": "application/json"}, 415, "media-type"},
		{"a media type with a parameter", s.valid(nil), map[string]string{"Content-Type": envelope.MediaType + "; charset=utf-8"}, 415, "media-type"},
		{"a content encoding", s.valid(nil), map[string]string{"Content-Encoding": "gzip"}, 415, "media-type"},
		{"identity is one too", s.valid(nil), map[string]string{"Content-Encoding": "identity"}, 415, "media-type"},
		{"too large", make([]byte, envelope.MaxEnvelopeBytes+1), nil, 413, "too-large"},
	}
}

// wrongForms are no envelope notes.
func (s *site) wrongForms() []refusalRow {
	return []refusalRow{
		{"no note", []byte(`{"number":"` + plaintextNumber + `"}`), nil, 400, "malformed"},
		{"another statement", sign(s, envelope.Receipt{Merchant: shop, ID: s.envelope().ID, Digest: strings.Repeat("0", 64), Relay: "relay-1",
			Run: strings.Repeat("0", 32), Number: 1}, s.signer), nil, 400, "malformed"},
		{"a member too many", s.spoil(s.valid(nil), `{"merchant"`, `{"number":"`+plaintextNumber+`","merchant"`), nil, 400, "malformed"},
		{"an id of another form", s.spoil(s.valid(nil), `"id":"`, `"id":"x`), nil, 400, "malformed"},
		{"a broken part", s.spoil(s.valid(nil), `"sealed":"`, `"sealed":"!`), nil, 400, "malformed"},
		{"two signature lines", twice(s.valid(nil)), nil, 400, "malformed"},
	}
}

// wrongSigners are not who they say, or suspended.
func (s *site) wrongSigners() []refusalRow {
	return []refusalRow{
		{"an unknown merchant", sign(s, func() envelope.Envelope { e := s.envelope(); e.Merchant = "stranger"; return e }(), s.newSigner("stranger")), nil, 401, "unknown-signer"},
		{"a new key of a known merchant", sign(s, s.envelope(), s.newSigner(shop)), nil, 401, "unknown-signer"},
		{"another merchant's signature", foreign(s), nil, 401, "unknown-signer"},
		{"a changed text", s.spoil(s.valid(nil), `"until":"2`, `"until":"3`), nil, 401, "unknown-signer"},
		{"a suspended merchant", s.valid(func(e *envelope.Envelope) { e.Merchant = suspended }), nil, 403, "merchant-suspended"},
	}
}

// wrongTimes are too early, too late or too long.
func (s *site) wrongTimes() []refusalRow {
	return []refusalRow{
		{"created ahead", s.valid(func(e *envelope.Envelope) {
			e.Created, e.Until = envelope.At(time.Now().Add(6*time.Minute)), envelope.At(time.Now().Add(time.Hour))
		}), nil, 422, "clock"},
		{"until before created", s.valid(func(e *envelope.Envelope) { e.Until = e.Created }), nil, 422, "clock"},
		{"over six days", s.valid(func(e *envelope.Envelope) { e.Until = envelope.At(e.Created.Add(6*24*time.Hour + time.Second)) }), nil, 422, "clock"},
		{"late", s.valid(func(e *envelope.Envelope) {
			e.Created, e.Until = envelope.At(time.Now().Add(-time.Hour)), envelope.At(time.Now().Add(-time.Minute))
		}), nil, 422, "late"},
	}
}

// wrongParts are not sealed, or not to a key in force.
func (s *site) wrongParts() []refusalRow {
	return []refusalRow{
		{"a dead key", s.valid(func(e *envelope.Envelope) { e.Order = s.part(envelope.PartOrder, s.dead, e.ID) }), nil, 422, "unknown-key"},
		{"a key that has not begun", s.valid(func(e *envelope.Envelope) { e.Order = s.part(envelope.PartOrder, s.coming, e.ID) }), nil, 422, "unknown-key"},
		{"a key of no directory", s.valid(func(e *envelope.Envelope) { e.Order.Key = "day-00000001-xwing" }), nil, 422, "unknown-key"},
		{"a day key for a code", s.valid(func(e *envelope.Envelope) {
			p := s.part(envelope.PartCode, s.codeKey, e.ID)
			p.Key = s.day.Name
			e.Code = &p
		}), nil, 422, "unknown-key"},
		{"a code key for an account", s.valid(func(e *envelope.Envelope) { e.Account.Key = s.codeKey.Name }), nil, 422, "unknown-key"},
		{"a plaintext in place of a part", s.valid(func(e *envelope.Envelope) { e.Account.Sealed = []byte(`{"card":{"number":"` + plaintextNumber + `"}}`) }), nil, 422, "not-sealed"},
		{"another key's prefix", s.valid(func(e *envelope.Envelope) { e.Account.Sealed[4] ^= 1 }), nil, 422, "not-sealed"},
		{"a part of another length", s.valid(func(e *envelope.Envelope) { e.Order.Sealed = e.Order.Sealed[:len(e.Order.Sealed)-1] }), nil, 422, "not-sealed"},
		{"an empty part", s.valid(func(e *envelope.Envelope) { e.Order.Sealed = []byte{} }), nil, 422, "not-sealed"},
	}
}

// twoDefects show the order of the checks: the first failure answers.
func (s *site) twoDefects() []refusalRow {
	return []refusalRow{
		{"media type before size", make([]byte, envelope.MaxEnvelopeBytes+1), map[string]string{"Content-Type": "text/plain"}, 415, "media-type"},
		{"form before signature", s.spoil(sign(s, s.envelope(), s.newSigner(shop)), `"until":`, `"until" :x`), nil, 400, "malformed"},
		{"signature before suspension", sign(s, func() envelope.Envelope { e := s.envelope(); e.Merchant = suspended; return e }(), s.newSigner(suspended)), nil, 401, "unknown-signer"},
		{"suspension before clock", s.valid(func(e *envelope.Envelope) { e.Merchant = suspended; e.Until = e.Created }), nil, 403, "merchant-suspended"},
		{"clock before late", s.valid(func(e *envelope.Envelope) { e.Created = envelope.At(time.Now().Add(-7 * 24 * time.Hour)) }), nil, 422, "clock"},
		{"late before key", s.valid(func(e *envelope.Envelope) {
			e.Created, e.Until, e.Order.Key = envelope.At(time.Now().Add(-time.Hour)), envelope.At(time.Now().Add(-time.Minute)), "day-00000001-xwing"
		}), nil, 422, "late"},
		{"every key before any form", s.valid(func(e *envelope.Envelope) { e.Order.Sealed = []byte("x"); e.Code.Key = s.dead.Name }), nil, 422, "unknown-key"},
	}
}

func TestRefusals(t *testing.T) {
	s := newSite(t, nil)
	tests := slices.Concat(s.wrongHeaders(), s.wrongForms(), s.wrongSigners(), s.wrongTimes(), s.wrongParts(), s.twoDefects())
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			answer := s.do(http.MethodPost, "/v1/envelopes", bytes.NewReader(test.body), func(r *http.Request) {
				r.Header.Set("Content-Type", envelope.MediaType)
				for name, value := range test.header {
					r.Header.Set(name, value)
				}
			})
			if code := s.code(answer); answer.status != test.status || code != "urn:nightdrop:"+test.code {
				t.Errorf("answer %d %s, want %d %s", answer.status, code, test.status, test.code)
			}
			if !answer.closed {
				t.Error("the connection stays open after a refused post")
			}
			if bytes.Contains(answer.body, []byte(plaintextNumber)) || strings.Contains(s.log.String(), plaintextNumber) {
				t.Error("a byte of the body was echoed or logged")
			}
		})
	}
	if envelopes, bags := s.bags.Waiting(); envelopes+bags != 0 {
		t.Error("something of the refused was taken")
	}
}

// remembered is a body that keeps the buffers into which it was read.
type remembered struct {
	*bytes.Reader
	buffers [][]byte
}

func (r *remembered) Read(b []byte) (int, error) {
	n, err := r.Reader.Read(b)
	r.buffers = append(r.buffers, b[:n])
	return n, err
}

func (*remembered) Close() error { return nil }

// patient is an answer on a connection that has deadlines.
type patient struct{ *httptest.ResponseRecorder }

func (patient) SetReadDeadline(time.Time) error { return nil }

// TestRefusedBodiesAreForgotten: of what was posted in clear, by whomever, nothing stays in the
// memory that the relay has in its hands.
func TestRefusedBodiesAreForgotten(t *testing.T) {
	s := newSite(t, nil)
	unsealed := func(change func(*envelope.Envelope)) []byte {
		return s.valid(func(e *envelope.Envelope) {
			e.Account.Sealed = []byte(`{"card":{"number":"` + plaintextNumber + `"}}`)
			if change != nil {
				change(e)
			}
		})
	}
	for name, posted := range map[string][]byte{
		"no note":   []byte(`{"number":"` + plaintextNumber + `"}`),
		"unsealed":  unsealed(nil),
		"late":      unsealed(func(e *envelope.Envelope) { e.Until = envelope.At(time.Now().Add(-time.Second)) }),
		"a forgery": sign(s, s.envelope(), s.newSigner(shop)),
	} {
		body := &remembered{Reader: bytes.NewReader(posted)}
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/v1/envelopes", body)
		request.ContentLength = int64(len(posted))
		request.Header.Set("Content-Length", strconv.Itoa(len(posted)))
		request.Header.Set("Content-Type", envelope.MediaType)
		if err := s.edge.post(patient{httptest.NewRecorder()}, request); !errors.As(err, new(refusal)) {
			t.Errorf("%s: %v", name, err)
		}
		for _, b := range body.buffers {
			if len(bytes.Trim(b, "\x00")) > 0 {
				t.Errorf("%s: the body is still there", name)
			}
		}
	}
	// Its parts, decoded, too.
	read, err := envelope.Read[envelope.Envelope](unsealed(nil))
	s.check(err)
	forget(nil, read.Value)
	if bytes.Contains(read.Value.Account.Sealed, []byte(plaintextNumber)) {
		t.Error("the part is still there")
	}
}

func twice(b []byte) []byte {
	line := b[bytes.LastIndex(b, []byte("\n\n"))+2:]
	return append(bytes.Clone(b), line...)
}

// foreign is an envelope that names shop, with a valid signature by otherShop.
func foreign(s *site) []byte {
	signed := sign(s, s.envelope(), s.shops[shop])
	text, err := note.Text(signed)
	s.check(err)
	out, err := note.Sign(text, s.shops[otherShop])
	s.check(err)
	return out
}
