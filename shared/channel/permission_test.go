package channel

import (
	"crypto/tls"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"nightdrop/shared/waittest"
)

// raw connects with a role's key and nothing of this package in between, as a thief of the key
// would.
func (s *site) raw(t *testing.T, role string) (*nats.Conn, error) {
	t.Helper()
	settings := []nats.Option{nats.CustomInboxPrefix(inboxPrefix(role)), nats.Timeout(3 * time.Second), nats.NoReconnect(),
		// refused reads LastError
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {})}
	url := "tls://" + s.config.Listen
	if role == "relay" {
		url, settings = "", append(settings, nats.InProcessServer(s.server))
	} else {
		config, err := clientTLS(s.options(role))
		if err != nil {
			t.Fatal(err)
		}
		settings = append(settings, nats.Secure(config), nats.TLSHandshakeFirst())
	}
	pair, err := nkeys.FromSeed(s.seed(t, role))
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(url, append(settings, nats.Nkey(public, pair.Sign))...)
	if err == nil {
		t.Cleanup(nc.Close)
	}
	return nc, err
}

// refused reports whether the broker answered what was just sent with a permissions violation.
func refused(t *testing.T, nc *nats.Conn) bool {
	t.Helper()
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	err := nc.LastError()
	return err != nil && strings.Contains(strings.ToLower(err.Error()), "permissions violation")
}

// mayPublish tells for each subject the roles that may publish to it.
func mayPublish() map[string]string {
	return map[string]string{
		"bag.relay-a":                         "relay",
		"bag.relay-a.more":                    "",
		"res.shop.1.id":                       "vault courier",
		"notice.directory":                    "vault courier",
		"journal.1":                           "vault",
		"stored.bag.relay-a":                  "relay",
		"stored.res.shop.1.id":                "",
		"_INBOX_relay.x":                      "",
		"_INBOX_vault.x":                      "",
		"$JS.ACK.ENVELOPES.c.1.1.1.1.1":       "",
		"$SYS.REQ.SERVER.PING":                "",
		"$JS.API.DIRECT.GET.ENVELOPES":        "vault courier",
		"$JS.API.DIRECT.GET.ENVELOPES.bag.x":  "",
		"$JS.API.DIRECT.GET.JOURNAL":          "",
		"$JS.API.DIRECT.GET.RESULTS":          "relay courier",
		"$JS.API.DIRECT.GET.NOTICES":          "relay courier",
		"$JS.API.STREAM.MSG.GET.ENVELOPES":    "vault",
		"$JS.API.STREAM.MSG.GET.JOURNAL":      "vault",
		"$JS.API.STREAM.MSG.GET.RESULTS":      "",
		"$JS.API.STREAM.INFO.ENVELOPES":       "vault",
		"state.STREAM.INFO.ENVELOPES":         "courier monitor",
		"$JS.API.STREAM.INFO.JOURNAL":         "vault",
		"state.STREAM.INFO.JOURNAL":           "courier monitor",
		"$JS.API.STREAM.INFO.RESULTS":         "relay",
		"state.STREAM.INFO.RESULTS":           "vault courier monitor",
		"state.STREAM.PURGE.RESULTS":          "vault",
		"state.STREAM.PURGE.NOTICES":          "",
		"state.STREAM.PURGE.ENVELOPES":        "",
		"state.STREAM.DELETE.RESULTS":         "",
		"state.STREAM.MSG.GET.RESULTS":        "",
		"$JS.API.STREAM.INFO.NOTICES":         "relay",
		"state.STREAM.INFO.NOTICES":           "courier monitor",
		"$JS.API.STREAM.PURGE.RESULTS":        "",
		"$JS.API.STREAM.PURGE.JOURNAL":        "",
		"$JS.API.STREAM.MSG.DELETE.RESULTS":   "",
		"$JS.API.STREAM.DELETE.ENVELOPES":     "",
		"$JS.API.STREAM.DELETE.RESULTS":       "",
		"$JS.API.STREAM.UPDATE.ENVELOPES":     "",
		"$JS.API.STREAM.CREATE.MORE":          "",
		"$JS.API.STREAM.NAMES":                "",
		"$JS.API.CONSUMER.CREATE.ENVELOPES":   "",
		"$JS.API.CONSUMER.CREATE.RESULTS":     "",
		"$JS.API.CONSUMER.MSG.NEXT.RESULTS.c": "",
		"$JS.API.INFO":                        "",
	}
}

