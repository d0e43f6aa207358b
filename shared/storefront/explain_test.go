package storefront

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/proof"
	"nightdrop/shared/storefront/relaytest"
)

// story is one envelope's, of a shop with a relay and an outbox of its own.
type story struct {
	t     *testing.T
	relay *relaytest.Relay
	shop  *Identity
	c     *Client
	box   *Outbox
	s     Sealed
}

func newStory(t *testing.T) *story {
	t.Helper()
	r := relaytest.New(t)
	i := identity(t, "bookshop")
	box, err := OpenOutbox(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	c := reader(t, r, i, box.Log())
	return &story{t, r, i, c, box, sealOne(t, c)}
}

func (s *story) keep() {
	s.t.Helper()
	if _, err := s.box.Keep(s.s); err != nil {
		s.t.Fatal(err)
	}
}

func (s *story) post() {
	s.t.Helper()
	s.keep()
	receipt, err := s.c.PostSigned(context.Background(), s.s.Note)
	if err == nil {
		err = s.box.KeepReceipt(receipt)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// after moves the client's clock.
func (s *story) after(d time.Duration) {
	now := time.Now().Add(d)
	s.c.now = func() time.Time { return now }
	s.relay.Expires = d + time.Hour
	s.relay.Serial++
}

func (s *story) own() relaytest.Answer {
	return relaytest.Answer{ID: s.s.ID, Digest: s.s.Digest, Status: envelope.StatusApproved, Code: envelope.ISOCode("00")}
}

func (s *story) answers(answers ...relaytest.Answer) {
	s.relay.Chain = s.relay.Results("bookshop", s.shop.ReplyLine(), answers...)
}

func TestExplainWhatBecameOfAnEnvelope(t *testing.T) {
	for name, c := range map[string]struct {
		happens func(s *story)
		want    Outcome
		by      string // part of it
		warns   string
	}{
		"never posted": {func(*story) {}, OutcomeNeverPosted, "storefront", ""},
		"kept and not posted, or the answer lost": {func(s *story) { s.keep() }, OutcomeNoReceipt, "storefront", ""},
		"refused": {func(s *story) {
			s.keep()
			if err := s.box.KeepRefusal(s.s.ID, Refusal{403, "merchant-suspended", envelope.At(time.Now())}); err != nil {
				s.t.Fatal(err)
			}
		}, OutcomeRefused, "storefront", ""},
		"receipted, no position": {func(s *story) { s.post() }, OutcomeNoPosition, "relay-1", ""},
		"receipted after the position": {func(s *story) {
			s.post()
			s.relay.Reach(0, time.Now().Add(-time.Minute))
		}, OutcomeTooEarly, "", ""},
		"receipted, and the vault is silent": {func(s *story) {
			s.post()
			s.relay.Reach(0, time.Now().Add(-3*time.Hour))
		}, OutcomeTooEarly, "", "locked or stopped"},
		"the relay's bag is not at the vault": {func(s *story) {
			s.post()
			s.relay.Reach(0, time.Now().Add(time.Minute))
		}, OutcomeNotAtVault, "relay relay-1", ""},
		"the relay's run never came": {func(s *story) {
			s.post()
			s.relay.Reach(9, time.Now().Add(time.Minute))
			s.relay.Where.Relays[0].Run = strings.Repeat("0b", 16)
		}, OutcomeNotAtVault, "relay relay-1", ""},
		"committed without a result yet": {func(s *story) {
			s.post()
			s.relay.Reach(1, time.Now().Add(time.Minute))
		}, OutcomeAtVault, "", ""},
		"committed, and its time is over": {func(s *story) {
			s.post()
			s.relay.Reach(1, time.Now().Add(time.Minute))
			s.after(envelope.MaxLife + time.Minute)
		}, OutcomeAtVault, "", "its until"},
		"passed over": {func(s *story) {
			s.post()
			s.relay.Reach(3, s.s.Until.Add(2*time.Hour))
			s.after(envelope.MaxLife + 2*time.Hour)
		}, OutcomeOverdue, "relay relay-1", "its until"},
		"answered": {func(s *story) {
			s.post()
			s.answers(answer(1), s.own(), answer(2))
		}, OutcomeAnswered, "", ""},
		"answered from another outbox": {func(s *story) { s.answers(s.own()) }, OutcomeAnswered, "", ""},
		"late by the clock": {func(s *story) {
			s.post()
			late := s.own()
			late.Status, late.Code = envelope.StatusRejected, envelope.CodeLate
			s.answers(late)
			s.after(envelope.MaxLife + time.Minute)
		}, OutcomeAnswered, "relay relay-1", ""},
		"its id was another envelope's": {func(s *story) {
			s.post()
			other := s.own()
			other.Digest = strings.Repeat("ab", 32)
			s.answers(other)
		}, OutcomeConflict, "storefront", ""},
		"a result is withheld": {func(s *story) {
			s.post()
			s.answers(answer(1), s.own(), answer(2))
			all := s.relay.Chain
			s.relay.Chain = []string{all[0], all[2]}
		}, OutcomeWithheld, "relay or its channel", ""},
		"answered, and a later result is withheld": {func(s *story) {
			s.post()
			s.answers(s.own(), answer(1), answer(2))
			all := s.relay.Chain
			s.relay.Chain = []string{all[0], all[2]}
		}, OutcomeAnswered, "", "later results may be missing"},
		"the chain proves silence": {func(s *story) {
			s.post()
			later := answer(1)
			later.Created = s.s.Until.Add(2 * time.Hour)
			s.answers(later)
			s.after(envelope.MaxLife + 2*time.Hour)
		}, OutcomeLapsed, "relay relay-1", ""},
		"the log does not hold what was told": {func(s *story) {
			s.post()
			lie := s.own()
			lie.Bend = func(leaf *[proof.LeafBytes]byte) { leaf[0] ^= 1 }
			s.answers(lie)
		}, OutcomeContradiction, "vault", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			c.happens(s)
			chain, err := s.box.Chain()
			if err != nil {
				t.Fatal(err)
			}
			x, err := s.c.Explain(context.Background(), s.box, s.s.ID)
			if err != nil {
				t.Fatal(err)
			}
			if x.Outcome != c.want || !strings.Contains(x.By, c.by) || (c.by == "") != (x.By == "") || x.Means == "" || x.Next == "" {
				t.Errorf("%s by %q: %s; %s", x.Outcome, x.By, x.Means, x.Next)
			}
			if warned := slices.ContainsFunc(x.Warnings, func(w string) bool { return strings.Contains(w, c.warns) }); warned != (c.warns != "") {
				t.Errorf("warns %q", x.Warnings)
			}
			if text, err := json.Marshal(x); err != nil || strings.Contains(string(text), "0001-01-01") {
				t.Errorf("as JSON %s, %v", text, err)
			}
			if again, err := s.box.Chain(); err != nil || !reflect.DeepEqual(again, chain) {
				t.Errorf("explaining moved the chain: %v", err)
			}
		})
	}
}

func TestExplainALimit(t *testing.T) {
	s := newStory(t)
	s.post()
	over := s.own()
	over.Status, over.Code = envelope.StatusRejected, envelope.CodeLimit
	s.answers(over)
	x, err := s.c.Explain(t.Context(), s.box, s.s.ID)
	if err != nil || x.Outcome != OutcomeAnswered || !strings.Contains(x.Next, "payment show MERCHANT/"+s.s.ID) {
		t.Errorf("%+v, %v", x, err)
	}
}

// What the outbox has recorded still says when the relay gives no results any more.
func TestExplainFromWhatWasRead(t *testing.T) {
	s := newStory(t)
	s.post()
	s.answers(s.own())
	var chain Chain
	results, err := s.c.Results(context.Background(), &chain, 0)
	if err == nil {
		_, err = s.box.Record(results, chain)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.relay.Page = []string{}
	if x, err := s.c.Explain(context.Background(), s.box, s.s.ID); err != nil || x.Outcome != OutcomeAnswered || len(x.Results) != 1 {
		t.Errorf("%s, %d results, %v", x.Outcome, len(x.Results), err)
	}
}

// A relay that cannot be reached explains nothing.
func TestExplainWithoutARelay(t *testing.T) {
	s := newStory(t)
	s.post()
	s.relay.Get = func(w http.ResponseWriter, _ *http.Request) { relaytest.Problem(w, 503, "channel-unavailable") }
	if x, err := s.c.Explain(context.Background(), s.box, s.s.ID); err == nil {
		t.Errorf("explained as %s", x.Outcome)
	}
	if _, err := s.c.Explain(context.Background(), s.box, "4242424242424242"); err == nil || strings.Contains(err.Error(), "4242") {
		t.Errorf("an id that may be a number: %v", err)
	}
}
