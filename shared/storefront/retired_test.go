package storefront

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

// renew gives the story's shop new keys: what it has sealed is of the ones before.
func (s *story) renew() {
	s.t.Helper()
	var err error
	if s.shop, err = s.shop.Renew(); err != nil {
		s.t.Fatal(err)
	}
	s.c = reader(s.t, s.relay, s.shop, s.box.Log())
}

// TestAnEnvelopeOfAnEarlierKeyIsNotPosted: no relay takes it once the key is retired, and the shop
// learns what to do instead of that it is not its own.
func TestAnEnvelopeOfAnEarlierKeyIsNotPosted(t *testing.T) {
	s := newStory(t)
	s.keep()
	s.renew()
	_, read := s.c.Read(s.s.Note)
	_, posted := s.c.Post(t.Context(), s.s.Note)
	for name, err := range map[string]error{"read": read, "post": posted} {
		if !errors.Is(err, ErrOtherKey) || !strings.Contains(err.Error(), "--explain") || !strings.Contains(err.Error(), "new id") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(s.relay.Posts()); n != 0 {
		t.Errorf("%d posts", n)
	}
	own := sealOne(t, s.c)
	if _, err := s.c.Read(own.Note); err != nil {
		t.Errorf("its own: %v", err)
	}
	foreign := sealOne(t, reader(t, s.relay, identity(t, "florist"), s.box.Log()))
	altered := bytes.Replace(own.Note, []byte(`"created":"2`), []byte(`"created":"3`), 1)
	for name, note := range map[string][]byte{"another merchant's": foreign.Note, "altered": altered, "no envelope": []byte("x")} {
		if _, err := s.c.Read(note); err == nil || errors.Is(err, ErrOtherKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExplainAnEnvelopeOfAnEarlierKey: nobody is told to post the same bytes by an identity that
// cannot, or to pay anew while they may have been taken.
func TestExplainAnEnvelopeOfAnEarlierKey(t *testing.T) {
	rejected := func(s *story) {
		own := s.own()
		own.Status, own.Code = envelope.StatusRejected, envelope.CodeUnknownSigner
		s.answers(own)
	}
	for name, c := range map[string]struct {
		happens func(s *story)
		want    Outcome
		next    string
	}{
		"kept": {func(s *story) { s.keep() }, OutcomeNoReceipt, "says lapsed"},
		"refused": {func(s *story) {
			s.keep()
			if err := s.box.KeepRefusal(s.s.ID, Refusal{http.StatusUnauthorized, string(envelope.CodeUnknownSigner), envelope.At(time.Now())}); err != nil {
				s.t.Fatal(err)
			}
		}, OutcomeRefused, "says lapsed"},
		"posted, and not at the vault": {func(s *story) {
			s.post()
			s.relay.Reach(0, time.Now().Add(time.Minute))
		}, OutcomeNotAtVault, "says lapsed"},
		"posted, and at the vault": {func(s *story) {
			s.post()
			s.relay.Reach(1, time.Now().Add(time.Minute))
		}, OutcomeAtVault, "wait"},
		"rejected for its key": {func(s *story) { s.post(); rejected(s) }, OutcomeAnswered, "pay under a new id: the key that signed it was retired"},
		"taken before":         {func(s *story) { s.post(); s.answers(s.own()) }, OutcomeAnswered, "nothing: this is the vault's word"},
	} {
		s := newStory(t)
		c.happens(s)
		s.renew()
		x, err := s.c.Explain(t.Context(), s.box, s.s.ID)
		if err != nil || x.Outcome != c.want || !strings.Contains(x.Next, c.next) {
			t.Errorf("%s: %s; %s (%v)", name, x.Outcome, x.Next, err)
		}
	}
	s := newStory(t)
	s.post()
	rejected(s)
	if x, err := s.c.Explain(t.Context(), s.box, s.s.ID); err != nil || x.By != "storefront" || !strings.Contains(x.Next, "vault merchant show") {
		t.Errorf("a key that the vault does not know: by %s; %s (%v)", x.By, x.Next, err)
	}
}