// maySubscribe tells for each subject the roles that may subscribe to it.
func maySubscribe() map[string]string {
	return map[string]string{
		">":                    "",
		"bag.>":                "",
		"res.>":                "",
		"notice.>":             "",
		"journal.>":            "",
		"$JS.>":                "",
		"stored.>":             "",
		"stored.bag.*":         "vault",
		"stored.journal.*":     "",
		"stored.res.*.*.*":     "relay",
		"stored.notice.*":      "relay",
		"_INBOX_relay.mine":    "relay",
		"_INBOX_vault.mine":    "vault",
		"_INBOX_courier.mine":  "courier",
		"_INBOX_monitor.mine":  "monitor",
		"_INBOX.mine":          "",
		"_INBOX_keeper.mine":   "",
		"$SYS.ACCOUNT.*.>":     "",
		"$JS.EVENT.ADVISORY.>": "",
	}
}

func TestAllowLists(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	mustAck(t, s.relay(t).PublishBag("relay-a", "m1", []byte("a bag")))
	mustAck(t, s.vault(t).PublishResult("shop", 1, "id", []byte("a result")))
	for _, role := range []string{"relay", "vault", "courier", "monitor"} {
		for subject, may := range mayPublish() {
			s.try(t, role, subject, may, func(nc *nats.Conn) error { return nc.Publish(subject, []byte(`{"bad`)) })
		}
		for subject, may := range maySubscribe() {
			s.try(t, role, subject, may, func(nc *nats.Conn) error {
				_, err := nc.SubscribeSync(subject)
				return err
			})
		}
	}
}

// try does something with a role's key, and checks that the broker refuses it unless the role is
// among those that may.
func (s *site) try(t *testing.T, role, subject, may string, do func(*nats.Conn) error) {
	t.Helper()
	nc, err := s.raw(t, role)
	if err != nil {
		t.Fatalf("%s: %v", role, err)
	}
	defer nc.Close()
	if err := do(nc); err != nil {
		t.Fatal(err)
	}
	if got, want := !refused(t, nc), strings.Contains(may, role); got != want {
		t.Errorf("%s at %s: allowed %t, want %t", role, subject, got, want)
	}
}

// nothing is a read that is answered with an empty message, which is what DELETE and PURGE take.
const nothing = `{"seq":999}`

// attack is a request that its role may make, with a reply subject of which the broker asks no
// permission.
type attack struct{ role, subject, body, reply string }

