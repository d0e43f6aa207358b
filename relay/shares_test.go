package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"nightdrop/relay/internal/ingest"
	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// publishFor gives the relay a directory that lists some relays, and some merchants.
func (s *site) publishFor(v *channel.Vault, relays []note.Verifier, shops ...*note.Signer) {
	s.t.Helper()
	now := time.Now()
	directory, err := envelope.Sign(envelope.Directory{Vault: "vault.example", Serial: 1, Generation: 1, Issued: envelope.At(now), Expires: envelope.At(now.Add(time.Hour)),
		Signers: []note.Verifier{s.keys.Verifier()}, Relays: relays, Keys: []envelope.DirectoryKey{{Name: "day-0a0b0c0d-x25519",
			Suite: envelope.SuiteX25519, Public: make([]byte, 32), From: envelope.At(now.Add(-time.Hour)), Until: envelope.At(now.Add(time.Hour)), Dies: envelope.At(now.Add(2 * time.Hour))}}}, s.keys)
	s.check(err)
	m := envelope.Members{Vault: "vault.example", Generation: 1, Serial: 1, Issued: envelope.At(now), Expires: envelope.At(now.Add(time.Hour))}
	for _, shop := range shops {
		m.Merchants = append(m.Merchants, envelope.Member{ID: shop.Name(), Verifiers: []note.Verifier{shop.Verifier()}, Status: envelope.MemberActive})
	}
	members, err := envelope.Sign(m, s.keys)
	s.check(err)
	s.check(v.PublishNotice(s.t.Context(), channel.NoticeDirectory, directory.Note))
	s.check(v.PublishNotice(s.t.Context(), channel.NoticeMembers, members.Note))
}

// large returns a new envelope of a shop, of some 9 KB.
func (s *site) large(shop *note.Signer) []byte {
	s.t.Helper()
	part := func(plain int) envelope.Part {
		sealed := make([]byte, envelope.SuiteX25519.Overhead()+plain)
		copy(sealed, []byte{1, 0x0a, 0x0b, 0x0c, 0x0d})
		return envelope.Part{Key: "day-0a0b0c0d-x25519", Sealed: sealed}
	}
	account := part(2048)
	signed, err := envelope.Sign(envelope.Envelope{Merchant: shop.Name(), ID: uuid.NewString(), Created: envelope.At(time.Now()),
		Until: envelope.At(time.Now().Add(time.Hour)), Order: part(2048), Account: &account}, shop)
	s.check(err)
	return signed.Note
}

// state asks the admin listener whether the relay is ready.
func (s *site) state() (status int, state ingest.State) {
	s.t.Helper()
	status, body := s.admin("/readyz")
	s.check(json.Unmarshal([]byte(body), &state))
	return status, state
}

