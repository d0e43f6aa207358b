package bagger

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/waittest"
)

// TestNobodyTakesWhatIsAnothersOwn has four merchants take all that they can get, and then one that
// had nothing take its own.
func TestNobodyTakesWhatIsAnothersOwn(t *testing.T) {
	s := newShares(Sizing{Stream: 64 << 20})
	s.share(10)
	usable := int64(48 << 20)
	if s.own != usable/2/10 || s.common != usable/2 {
		t.Fatalf("own %d, common %d", s.own, s.common)
	}
	fill := func(merchant string) (bytes int64) {
		for s.allows(merchant, 30_000) {
			s.add(merchant, 30_000)
			bytes += 30_000
		}
		return bytes
	}
	for i := range 10 {
		got, want := fill(fmt.Sprintf("shop-%d", i)), s.own
		if i < commonParts {
			want += s.common / commonParts
		}
		// steps leave over what others may have
		if slack := int64(commonParts+1) * 30_000; got > want+slack || got < want-slack {
			t.Errorf("merchant %d got %d bytes, want up to %d", i, got, want)
		}
	}
	if s.total > usable {
		t.Errorf("%d bytes in all, more than the %d that are there", s.total, usable)
	}
	// What is given back can be had again.
	s.add("shop-0", -300_000)
	if got := fill("shop-5"); got == 0 {
		t.Error("what one gave back to what is common is not to be had")
	}
	report := s.usage()
	if report.Over == 0 || report.Bytes != s.total || len(report.Merchants) != 10 || report.Merchants[0].Bytes < report.Merchants[9].Bytes {
		t.Errorf("report %+v", report)
	}
	var borrowed int64
	s.share(1000)
	for _, bytes := range s.taken {
		borrowed += s.beyond(bytes)
	}
	if s.borrowed != borrowed {
		t.Errorf("after a new division %d bytes are taken to be borrowed, want %d", s.borrowed, borrowed)
	}
}

func TestSizing(t *testing.T) {
	valid := []struct {
		sizing Sizing
		wrong  string // "" = nothing
	}{
		{Sizing{Stream: 4 << 30}, ""}, {Sizing{Stream: 4 << 30, MerchantBytes: 1 << 30}, ""},
		{Sizing{Stream: 1 << 20}, "at least 4194304"}, {Sizing{Stream: 4 << 30, MerchantBytes: 1000}, "at least 65536"},
		{Sizing{Stream: 4 << 30, MerchantBytes: -1}, "at least 65536"}, {Sizing{Stream: 4 << 30, MerchantBytes: 2 << 30}, "at most 1610612736"},
	}
	for _, test := range valid {
		if err := test.sizing.Valid(); (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%+v: %v, want %q", test.sizing, err, test.wrong)
		}
	}
	for _, sizing := range []Sizing{{Stream: 4 << 30}, {Stream: 4 << 30, MerchantBytes: 3 << 20}} {
		if most := int(sizing.Merchants()); sizing.Check(most) != nil || sizing.Check(most+1) == nil {
			t.Errorf("%+v is said to do for %d merchants: %v, and one more: %v", sizing, most, sizing.Check(most), sizing.Check(most+1))
		}
	}
	// The size that a check asks for passes it; one that is a little smaller does not.
	for _, share := range []int64{0, 3_000_000} {
		for _, merchants := range []int{1, 7, 1000} {
			var need int64
			err := Sizing{Stream: 4 << 20, MerchantBytes: share}.Check(merchants)
			if err == nil {
				continue
			}
			text := err.Error()[strings.Index(err.Error(), "to at least ")+len("to at least "):]
			if _, err := fmt.Sscanf(text, "%d", &need); err != nil {
				t.Fatalf("%q: %v", text, err)
			}
			if err := (Sizing{Stream: need, MerchantBytes: share}).Check(merchants); err != nil {
				t.Errorf("%d merchants in the %d bytes that were asked for: %v", merchants, need, err)
			}
			if (Sizing{Stream: need - need/50, MerchantBytes: share}).Check(merchants) == nil {
				t.Errorf("%d merchants fit into less than the %d bytes that were asked for", merchants, need)
			}
		}
	}
	if err := (Sizing{}).Check(1 << 20); err != nil {
		t.Errorf("a stream of unknown size: %v", err)
	}
}