func attacks() []attack {
	return []attack{
		{"relay", "bag.relay-a", "x", "$JS.API.STREAM.DELETE.ENVELOPES"},
		{"relay", "bag.relay-a", "x", "$JS.API.STREAM.PURGE.ENVELOPES"},
		{"relay", "bag.relay-a", "x", "$JS.API.STREAM.DELETE.JOURNAL"},
		{"relay", "bag.relay-a", "x", "journal.1"},
		{"relay", "$JS.API.DIRECT.GET.RESULTS", `{"seq":1}`, "$JS.API.STREAM.DELETE.ENVELOPES"},
		{"relay", "$JS.API.DIRECT.GET.RESULTS", nothing, "$JS.API.STREAM.DELETE.ENVELOPES"},
		{"relay", "$JS.API.DIRECT.GET.RESULTS", nothing, "$JS.API.STREAM.PURGE.ENVELOPES"},
		{"relay", "$JS.API.STREAM.INFO.RESULTS", "", "$JS.API.STREAM.DELETE.ENVELOPES"},
		{"relay", "$JS.API.STREAM.INFO.RESULTS", "", "$JS.API.DIRECT.GET.ENVELOPES"},
		{"vault", "res.shop.2.id", "x", "$JS.API.STREAM.DELETE.RESULTS"},
		{"vault", "$JS.API.DIRECT.GET.ENVELOPES", `{"seq":1}`, "$JS.API.STREAM.DELETE.RESULTS"},
		{"vault", "$JS.API.DIRECT.GET.ENVELOPES", nothing, "$JS.API.STREAM.DELETE.RESULTS"},
		{"vault", "$JS.API.DIRECT.GET.ENVELOPES", nothing, "$JS.API.STREAM.PURGE.NOTICES"},
		{"vault", "state.STREAM.INFO.RESULTS", "", "$JS.API.STREAM.DELETE.RESULTS"},
		{"vault", "state.STREAM.INFO.RESULTS", "", "$JS.API.STREAM.DELETE.NOTICES"},
		{"vault", "state.STREAM.INFO.RESULTS", "", "state.STREAM.DELETE.NOTICES"},
		{"vault", "state.STREAM.PURGE.RESULTS", `{"filter":"res.other.*.*"}`, "$JS.API.STREAM.DELETE.RESULTS"},
		{"vault", "state.STREAM.PURGE.RESULTS", `{"filter":"res.other.*.*"}`, "$JS.API.STREAM.PURGE.NOTICES"},
		{"courier", "$JS.API.DIRECT.GET.ENVELOPES", `{"seq":1,"batch":9}`, "$JS.API.STREAM.DELETE.ENVELOPES"},
		{"courier", "$JS.API.DIRECT.GET.RESULTS", `{"seq":1}`, "$JS.API.STREAM.DELETE.RESULTS"},
		{"courier", "$JS.API.DIRECT.GET.ENVELOPES", nothing, "$JS.API.STREAM.DELETE.ENVELOPES"},
		{"courier", "$JS.API.DIRECT.GET.ENVELOPES", nothing, "$JS.API.STREAM.PURGE.JOURNAL"},
		{"courier", "$JS.API.DIRECT.GET.RESULTS", nothing, "$JS.API.STREAM.DELETE.RESULTS"},
		{"courier", "state.STREAM.INFO.ENVELOPES", "", "$JS.API.STREAM.DELETE.ENVELOPES"},
		{"courier", "notice.position", "x", "$JS.API.STREAM.DELETE.NOTICES"},
		{"monitor", "state.STREAM.INFO.ENVELOPES", "", "$JS.API.STREAM.DELETE.ENVELOPES"},
		{"monitor", "state.STREAM.INFO.RESULTS", "", "$JS.API.STREAM.PURGE.RESULTS"},
		{"monitor", "state.STREAM.INFO.RESULTS", "", "state.STREAM.PURGE.RESULTS"},
		{"relay", "bag.relay-a", "x", "state.STREAM.PURGE.RESULTS"},
		{"courier", "res.shop.2.id", "x", "state.STREAM.PURGE.RESULTS"},
	}
}

// TestReplySubjectsReachNoOtherSide plays the attack of FACTS: the broker does not check
// permissions on reply subjects, so whoever may ask for anything can have the answer sent to the
// JetStream API of its own account.
func TestReplySubjectsReachNoOtherSide(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	mustAck(t, r.PublishBag("relay-a", "m1", []byte("a bag")))
	mustAck(t, v.PublishResult("shop", 1, "id", []byte("a result")))
	if err := v.PublishNotice(t.Context(), NoticeDirectory, []byte("a directory")); err != nil {
		t.Fatal(err)
	}
	mustAck(t, v.PublishJournal(1, "j1", []byte("entries")))

	for _, a := range attacks() {
		s.play(t, a)
		if m, err := v.BagAt(t.Context(), 1); err != nil || string(m.Data) != "a bag" {
			t.Fatalf("after %+v: bag %q, %v", a, m.Data, err)
		}
		if info, err := v.reads.info(t.Context(), streamJournal); err != nil || info.State.Last != 1 {
			t.Fatalf("after %+v: journal ends at %d, %v", a, info.State.Last, err)
		}
		if found, err := r.Results(t.Context(), "shop", 0, 1); err != nil || len(found) != 1 || string(found[0]) != "a result" {
			t.Fatalf("after %+v: results %q, %v", a, found, err)
		}
		if found, err := r.reads.get(t.Context(), streamNotices, getRequest{Last: "notice.directory"}); err != nil || len(found) != 1 {
			t.Fatalf("after %+v: directory %v, %v", a, found, err)
		}
	}

	// The control: inside one account the same attack works, so it is the accounts that held above.
	s.play(t, attack{"relay", "$JS.API.DIRECT.GET.RESULTS", nothing, "$JS.API.STREAM.DELETE.RESULTS"})
	waittest.For(t, "the relay's own stream to be gone", func() bool {
		_, err := r.reads.info(t.Context(), streamResults)
		return err != nil
	})
}

