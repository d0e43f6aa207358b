package ingest

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/waittest"
)

// token signs claims as a storefront does; change spoils them.
func (s *site) token(signer *note.Signer, change func(jwt.MapClaims, map[string]any)) string {
	s.t.Helper()
	now := time.Now()
	claims := jwt.MapClaims{"sub": signer.Name(), "aud": origin, "iat": now.Unix(), "exp": now.Add(4 * time.Minute).Unix()}
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	token.Header["kid"] = signer.Verifier().HashHex()
	if change != nil {
		change(claims, token.Header)
	}
	text, err := token.SignedString(signer.PrivateKey())
	s.check(err)
	return text
}

func (s *site) read(merchant, path string) response {
	s.t.Helper()
	return s.do(http.MethodGet, path, nil, func(r *http.Request) {
		r.Header.Set("Authorization", "Bearer "+s.token(s.shops[merchant], nil))
	})
}

type resultsPage struct {
	Results []string
	Next    *uint64
}

func (s *site) page(answer response) resultsPage {
	s.t.Helper()
	var p resultsPage
	if err := json.Unmarshal(answer.body, &p); err != nil || answer.status != 200 || answer.header.Get("Content-Type") != "application/json" || p.Results == nil {
		s.t.Fatalf("answer %d %v: %s", answer.status, answer.header, answer.body)
	}
	return p
}

// result publishes a merchant's result and returns its note.
func (s *site) result(merchant string, serial uint64, id string) string {
	s.t.Helper()
	sealed := make([]byte, envelope.SuiteX25519.Overhead()+envelope.ResultBytes)
	copy(sealed, []byte{1, 0, 0, 0, 7})
	previous := envelope.ZeroDigest
	if serial > 1 {
		previous = strings.Repeat("a", 64)
	}
	r := envelope.Result{Merchant: merchant, Serial: serial, Previous: previous, ID: id, Digest: strings.Repeat("b", 64),
		Created: envelope.At(time.Now()), Sealed: envelope.Part{Key: "reply-00000007-x25519", Sealed: sealed}}
	signed := sign(s, r, s.keys)
	s.check(<-s.vault.PublishResult(merchant, serial, id, signed))
	return string(signed)
}

func TestResults(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	if p := s.page(s.read(shop, "/v1/results")); len(p.Results) != 0 || p.Next == nil || *p.Next != 0 {
		t.Errorf("before any: %+v", p)
	}
	first := uuid.NewString()
	var notes []string
	for serial := uint64(1); serial <= 120; serial++ {
		id := uuid.NewString()
		if serial == 3 || serial == 7 {
			id = first
		}
		notes = append(notes, s.result(shop, serial, id))
	}
	s.result(otherShop, 1, first)
	tests := []struct {
		query    string
		from, to int // of notes
		next     uint64
	}{
		{"", 0, 100, 100}, {"?after=0", 0, 100, 100}, {"?after=100", 100, 120, 120}, {"?after=119&wait=60", 119, 120, 120},
		{"?after=120", 120, 120, 120}, {"?after=9007199254740991", 120, 120, 9007199254740991}, {"?wait=0&after=5", 5, 105, 105}, {"?other=1", 0, 100, 100},
	}
	for _, test := range tests {
		if p := s.page(s.read(shop, "/v1/results"+test.query)); !slices.Equal(p.Results, notes[test.from:test.to]) || *p.Next != test.next {
			t.Errorf("%q: %d results, next %d; want %d and %d", test.query, len(p.Results), *p.Next, test.to-test.from, test.next)
		}
	}
	if p := s.page(s.read(shop, "/v1/envelopes/"+first)); !slices.Equal(p.Results, []string{notes[2], notes[6]}) || p.Next != nil {
		t.Errorf("by id: %d results", len(p.Results))
	}
	if p := s.page(s.read(otherShop, "/v1/results")); len(p.Results) != 1 {
		t.Errorf("another merchant reads %d results, want its own", len(p.Results))
	}
	if p := s.page(s.read(suspended, "/v1/results")); len(p.Results) != 0 {
		t.Errorf("a suspended merchant: %+v", p)
	}
	for _, id := range []string{uuid.NewString(), ">", "x", strings.ToUpper(first)} {
		if answer := s.read(shop, "/v1/envelopes/"+id); answer.status != 404 || s.code(answer) != "urn:nightdrop:unknown" {
			t.Errorf("id %q: %d", id, answer.status)
		}
	}
}

