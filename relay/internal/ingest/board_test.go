package ingest

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/channel"
	"nightdrop/shared/config"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/waittest"
)

// boardSite has keys but no network, and a clock that the test turns.
func boardSite(t *testing.T) (s *site, now *time.Time, log *bytes.Buffer) {
	t.Helper()
	s = &site{t: t, shops: map[string]*note.Signer{}}
	s.signer, s.keys = s.newSigner("relay-1"), s.newSigner(vaultName)
	for _, name := range []string{shop, otherShop, suspended} {
		s.shops[name] = s.newSigner(name)
	}
	s.makeKeys()
	clock := time.Now()
	log = new(bytes.Buffer)
	s.board = NewBoard(envelope.NewPin(s.keys.Verifier(), 3), s.signer.Verifier(), func() time.Time { return clock }, slog.New(slog.NewTextHandler(log, nil)))
	return s, &clock, log
}

func (s *site) heldSerial() uint64 {
	if d := s.board.Directory(); d != nil {
		return d.Value.Serial
	}
	return 0
}

func TestTheBoardBelievesOnlyThePinnedVault(t *testing.T) {
	s, _, log := boardSite(t)
	other := *s
	other.keys = s.newSigner(vaultName)
	refused := map[string][]byte{
		"another key":       other.directory(4, nil),
		"below the minimum": s.directory(2, nil),
		"expired": s.directory(4, func(d *envelope.Directory) {
			d.Issued, d.Expires = envelope.At(time.Now().Add(-2*time.Hour)), envelope.At(time.Now().Add(-time.Hour))
		}),
		"another vault":       s.foreignDirectory(),
		"a members note":      s.members(4),
		"not a note":          []byte("directory"),
		"cut short":           s.directory(4, nil)[:200],
		"nothing":             nil,
		"with another's line": append(s.directory(4, nil), "— "+vaultName+" AAAA\n"...),
	}
	for name, msg := range refused {
		s.board.Offer(channel.NoticeDirectory, msg)
		if s.heldSerial() != 0 {
			t.Errorf("%s was believed", name)
		}
	}
	if got := strings.Count(log.String(), "a notice was refused"); got != len(refused) {
		t.Errorf("%d refusals were logged, want %d", got, len(refused))
	}
}

func (s *site) foreignDirectory() []byte {
	elsewhere := s.newSigner("elsewhere.example")
	d := envelope.Directory{Vault: "elsewhere.example", Serial: 9, Generation: 1, Issued: envelope.At(time.Now()),
		Expires: envelope.At(time.Now().Add(time.Hour)), Signers: []note.Verifier{elsewhere.Verifier()}}
	return sign(s, d, elsewhere)
}

func TestTheBoardNeverGoesBack(t *testing.T) {
	s, now, _ := boardSite(t)
	s.board.Offer(channel.NoticeDirectory, s.directory(5, nil))
	s.board.Offer(channel.NoticeDirectory, s.directory(4, nil))
	if s.heldSerial() != 5 {
		t.Fatalf("serial %d after an older directory, want 5", s.heldSerial())
	}
	s.board.Offer(channel.NoticeDirectory, s.directory(6, nil))
	if s.heldSerial() != 6 {
		t.Fatalf("serial %d after a newer directory, want 6", s.heldSerial())
	}
	s.board.Offer(channel.NoticeDirectory, s.directory(1, func(d *envelope.Directory) { d.Generation = 2 }))
	if s.heldSerial() != 1 {
		t.Errorf("serial %d after a takeover, want 1", s.heldSerial())
	}
	s.board.Offer(channel.NoticeMembers, s.members(1))
	if s.board.HasMembers() {
		t.Error("members of the fenced generation were believed")
	}
	*now = now.Add(49 * time.Hour)
	if s.board.Directory() != nil {
		t.Error("an expired directory is still in force")
	}
}

func TestMembersExpire(t *testing.T) {
	s, now, _ := boardSite(t)
	if _, _, known := s.board.Member(shop); known {
		t.Error("members are known before any came")
	}
	s.board.Offer(channel.NoticeMembers, s.members(1))
	if m, found, known := s.board.Member(shop); !known || !found || m.Status != envelope.MemberActive {
		t.Errorf("member %+v, %v, %v", m, found, known)
	}
	if _, found, known := s.board.Member("stranger"); found || !known {
		t.Error("a stranger is a member")
	}
	*now = now.Add(2 * time.Hour)
	if _, found, known := s.board.Member(shop); known || found {
		t.Error("an expired list is still in force")
	}
}

// TestANewSigner follows a rotation of the vault's key, whose members came before the directory
// that explains it.
func TestANewSigner(t *testing.T) {
	s, _, _ := boardSite(t)
	s.board.Offer(channel.NoticeDirectory, s.directory(4, nil))
	old, fresh := s.keys, s.newSigner(vaultName)
	s.keys = fresh
	s.board.Offer(channel.NoticeMembers, s.members(9))
	if s.board.HasMembers() {
		t.Fatal("a key that no directory lists was believed")
	}
	both := envelope.Directory{Vault: vaultName, Serial: 5, Generation: 1, Issued: envelope.At(time.Now()), Expires: envelope.At(time.Now().Add(time.Hour)),
		Signers: []note.Verifier{old.Verifier(), fresh.Verifier()}, Relays: []note.Verifier{s.signer.Verifier()}}
	signed, err := envelope.Sign(both, old, fresh)
	s.check(err)
	s.board.Offer(channel.NoticeDirectory, signed.Note)
	if !s.board.HasMembers() {
		t.Error("members by the new key were not taken up after the directory")
	}
}