// play makes an attack and gives the broker time to act on its own answer.
func (s *site) play(t *testing.T, a attack) {
	t.Helper()
	nc, err := s.raw(t, a.role)
	if err != nil {
		t.Fatalf("%s: %v", a.role, err)
	}
	defer nc.Close()
	if err := nc.PublishRequest(a.subject, a.reply, []byte(a.body)); err != nil {
		t.Fatal(err)
	}
	if refused(t, nc) {
		t.Errorf("%+v was refused: the attack was not played", a)
	}
	time.Sleep(20 * time.Millisecond)
}

// TestVisitorsReadThroughTheirOwnAccount shows that courier and monitor can do their work.
func TestVisitorsReadThroughTheirOwnAccount(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	for i := range 20 {
		mustAck(t, r.PublishBag("relay-a", string(textf("m%d", i)), textf("bag %d", i)))
	}
	mustAck(t, v.PublishResult("shop", 1, "id", []byte("a result")))
	visit := func(role string) *link {
		key := func() (nkeys.KeyPair, error) { return readSeed(s.seeds[role]) }
		l, err := dialWith(key, role, s.options(role), nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.close)
		return l
	}
	courier := visit("courier")
	bags, err := courier.get(t.Context(), streamEnvelopes, getRequest{Sequence: 3, Batch: 100, MaxBytes: fetchBytes})
	if err != nil || len(bags) != 18 || string(bags[17].Data) != "bag 19" {
		t.Fatalf("courier reads %d bags: %v", len(bags), err)
	}
	results, err := courier.get(t.Context(), streamResults, getRequest{MultiLast: []string{"res.shop.1.*"}, Batch: 10})
	if err != nil || len(results) != 1 {
		t.Fatalf("courier reads %d results: %v", len(results), err)
	}
	for _, role := range []string{"courier", "monitor"} {
		js, err := jetstream.NewWithAPIPrefix(visit(role).nc, statePrefix)
		if err != nil {
			t.Fatal(err)
		}
		for stream := range streamOwners() {
			if info, err := js.Stream(t.Context(), stream); err != nil || info.CachedInfo().Config.MaxBytes == 0 {
				t.Errorf("%s asks for %s: %v", role, stream, err)
			}
		}
	}
}

func TestStrangersAreRefused(t *testing.T) {
	s := startSite(t)
	s.key(t, "stranger")
	s.seeds["stolen"] = s.seeds["relay"]
	for _, role := range []string{"stranger", "stolen"} { // stolen: the relay's own key, over TCP
		if _, err := s.raw(t, role); err == nil || !strings.Contains(strings.ToLower(err.Error()), "authorization") {
			t.Errorf("%s: %v, want an authorization error", role, err)
		}
	}
	dial := func(name string, config *tls.Config) {
		conn, err := tls.Dial("tcp", s.config.Listen, config)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetDeadline(time.Now().Add(3 * time.Second))
		if n, err := conn.Read(make([]byte, 1)); err == nil {
			t.Errorf("%s: the broker spoke (%d bytes)", name, n)
		}
	}
	config, err := clientTLS(s.options("vault"))
	if err != nil {
		t.Fatal(err)
	}
	bare := config.Clone()
	bare.GetClientCertificate = nil
	dial("no client certificate", bare)
	old := config.Clone()
	old.MinVersion, old.MaxVersion = tls.VersionTLS12, tls.VersionTLS12
	dial("TLS 1.2", old)
}

func TestNothingIsSaidWithoutTLS(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	_, err := nats.Connect("nats://"+s.config.Listen, nats.Timeout(500*time.Millisecond), nats.NoReconnect())
	if err == nil {
		t.Fatal("the broker greeted a plain connection")
	}
}

func TestAnImpostorBrokerIsNotTalkedTo(t *testing.T) {
	s, other := startSite(t), newSite(t)
	options := s.options("vault")
	options.CA = other.file("ca.pem")
	v, err := DialVault(t.Context(), options)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	waittest.For(t, "the reason", func() bool {
		err := <-v.PublishResult("shop", 1, "id", []byte("result"))
		return errors.Is(err, ErrUnavailable) && strings.Contains(err.Error(), "certificate")
	})
	if v.Connected() {
		t.Fatal("connected")
	}
}