func TestQueriesAreExact(t *testing.T) {
	s := newSite(t, nil)
	for _, query := range []string{"after=", "after=-1", "after=+1", "after=01", "after=1.0", "after=1e3", "after=0x1", "after=9007199254740992",
		"after=18446744073709551616", "after=1&after=1", "wait=61", "wait=-1", "wait=x", "wait=1&wait=1", "after=%zz", "after=1;wait=1"} {
		if answer := s.read(shop, "/v1/results?"+query); answer.status != 400 || s.code(answer) != "urn:nightdrop:malformed" {
			t.Errorf("%s: %d", query, answer.status)
		}
	}
}

func TestALongPollEndsWithAResult(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	answers := make(chan response, 3)
	for range 2 {
		go func() { answers <- s.read(shop, "/v1/results?wait=30") }()
	}
	go func() { answers <- s.read(otherShop, "/v1/results?wait=1") }()
	waittest.For(s.t, "all to wait", func() bool { return s.edge.polls.held() == 3 })
	began := time.Now()
	want := s.result(shop, 1, uuid.NewString())
	for range 2 {
		if p := s.page(<-answers); len(p.Results) != 1 || p.Results[0] != want {
			t.Errorf("read %d results", len(p.Results))
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("woken after %s", took)
	}
	if p := s.page(<-answers); len(p.Results) != 0 {
		t.Error("another merchant's poll brought a result")
	}
}

func TestALongPollEndsWhenTheRelayStops(t *testing.T) {
	s := newSite(t, nil)
	answers := make(chan response, 1)
	go func() { answers <- s.read(shop, "/v1/results?wait=60") }()
	waittest.For(s.t, "it to wait", func() bool { return s.edge.polls.held() == 1 })
	s.edge.Stop()
	s.edge.Stop() // once is enough, twice does no harm
	if p := s.page(waittest.Receive(t, "the poll to end", answers)); len(p.Results) != 0 || *p.Next != 0 {
		t.Errorf("page %+v", p)
	}
	if err := s.edge.Ready(); err == nil {
		t.Error("a relay that stops calls itself ready")
	}
}

func TestPollsAreBounded(t *testing.T) {
	s := newSite(t, func(p *plan) { p.limits.MerchantPolls = 2 })
	ctx, cancel := context.WithCancel(t.Context())
	for range 2 {
		go func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.address+"/v1/results?wait=60", nil)
			r.Header.Set("Authorization", "Bearer "+s.token(s.shops[shop], nil))
			if answer, err := s.client.Do(r); err == nil {
				_ = answer.Body.Close()
			}
		}()
	}
	held := s.edge.polls.held
	waittest.For(s.t, "both to wait", func() bool { return held() == 2 })
	if answer := s.read(shop, "/v1/results?wait=1"); answer.status != 429 {
		t.Errorf("a third: %d", answer.status)
	}
	for _, path := range []string{"/v1/results", "/v1/results?wait=0"} {
		if answer := s.read(shop, path); answer.status != 200 {
			t.Errorf("%s, which does not wait: %d", path, answer.status)
		}
	}
	if answer := s.read(otherShop, "/v1/results"); answer.status != 200 {
		t.Errorf("another merchant: %d", answer.status)
	}
	cancel()
	waittest.For(s.t, "polls to end with their callers", func() bool { return held() == 0 })
}

