package main

import (
	"bytes"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
)

// scan runs relay scan on the relay's directory.
func (s *site) scan() (code int, out string) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(s.t.Context(), []string{"scan", s.dir}, &stdout, &stderr)
	return code, stdout.String() + stderr.String()
}

// use posts envelopes of random parts, and answers them as the vault does.
func (s *site) use(v *channel.Vault, rounds int) {
	s.t.Helper()
	random := func(n int) []byte {
		b := make([]byte, n)
		_, _ = rand.Read(b)
		return b
	}
	for serial := range uint64(rounds) {
		sealed := random(envelope.SuiteX25519.Overhead() + 256)
		copy(sealed, []byte{1, 0x0a, 0x0b, 0x0c, 0x0d})
		signed, err := envelope.Sign(envelope.Envelope{Merchant: "shop-one", ID: uuid.NewString(), Created: envelope.At(time.Now()),
			Until: envelope.At(time.Now().Add(time.Hour)), Order: envelope.Part{Key: "day-0a0b0c0d-x25519", Sealed: sealed}}, s.shop)
		s.check(err)
		if status, _ := s.post(signed.Note); status != 202 {
			s.t.Fatalf("a post: %d", status)
		}
		s.check(<-v.PublishResult("shop-one", serial+1, signed.Value.ID, signed.Note))
		s.check(<-v.PublishJournal(1, "", random(400)))
	}
}

// TestAStoreWithoutNumbersIsScannedClean scans a relay's directory before and after use, and with a
// number in it.
func TestAStoreWithoutNumbersIsScannedClean(t *testing.T) {
	s := newSite(t)
	s.serve()
	v := s.vault()
	s.publish(v)
	if code, out := s.scan(); code != 0 || out != "" {
		t.Errorf("a new store: exit code %d\n%s", code, out)
	}
	s.use(v, 300)
	if code, out := s.scan(); code != 0 || out != "" {
		t.Errorf("a used store: exit code %d\n%s", code, out)
	}
	s.check(<-v.PublishJournal(1, "", []byte("card 4242 4242 4242 4242\n")))
	code, out := s.scan()
	if code != 7 || !strings.Contains(out, "424242******4242") || strings.Contains(out, "4242 4242") {
		t.Errorf("with a number in it: exit code %d\n%s", code, out)
	}
	s.check(s.finish())
}