// status runs relay status.
func (s *site) status(args ...string) (code int, out string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(s.t.Context(), append([]string{"status", "--admin", s.addresses["admin"]}, args...), &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// bytesOf returns what a stream holds.
func (s *site) bytesOf(stream string) int64 {
	s.t.Helper()
	_, state := s.state()
	for _, one := range state.Streams {
		if one.Name == stream {
			return one.Bytes
		}
	}
	s.t.Fatalf("nothing is reported of %s", stream)
	return 0
}

// TestOneMerchantDoesNotStopTheOthers floods a relay whose ENVELOPES is small: first with one
// envelope, then with new ones.
func TestOneMerchantDoesNotStopTheOthers(t *testing.T) {
	s := newSite(t)
	s.append("envelope_bytes = 12582912")
	s.serve()
	v := s.vault()
	other, err := note.GenerateSigner("shop-two")
	s.check(err)
	s.publishFor(v, []note.Verifier{s.relay}, s.shop, other)
	s.eventually("readiness", func() bool { status, _ := s.admin("/readyz"); return status == 200 })

	one := s.large(s.shop)
	_, want := s.post(one)
	for range 500 {
		if status, receipt := s.post(one); status != 202 || receipt != want {
			t.Fatalf("posted again: %d, receipt %+v, want %+v", status, receipt, want)
		}
	}
	s.eventually("a look at ENVELOPES", func() bool { return s.bytesOf("ENVELOPES") > 0 })
	if got := s.bytesOf("ENVELOPES"); got > 30_000 {
		t.Errorf("ENVELOPES holds %d bytes after one envelope of %d was posted 501 times", got, len(one))
	}

	refused := 0
	for n := 0; n < 1500 && refused == 0; n++ {
		if status, _ := s.post(s.large(s.shop)); status != 202 {
			refused = status
		}
	}
	if refused != http.StatusTooManyRequests {
		t.Errorf("a merchant that goes on posting gets %d, want 429", refused)
	}
	if status, _ := s.post(s.large(other)); status != 202 {
		t.Errorf("another merchant gets %d", status)
	}
	code, out := s.status()
	if code != 0 || !strings.Contains(out, "ENVELOPES") || !strings.Contains(out, "shop-one") || !strings.Contains(out, "yes") {
		t.Errorf("relay status: exit code %d\n%s", code, out)
	}
	if status, body := s.admin("/metrics"); status != 200 || !strings.Contains(body, `nightdrop_relay_merchant_uncommitted_bytes{merchant="shop-one"}`) ||
		!strings.Contains(body, `nightdrop_relay_stream_limit_bytes{stream="ENVELOPES"} 1.2582912e+07`) {
		t.Errorf("/metrics: %d", status)
	}

	// The vault commits what there is.
	_, places := s.bags(v, 10)
	run := ""
	for _, place := range places {
		run, _, _ = strings.Cut(place, "/")
	}
	position, err := envelope.Sign(envelope.Position{Vault: "vault.example", Generation: 1, Issued: envelope.At(time.Now()),
		Relays: []envelope.PositionEntry{{Relay: "relay-one", Run: run, Number: 1_000_000, Digest: note.Digest(nil)}}}, s.keys)
	s.check(err)
	s.check(v.PublishNotice(t.Context(), channel.NoticePosition, position.Note))
	s.eventually("the share to be free", func() bool { _, state := s.state(); return state.Shares.Bytes == 0 })
	if status, _ := s.post(s.large(s.shop)); status != 202 {
		t.Errorf("after the vault has committed: %d", status)
	}
	s.check(s.finish())
	if code, _ := s.status(); code != 8 {
		t.Errorf("relay status of one that does not run: exit code %d, want 8", code)
	}
}

// append adds lines to the embedded channel's section.
func (s *site) append(lines ...string) {
	s.t.Helper()
	text, err := os.ReadFile(s.file("relay.toml"))
	s.check(err)
	s.check(os.WriteFile(s.file("relay.toml"), append(text, "\n"+strings.Join(lines, "\n")...), 0o600))
}

// TestAChannelThatIsTooSmallForItsMerchantsIsTold: at the start by the configuration, later by log,
// readiness and status.
func TestAChannelThatIsTooSmallForItsMerchantsIsTold(t *testing.T) {
	s := newSite(t)
	s.append("envelope_bytes = 12582912")
	s.serve()
	var shops []*note.Signer
	for i := range 9 {
		shop, err := note.GenerateSigner(fmt.Sprintf("shop-%d", i))
		s.check(err)
		shops = append(shops, shop)
	}
	s.publishFor(s.vault(), []note.Verifier{s.relay}, shops...)
	s.eventually("readiness", func() bool { status, _ := s.admin("/readyz"); return status == 200 })
	const want = "too small for 9 merchants"
	if _, state := s.state(); !strings.Contains(strings.Join(state.Warnings, "\n"), want) {
		t.Errorf("/readyz warns of %q", state.Warnings)
	}
	if code, out := s.status("--json"); code != 0 || !strings.Contains(out, want) || !strings.Contains(out, "raise envelope_bytes to at least") {
		t.Errorf("relay status: exit code %d\n%s", code, out)
	}
	if !strings.Contains(s.log.String(), want) {
		t.Errorf("the log says nothing of it:\n%s", s.log)
	}
	s.check(s.finish())
}

// TestARelayThatTheDirectoryDoesNotListIsNotReady lists another key of its name.
func TestARelayThatTheDirectoryDoesNotListIsNotReady(t *testing.T) {
	s := newSite(t)
	s.serve()
	former, err := note.GenerateSigner("relay-one")
	s.check(err)
	s.publishFor(s.vault(), []note.Verifier{former.Verifier()}, s.shop)
	s.eventually("the directory", func() bool { _, body := s.admin("/readyz"); return strings.Contains(body, "does not list") })
	if status, body := s.admin("/readyz"); status != 503 || !strings.Contains(body, s.relay.String()) || !strings.Contains(body, "vault.toml") {
		t.Errorf("/readyz: %d %s; want which key to add where", status, body)
	}
	if status, _ := s.post(s.envelope()); status != 503 {
		t.Errorf("a post: %d", status)
	}
	if code, out := s.status(); code != 8 || !strings.Contains(out, "does not list this relay's key") {
		t.Errorf("relay status: exit code %d\n%s", code, out)
	}
	s.check(s.finish())
}