func TestTokens(t *testing.T) {
	s := newSite(t, nil)
	now := time.Now().Unix()
	set := func(name string, value any) func(jwt.MapClaims, map[string]any) {
		return func(claims jwt.MapClaims, _ map[string]any) {
			if value == nil {
				delete(claims, name)
			} else {
				claims[name] = value
			}
		}
	}
	header := func(name string, value any) func(jwt.MapClaims, map[string]any) {
		return func(_ jwt.MapClaims, header map[string]any) { header[name] = value }
	}
	life := func(iat, exp int64) func(jwt.MapClaims, map[string]any) {
		return func(claims jwt.MapClaims, _ map[string]any) { claims["iat"], claims["exp"] = now+iat, now+exp }
	}
	tests := []struct {
		name   string
		change func(jwt.MapClaims, map[string]any)
		signer *note.Signer
		ok     bool
	}{
		{"as it should be", nil, nil, true},
		{"a list of audiences", set("aud", []string{"https://other.example", origin}), nil, true},
		{"exactly five minutes", life(0, 300), nil, true},
		{"just expired, within the leeway", life(-200, -30), nil, true},
		{"issued ahead, within the leeway", life(50, 250), nil, true},
		{"over five minutes", life(0, 301), nil, false},
		{"expired", life(-300, -70), nil, false},
		{"issued ahead", life(120, 240), nil, false},
		{"expired before it was issued", life(0, -10), nil, false},
		{"no exp", set("exp", nil), nil, false},
		{"no iat", set("iat", nil), nil, false},
		{"no aud", set("aud", nil), nil, false},
		{"another aud", set("aud", "https://other.example"), nil, false},
		{"an aud with a slash", set("aud", origin+"/"), nil, false},
		{"no sub", set("sub", nil), nil, false},
		{"another merchant's sub", set("sub", otherShop), nil, false},
		{"an unknown sub", set("sub", "stranger"), nil, false},
		{"not yet valid", set("nbf", now+300), nil, false},
		{"no kid", header("kid", nil), nil, false},
		{"another kid", header("kid", "00000000"), nil, false},
		{"a kid of no text", header("kid", 7), nil, false},
		{"critical headers", header("crit", []string{"b64"}), nil, false},
		{"a key that is not listed", header("kid", s.shops[shop].Verifier().HashHex()), s.newSigner(shop), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			signer := s.shops[shop]
			if test.signer != nil {
				signer = test.signer
			}
			s.expectAuthorised(t, test.ok, "Bearer "+s.token(signer, test.change))
		})
	}
}

// TestTokensThatALenientReaderTakes signs tokens as bytes, which no library would write.
func TestTokensThatALenientReaderTakes(t *testing.T) {
	s := newSite(t, nil)
	now, kid := time.Now().Unix(), s.shops[shop].Verifier().HashHex()
	signed := func(header, claims string) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		return "Bearer " + text + "." + base64.RawURLEncoding.EncodeToString(ed25519.Sign(s.shops[shop].PrivateKey(), []byte(text)))
	}
	header := fmt.Sprintf(`{"alg":"EdDSA","kid":%q}`, kid)
	claims := func(rest string, values ...any) string {
		return fmt.Sprintf(`{"sub":%q,"aud":%q,%s}`, shop, origin, fmt.Sprintf(rest, values...))
	}
	good := claims(`"iat":%d,"exp":%d`, now, now+60)
	tests := []struct {
		name, header, claims string
		ok                   bool
	}{
		{"as it should be", header, good, true},
		{"spaces, a fraction, and members of others", header, claims(` "iat" : %d.25 , "exp":%d, "jti":{"a":[1,{"b":2}],"b":null}`, now, now+60), true},
		{"exp in quotes", header, claims(`"iat":%d,"exp":"%d"`, now, now+60), false},
		{"iat in quotes", header, claims(`"iat":"%d","exp":%d`, now, now+60), false},
		{"nbf in quotes", header, claims(`"iat":%d,"exp":%d,"nbf":"%d"`, now, now+60, now), false},
		{"exp twice", header, claims(`"iat":%d,"exp":1,"exp":%d`, now, now+60), false},
		{"exp twice, once with an escape", header, claims(`"iat":%d,"\u0065xp":1,"exp":%d`, now, now+60), false},
		{"exp in capitals only", header, claims(`"iat":%d,"EXP":%d`, now, now+60), false},
		{"sub twice", header, claims(`"iat":%d,"exp":%d,"sub":%q`, now, now+60, shop), false},
		{"a member of a member twice", header, claims(`"iat":%d,"exp":%d,"act":{"sub":1,"sub":2}`, now, now+60), false},
		{"kid twice", fmt.Sprintf(`{"alg":"EdDSA","kid":"00000000","kid":%q}`, kid), good, false},
		{"alg twice", fmt.Sprintf(`{"alg":"none","alg":"EdDSA","kid":%q}`, kid), good, false},
		{"two objects", header, good + good, false},
		{"a list", header, "[" + good + "]", false},
		{"no times but null", header, claims(`"iat":null,"exp":null`), false},
		{"an exp beyond all bounds", header, claims(`"iat":%d,"exp":1e400`, now), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { s.expectAuthorised(t, test.ok, signed(test.header, test.claims)) })
	}
}