// TestAShareIsGivenBackWhenTheVaultHasCommitted counts what a merchant has in the channel, to the
// byte.
func TestAShareIsGivenBackWhenTheVaultHasCommitted(t *testing.T) {
	f, _ := clocked(t, func(c *Config) { c.Sizing = Sizing{Stream: 4 << 20} })
	if err := f.Share(1); err != nil {
		t.Fatal(err)
	}
	var published int64
	post := func() {
		t.Helper()
		done := f.submit(t.Context(), strings.Repeat("x", 10_000))
		a := f.channel.next(t)
		published += int64(len(a.msg))
		a.ack <- nil
		if got := wait(t, done); got.err != nil {
			t.Fatal(got.err)
		}
	}
	for range 3 * stretchBags / 2 {
		post()
	}
	if got := f.Shares(); got.Bytes != published || got.Merchants[0].Bytes != published || got.Merchants[0].Over {
		t.Errorf("%+v; want %d bytes, the size of all bags", got, published)
	}
	f.Committed(stretchBags) // the second stretch is not complete yet, so it stays whole
	if got, least := f.Shares().Bytes, published/3; got < least || got > least+published/100 {
		t.Errorf("%d bytes after two thirds were committed, want about %d", got, least)
	}
	f.Committed(3 * stretchBags / 2)
	f.Committed(1) // a position goes back after a restore: nothing is counted twice
	if got := f.Shares(); got.Bytes != 0 || len(got.Merchants) != 0 {
		t.Errorf("%+v after all was committed", got)
	}
	post()
	f.Committed(3*stretchBags/2 + 1)
	if got := f.Shares().Bytes; got != 0 {
		t.Errorf("%d bytes after all was committed again", got)
	}
	// A position may come before the ack that it follows.
	done := f.submit(t.Context(), "fast vault")
	a := f.channel.next(t)
	f.Committed(3*stretchBags/2 + 2)
	a.ack <- nil
	wait(t, done)
	waittest.For(t, "its bytes to be given back", func() bool { return f.Shares().Bytes == 0 })
}

func TestWhatIsNotTakenCostsNoShare(t *testing.T) {
	f, _ := clocked(t, func(c *Config) { c.Sizing = Sizing{Stream: 4 << 20, MerchantBytes: 64 << 10} })
	// Twenty merchants leave nothing that is common: two envelopes of 30 KB are a merchant's own,
	// and no third.
	if err := f.Share(48); err != nil {
		t.Fatal(err)
	}
	big := strings.Repeat("x", 30_000)
	first := f.submit(t.Context(), big)
	a := f.channel.next(t)
	waiting := f.submit(t.Context(), big)
	waittest.For(t, "the second", func() bool { n, _ := f.Waiting(); return n == 1 })
	third := fresh(big)
	if _, err := f.Submit(t.Context(), third); !errors.Is(err, ErrShare) || !errors.Is(f.Room(third), ErrShare) {
		t.Errorf("a third: %v and %v, want ErrShare", err, f.Room(third))
	}
	other := third
	other.Merchant = "shop-two"
	if err := f.Room(other); err != nil {
		t.Errorf("another merchant: %v", err)
	}
	a.ack <- channel.ErrFull // answered to both; the second is in no bag
	wait(t, first)
	wait(t, waiting)
	f.channel.next(t).ack <- nil
	waittest.For(t, "room", func() bool { return f.Trouble() == nil })
	if err := f.Room(third); err != nil {
		t.Errorf("after the second was turned away: %v", err)
	}
	if got := f.Shares().Merchants; len(got) != 1 || got[0].Refused != 2 {
		t.Errorf("merchants %+v, want one that was refused twice", got)
	}
}