func TestPositionAndCheckpoint(t *testing.T) {
	s, _, log := boardSite(t)
	if s.board.Position() != nil || s.board.Checkpoint() != nil {
		t.Error("a fresh board shows something")
	}
	position := sign(s, envelope.Position{Vault: vaultName, Generation: 1, Issued: envelope.At(time.Now())}, s.keys)
	checkpoint := func(size int64, signer *note.Signer) []byte {
		msg, err := proof.SignCheckpoint(proof.Checkpoint{Origin: vaultName, Size: size, Root: tlog.Hash{1}}, signer)
		s.check(err)
		return msg
	}
	s.board.Offer(channel.NoticePosition, position)
	s.board.Offer(channel.NoticeCheckpoint, checkpoint(7, s.newSigner(vaultName)))
	if !bytes.Equal(s.board.Position(), position) || s.board.Checkpoint() != nil {
		t.Error("the position was refused, or a stranger's checkpoint believed")
	}
	seven, six := checkpoint(7, s.keys), checkpoint(6, s.keys)
	s.board.Offer(channel.NoticeCheckpoint, seven)
	if !bytes.Equal(s.board.Checkpoint(), seven) {
		t.Error("the checkpoint was refused")
	}
	s.board.Offer(channel.NoticeCheckpoint, six)
	if !strings.Contains(log.String(), "the vault's log has become shorter") {
		t.Error("a shorter log was not logged")
	}
	s.board.Offer("gossip", six)
	if !strings.Contains(log.String(), "unknown kind") {
		t.Error("a notice of an unknown kind was not logged")
	}
}

func TestNoticesAreServedAsTheyCame(t *testing.T) {
	s := newSite(t, nil)
	directory := s.directory(2, nil)
	position := sign(s, envelope.Position{Vault: vaultName, Generation: 1, Issued: envelope.At(time.Now())}, s.keys)
	checkpoint, err := proof.SignCheckpoint(proof.Checkpoint{Origin: vaultName, Size: 1, Root: tlog.Hash{1}}, s.keys)
	s.check(err)
	for path, notice := range map[string]struct {
		kind channel.Notice
		msg  []byte
	}{
		"/v1/directory": {channel.NoticeDirectory, directory}, "/v1/position": {channel.NoticePosition, position}, "/v1/log/checkpoint": {channel.NoticeCheckpoint, checkpoint},
	} {
		s.publish(notice.kind, notice.msg)
		waittest.For(s.t, path, func() bool { return bytes.Equal(s.get(path).body, notice.msg) })
		if answer := s.get(path); answer.status != 200 || answer.header.Get("Content-Type") != "text/plain; charset=utf-8" {
			t.Errorf("%s: %d %v", path, answer.status, answer.header)
		}
	}
}

func TestARelayThatIsNotListedSaysSo(t *testing.T) {
	s, _, log := boardSite(t)
	s.board.Offer(channel.NoticeDirectory, s.directory(4, func(d *envelope.Directory) { d.Relays = nil }))
	if s.heldSerial() != 4 || !strings.Contains(log.String(), "does not list this relay's key") {
		t.Errorf("serial %d, log %s", s.heldSerial(), log)
	}
}

func TestWatchTriesAgain(t *testing.T) {
	s, _, _ := boardSite(t)
	ctx, cancel := context.WithCancel(t.Context())
	calls := 0
	s.board.Watch(ctx, func(_ context.Context, offer func(channel.Notice, []byte)) error {
		if calls++; calls == 1 {
			return channel.ErrUnavailable
		}
		offer(channel.NoticeDirectory, s.directory(4, nil))
		cancel()
		return ctx.Err()
	})
	if s.heldSerial() != 4 || calls != 2 {
		t.Errorf("serial %d after %d calls", s.heldSerial(), calls)
	}
}

func TestTheAdminListener(t *testing.T) {
	s := newSite(t, func(p *plan) { p.silent = true })
	s.metrics.Watch(s.bags.Waiting, func() (time.Time, bool) { return time.Time{}, false }, func() []config.Validity { return nil })
	admin := NewAdminServer(s.edge, slog.New(slog.DiscardHandler)).Handler
	get := func(path string) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		admin.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		return w
	}
	if w := get("/healthz"); w.Code != 200 {
		t.Errorf("/healthz: %d", w.Code)
	}
	if w := get("/readyz"); w.Code != 503 || !strings.Contains(w.Body.String(), "no directory") || !strings.Contains(w.Body.String(), "no members") {
		t.Errorf("/readyz before the vault spoke: %d %s", w.Code, w.Body)
	}
	s.publish(channel.NoticeDirectory, s.directory(1, nil))
	s.publish(channel.NoticeMembers, s.members(1))
	waittest.For(s.t, "readiness", func() bool { return get("/readyz").Code == 200 })
	s.post([]byte("x"))
	s.post(sign(s, s.envelope(), s.shops[shop]))
	// The bag is counted after its envelopes' posts are answered.
	waittest.For(s.t, "the count of bags", func() bool {
		return strings.Contains(get("/metrics").Body.String(), "nightdrop_relay_bag_envelopes_count 1")
	})
	metrics := get("/metrics").Body.String()
	for _, want := range []string{
		`nightdrop_relay_requests_total{answer="malformed",call="post"} 1`, `nightdrop_relay_requests_total{answer="ok",call="post"} 1`,
		"nightdrop_relay_accept_seconds_count 1", "nightdrop_relay_bag_envelopes_sum 1", "nightdrop_relay_bag_failures_total 0",
		"nightdrop_relay_envelopes_waiting 0", "nightdrop_relay_bags_in_flight 0", "go_goroutines", "process_resident_memory_bytes",
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("the metrics do not say %s", want)
		}
	}
	if strings.Contains(metrics, shop) {
		t.Error("a merchant stands in the metrics")
	}
}