func TestAuthorizationHeaders(t *testing.T) {
	s := newSite(t, nil)
	now := time.Now().Unix()
	good := s.token(s.shops[shop], nil)
	parts := strings.Split(good, ".")
	unsigned, err := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.MapClaims{"sub": shop, "aud": origin, "iat": now, "exp": now + 60}).
		SignedString(jwt.UnsafeAllowNoneSignatureType)
	s.check(err)
	symmetric := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"sub": shop, "aud": origin, "iat": now, "exp": now + 60})
	symmetric.Header["kid"] = s.shops[shop].Verifier().HashHex()
	hmac, err := symmetric.SignedString([]byte(s.shops[shop].Verifier().Public()))
	s.check(err)
	for name, headers := range map[string][]string{
		"none": {}, "two": {"Bearer " + good, "Bearer " + good}, "another scheme": {"Basic " + good}, "no scheme": {good}, "empty": {""},
		"no token": {"Bearer"}, "no signature": {"Bearer " + parts[0] + "." + parts[1] + "."}, "padding": {"Bearer " + good + "="},
		"alg none": {"Bearer " + unsigned}, "alg HS256 with the public key": {"Bearer " + hmac}, "huge": {"Bearer " + strings.Repeat("a", 10000)},
	} {
		t.Run(name, func(t *testing.T) { s.expectAuthorised(t, false, headers...) })
	}
	t.Run("the scheme in other letters", func(t *testing.T) { s.expectAuthorised(t, true, "bearer "+good) })
}

func (s *site) expectAuthorised(t *testing.T, ok bool, headers ...string) {
	t.Helper()
	answer := s.do(http.MethodGet, "/v1/results", nil, func(r *http.Request) { r.Header["Authorization"] = headers })
	if ok {
		if answer.status != 200 {
			t.Errorf("refused: %s", answer.body)
		}
		return
	}
	if answer.status != 401 || s.code(answer) != "urn:nightdrop:unauthorized" || answer.header.Get("WWW-Authenticate") != "Bearer" {
		t.Errorf("answer %d %v %s", answer.status, answer.header, answer.body)
	}
}

func TestResultsWithoutTheChannel(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.check(s.broker.Close(t.Context()))
	for _, path := range []string{"/v1/results?wait=1", "/v1/envelopes/" + uuid.NewString()} {
		if answer := s.read(shop, path); answer.status != 503 || s.code(answer) != "urn:nightdrop:channel-unavailable" {
			t.Errorf("%s: %d %s", path, answer.status, fmt.Sprint(answer.header))
		}
	}
}
