package keyring

import (
	"errors"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

func TestTrustedClock(t *testing.T) {
	type step struct {
		pass, jump time.Duration // monotonic and wall; wall alone
		confirm    bool
		want       Clock
		trusted    time.Duration // since start
	}
	const m, hr = time.Minute, time.Hour
	for name, steps := range map[string][]step{
		"steady":                          {{pass: 6 * hr, want: ClockSteady, trusted: 6 * hr}, {pass: 48 * hr, want: ClockSteady, trusted: 54 * hr}},
		"an hour forward is a correction": {{pass: m, jump: 59 * m, want: ClockSteady, trusted: hr}},
		"an hour back is a correction, and time stands still": {{pass: 2 * hr, jump: -hr, want: ClockSteady, trusted: hr},
			{jump: -m, want: ClockBehind, trusted: 2 * hr}},
		"over an hour forward": {{jump: hr + m, want: ClockJumped, trusted: 0}, {pass: 5 * m, want: ClockJumped, trusted: 5 * m}},
		"forward in small steps": {{pass: m, jump: 40 * m, want: ClockSteady, trusted: 41 * m},
			{pass: m, jump: 40 * m, want: ClockJumped, trusted: 41 * m}},
		"forward and corrected still waits for people": {{jump: 200 * hr, want: ClockJumped, trusted: 0},
			{pass: m, jump: -200 * hr, want: ClockJumped, trusted: m}, {confirm: true, want: ClockSteady, trusted: m}},
		"forward and confirmed": {{jump: 200 * hr, want: ClockJumped, trusted: 0},
			{confirm: true, want: ClockSteady, trusted: 200 * hr}, {pass: hr, want: ClockSteady, trusted: 201 * hr}},
		"back, and time goes on": {{jump: -200 * hr, want: ClockBehind, trusted: 0}, {pass: 3 * hr, want: ClockBehind, trusted: 3 * hr},
			{jump: 200 * hr, want: ClockSteady, trusted: 3 * hr}},
		"back and confirmed": {{jump: -200 * hr, want: ClockBehind, trusted: 0}, {confirm: true, want: ClockSteady, trusted: -200 * hr},
			{pass: hr, want: ClockSteady, trusted: -199 * hr}},
	} {
		t.Run(name, func(t *testing.T) {
			h := &manualClock{wall: start}
			c := trustedClock{elapsed: func() time.Duration { return h.elapsed }}
			c.start(start, start, true)
			for i, s := range steps {
				h.pass(s.pass)
				h.jump(s.jump)
				if s.confirm {
					c.confirm(h.wall)
				}
				status, _ := c.observe(h.wall)
				if status.Clock != s.want || status.Trusted.Sub(start) != s.trusted || !c.read().Equal(status.Trusted) {
					t.Fatalf("step %d: %s, trusted %s after start", i, status.Clock, status.Trusted.Sub(start))
				}
				if wrong := h.wall.Sub(status.Trusted); s.want != ClockSteady && status.Jump != wrong || s.want == ClockSteady && status.Jump != 0 {
					t.Fatalf("step %d: jump %s", i, status.Jump)
				}
			}
		})
	}
}

func TestClockAtStartIsComparedWithTheMark(t *testing.T) {
	const day = 24 * time.Hour
	for _, c := range []struct {
		name string
		off  time.Duration // wall minus mark
		keys bool
		want Clock
	}{
		{"restarted at once", time.Minute, true, ClockSteady},
		{"off for an hour", time.Hour, true, ClockSteady},
		{"off for a day", day, true, ClockJumped},
		{"off for a day before any key was made", day, false, ClockSteady},
		{"started in the past", -day, true, ClockBehind},
		{"started in the past without keys", -day, false, ClockBehind},
	} {
		h := &manualClock{wall: start.Add(c.off), elapsed: 1}
		k := trustedClock{elapsed: func() time.Duration { return h.elapsed }}
		k.start(start, h.wall, c.keys)
		if status, changed := k.observe(h.wall); status.Clock != c.want || changed != (c.want != ClockSteady) {
			t.Errorf("%s: %s", c.name, status.Clock)
		}
	}
}

func TestClockByNowsOwnMonotonicReading(t *testing.T) {
	dir := t.TempDir()
	shares, _, err := Create(dir, CreateOptions{Name: testVault, Shares: 1, Threshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.Unlock(shares); err != nil {
		t.Fatal(err)
	}
	if change, err := r.Tick(time.Now()); err != nil || change.Clock != ClockSteady {
		t.Fatal(change.Clock, err)
	}
	if change, err := r.Tick(time.Now().Add(3 * time.Hour)); err != nil || change.Clock != ClockJumped || !r.Suspended() {
		t.Fatal(change.Clock, err)
	}
}

func TestJumpForwardSuspendsDestructionUntilConfirmed(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	r := openVault(t, dir, h, newVault(t, dir, h, 1, 1))
	tick(t, r, h)
	code := current(t, r, envelope.KindCode, envelope.SuiteXWing, h.wall)
	p := sealed(t, code, envelope.PartCode, testMerchant, testID, "{}")

	h.jump(300 * time.Hour)
	if r.Suspended() {
		t.Fatal("suspended before the clock was looked at")
	}
	change := tick(t, r, h)
	if change.Clock != ClockJumped || change.Jump != 300*time.Hour || len(change.Created)+len(change.Destroyed) != 0 || !r.Suspended() {
		t.Fatalf("after the jump: %+v", change)
	}
	h.pass(20 * time.Minute)
	if change = tick(t, r, h); change.Clock != ClockJumped || change.Jump != 0 {
		t.Fatalf("the jump is reported twice: %+v", change)
	}
	if s := r.Clock(); s.Wall.Sub(s.Trusted) != 300*time.Hour || s.Jump != 300*time.Hour {
		t.Fatalf("status: %+v", s)
	}
	if _, err := r.OpenPart(envelope.PartCode, testMerchant, testID, p); err != nil {
		t.Fatalf("a key that lives by the trusted clock: %v", err)
	}
	if len(r.Directory(h.wall)) != 24 {
		t.Fatal("a doubted clock emptied the directory")
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := Open(dir, h.options())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := r.ConfirmClock(); !errors.Is(err, ErrLocked) {
		t.Fatalf("a locked ring takes a confirmation: %v", err)
	}
}

func TestConfirmedJumpDestroysTheDead(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 2, 3)
	r := openVault(t, dir, h, shares[:2])
	tick(t, r, h)
	code := current(t, r, envelope.KindCode, envelope.SuiteXWing, h.wall)
	day := current(t, r, envelope.KindDay, envelope.SuiteXWing, h.wall)
	pc := sealed(t, code, envelope.PartCode, testMerchant, testID, "{}")
	pd := sealed(t, day, envelope.PartOrder, testMerchant, testID, "{}")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}

	h.wall = h.wall.Add(30 * time.Hour) // switched off for a day: the normal case of a jump
	h.elapsed = 0
	r = openVault(t, dir, h, shares[1:])
	change := tick(t, r, h)
	if change.Clock != ClockJumped || change.Jump != 30*time.Hour || len(change.Destroyed) != 0 {
		t.Fatalf("%+v", change)
	}
	current(t, r, envelope.KindDay, envelope.SuiteXWing, h.wall) // made ahead
	if err := r.ConfirmClock(); err != nil {
		t.Fatal(err)
	}
	change = tick(t, r, h)
	// The code keys of yesterday 12:00, 18:00 (died at 00:00, 06:00) and today 00:00, 06:00 (12:00,
	// 18:00).
	if change.Clock != ClockSteady || len(change.Destroyed) != 2*4 || len(change.Created) == 0 || r.Suspended() {
		t.Fatalf("after the confirmation: %+v", change)
	}
	if _, err := r.OpenPart(envelope.PartCode, testMerchant, testID, pc); !errors.Is(err, ErrKeyDead) {
		t.Errorf("dead code: %v", err)
	}
	if _, err := r.OpenPart(envelope.PartOrder, testMerchant, testID, pd); err != nil {
		t.Errorf("living order: %v", err)
	}
}

func TestJumpBackNeitherResurrectsNorRemakesNorExtends(t *testing.T) {
	h := &manualClock{wall: start}
	dir := t.TempDir()
	shares := newVault(t, dir, h, 1, 1)
	r := openVault(t, dir, h, shares)
	tick(t, r, h)
	old := current(t, r, envelope.KindCode, envelope.SuiteXWing, h.wall)
	p := sealed(t, old, envelope.PartCode, testMerchant, testID, "{}")
	h.pass(13 * time.Hour)
	if change := tick(t, r, h); len(change.Destroyed) != 2 {
		t.Fatalf("%d code keys died", len(change.Destroyed))
	}
	next := current(t, r, envelope.KindCode, envelope.SuiteXWing, h.wall)

	h.jump(-13 * time.Hour)
	change := tick(t, r, h)
	if change.Clock != ClockBehind || change.Jump != -13*time.Hour || len(change.Created)+len(change.Destroyed) != 0 || r.Suspended() {
		t.Fatalf("after the jump back: %+v", change)
	}
	if _, err := r.OpenPart(envelope.PartCode, testMerchant, testID, p); !errors.Is(err, ErrKeyDead) {
		t.Errorf("a dead key came back: %v", err)
	}
	for _, k := range r.Directory(h.wall) {
		if k.From.Equal(old.From.Time) && k.Name.Kind() == envelope.KindCode {
			t.Errorf("%s was made again for a period whose key had died", k.Name)
		}
	}
	// A restart in the past does not help either.
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	r = openVault(t, dir, h, shares)
	if change := tick(t, r, h); change.Clock != ClockBehind || len(change.Created) != 0 {
		t.Fatalf("after a restart in the past: %+v", change)
	}
	// Time goes on by the monotonic clock: the living key dies when its hours have passed.
	h.pass(next.Dies.Sub(start.Add(13 * time.Hour)))
	change = tick(t, r, h)
	if change.Clock != ClockBehind || len(change.Destroyed) == 0 {
		t.Fatalf("a jump back extended a key: %+v", change)
	}
	// Custodians may set the clock back. Then there are new keys for now, and the dead stay dead.
	if err := r.ConfirmClock(); err != nil {
		t.Fatal(err)
	}
	tick(t, r, h)
	if k := current(t, r, envelope.KindCode, envelope.SuiteXWing, h.wall); k.Name == old.Name || k.Name == next.Name {
		t.Error("a dead key's name lives again")
	}
	if _, err := r.OpenPart(envelope.PartCode, testMerchant, testID, p); !errors.Is(err, ErrKeyDead) {
		t.Errorf("a dead key came back: %v", err)
	}
}
