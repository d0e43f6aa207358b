package envelope

import (
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
)

const vaultName = "vault.example"

// vaultKeys are the first, second and third key of one vault.
func vaultKeys(t testing.TB) (a, b, c *note.Signer) {
	return vector.Signer(t, vaultName, vaultName), vector.Signer(t, vaultName, "next "+vaultName), vector.Signer(t, vaultName, "third "+vaultName)
}

// issue makes a directory note of a generation and serial that lists the keys of listed and is
// signed by signers.
func issue(t testing.TB, generation, serial uint64, listed []*note.Signer, signers ...*note.Signer) []byte {
	t.Helper()
	d := directoryValue(t)
	d.Generation, d.Serial, d.Signers = generation, serial, nil
	for _, s := range listed {
		d.Signers = append(d.Signers, s.Verifier())
	}
	signed, err := Sign(d, signers...)
	if err != nil {
		t.Fatal(err)
	}
	return signed.Note
}

func TestPinRefusesRollBack(t *testing.T) {
	a, _, _ := vaultKeys(t)
	list := []*note.Signer{a}
	other := directoryValue(t)
	other.Generation, other.Serial, other.Relays = 2, 7, nil
	forked, err := Sign(other, a)
	if err != nil {
		t.Fatal(err)
	}
	pin := NewPin(a.Verifier(), 5)
	for _, step := range []struct {
		name string
		msg  []byte
		err  error
	}{
		{"below the minimum serial", issue(t, 1, 4, list, a), ErrRolledBack},
		{"the minimum serial", issue(t, 1, 5, list, a), nil},
		{"the same again", issue(t, 1, 5, list, a), nil},
		{"a lower serial", issue(t, 1, 4, list, a), ErrRolledBack},
		{"a higher serial", issue(t, 1, 9, list, a), nil},
		{"a higher generation may begin at a lower serial", issue(t, 2, 7, list, a), nil},
		{"a lower generation, whatever its serial", issue(t, 1, 99, list, a), ErrRolledBack},
		{"another text under the serial seen", forked.Note, ErrRolledBack},
	} {
		if _, err := pin.Directory(step.msg, moment); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
}

func TestPinRefusesExpiredAndForeign(t *testing.T) {
	a, _, _ := vaultKeys(t)
	pin := NewPin(a.Verifier(), 0)
	msg := issue(t, 1, 1, []*note.Signer{a}, a)
	if _, err := pin.Directory(msg, moment.Add(48*time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("at its expiry: %v", err)
	}
	if _, err := pin.Directory(msg, moment.Add(48*time.Hour-time.Second)); err != nil {
		t.Errorf("a second before its expiry: %v", err)
	}
	m := membersFamily(t)
	expired, err := Sign(m.value, m.signer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pin.Members(expired.Note, moment.Add(48*time.Hour)); !errors.Is(err, ErrExpired) {
		t.Errorf("members at expiry: %v", err)
	}
	if _, err := NewPin(vector.Signer(t, vaultName, "impostor").Verifier(), 0).Directory(msg, moment); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("of another key: %v", err)
	}
}

// TestPinFollowsRotation: a new key counts once a directory signed by old and new lists it, and not
// before.
func TestPinFollowsRotation(t *testing.T) {
	a, b, c := vaultKeys(t)
	pin := NewPin(a.Verifier(), 0)
	for _, step := range []struct {
		name string
		msg  []byte
		err  error
	}{
		{"the new key alone, listed by itself", issue(t, 1, 1, []*note.Signer{a, b}, b), note.ErrUnverified},
		{"the old key alone lists the new", issue(t, 1, 2, []*note.Signer{a, b}, a), nil},
		{"the new key, listed but never signed together", issue(t, 1, 3, []*note.Signer{a, b}, b), note.ErrUnverified},
		{"both sign, the new one is not listed", issue(t, 1, 4, []*note.Signer{a}, a, b), nil},
		{"the new key, signed together but not listed", issue(t, 1, 5, []*note.Signer{a, b}, b), note.ErrUnverified},
		{"both sign and both are listed", issue(t, 1, 6, []*note.Signer{a, b}, a, b), nil},
		{"the new key alone now counts", issue(t, 1, 7, []*note.Signer{a, b}, b), nil},
		{"the old key is listed no more", issue(t, 1, 8, []*note.Signer{b}, b), nil},
		{"the old key is back", issue(t, 1, 9, []*note.Signer{a, b}, a), note.ErrUnverified},
		{"signed by a key that is not listed", issue(t, 1, 10, []*note.Signer{c}, b, c), note.ErrUnverified},
	} {
		if _, err := pin.Directory(step.msg, moment); !errors.Is(err, step.err) {
			t.Errorf("%s: %v", step.name, err)
		}
	}
	if trusted := pin.Trusted(); len(trusted) != 1 || trusted[0] != b.Verifier() {
		t.Errorf("in the end these are trusted: %v", trusted)
	}
}

// TestListedSignersCountForResults: results of an old key stay good while the directory lists it.
func TestListedSignersCountForResults(t *testing.T) {
	a, b, _ := vaultKeys(t)
	pin := NewPin(b.Verifier(), 0)
	if slices.Contains(pin.Signers(), a.Verifier()) {
		t.Error("a key counts that nothing lists")
	}
	if _, err := pin.Directory(issue(t, 1, 1, []*note.Signer{a, b}, b), moment); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(pin.Signers(), a.Verifier()) || !slices.Contains(pin.Signers(), b.Verifier()) {
		t.Error("a listed key does not count for results")
	}
	if slices.Contains(pin.Trusted(), a.Verifier()) {
		t.Error("a listed key counts for directories")
	}
}

func TestPinOfMembersAndPositions(t *testing.T) {
	a, _, _ := vaultKeys(t)
	pin := NewPin(a.Verifier(), 0)
	members := func(generation, serial uint64) error {
		v := membersFamily(t).value
		v.Generation, v.Serial = generation, serial
		_, err := pin.Members([]byte(rawSigned(t, v, vaultName)), moment)
		return err
	}
	position := func(generation uint64, issued time.Duration, number uint64) error {
		v := positionFamily(t).value
		v.Generation, v.Issued, v.Relays[0].Number = generation, at(issued), number
		_, err := pin.Position([]byte(rawSigned(t, v, vaultName)), moment)
		return err
	}
	for _, step := range []struct {
		name string
		err  error
		want error
	}{
		{"members", members(1, 5), nil},
		{"a lower serial", members(1, 4), ErrRolledBack},
		{"a position", position(1, time.Minute, 10), nil},
		{"another of the same second", position(1, time.Minute, 11), nil},
		{"an earlier one", position(1, 0, 12), ErrRolledBack},
		{"of a new generation, issued earlier", position(2, 0, 12), nil},
		{"members of the generation before", members(1, 6), ErrRolledBack},
		{"members of the new generation", members(2, 1), nil},
		{"a position of the generation before", position(1, time.Hour, 12), ErrRolledBack},
	} {
		if !errors.Is(step.err, step.want) {
			t.Errorf("%s: %v", step.name, step.err)
		}
	}
	other := vector.Signer(t, "other.example", vaultName)
	v := positionFamily(t).value
	v.Vault = "other.example"
	foreign, err := Sign(v, other)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pin.Position(foreign.Note, moment); !errors.Is(err, note.ErrUnverified) {
		t.Errorf("another vault's position: %v", err)
	}
}

func TestPinIsSafeForConcurrentUse(t *testing.T) {
	a, _, _ := vaultKeys(t)
	pin := NewPin(a.Verifier(), 0)
	var group sync.WaitGroup
	for serial := range uint64(8) {
		msg := issue(t, 1, serial+1, []*note.Signer{a}, a)
		group.Go(func() {
			if _, err := pin.Directory(msg, moment); err != nil && !errors.Is(err, ErrRolledBack) {
				t.Error(err)
			}
			pin.Signers()
		})
	}
	group.Wait()
	if _, err := pin.Directory(issue(t, 1, 8, []*note.Signer{a}, a), moment); err != nil {
		t.Errorf("the newest does not stand: %v", err)
	}
}

func TestDirectoryChoosesKeys(t *testing.T) {
	day := func(id uint32, suite Suite, from time.Duration) DirectoryKey {
		return DirectoryKey{MakeKeyName(KindDay, id, suite), suite, nil, at(from), at(from + 24*time.Hour), at(from + 168*time.Hour)}
	}
	d := Directory{Keys: []DirectoryKey{
		day(1, SuiteXWing, -30*time.Hour), day(2, SuiteXWing, -6*time.Hour), day(3, SuiteXWing, -12*time.Hour), day(4, SuiteXWing, time.Hour),
		day(5, SuiteX25519, -time.Hour), day(6, SuiteXWing, -168*time.Hour),
	}}
	if k, ok := d.Newest(KindDay, SuiteXWing, moment); !ok || k.Name.ID() != 2 {
		t.Errorf("the newest is %s", k.Name)
	}
	if k, ok := d.Newest(KindDay, SuiteXWing, moment.Add(time.Hour)); !ok || k.Name.ID() != 4 {
		t.Errorf("at its from, the newest is %s", k.Name)
	}
	if k, ok := d.Newest(KindDay, SuiteX25519, moment.Add(23*time.Hour)); ok {
		t.Errorf("at its until, %s is still used", k.Name)
	}
	if _, ok := d.Newest(KindCode, SuiteXWing, moment); ok {
		t.Error("a code key is found where there is none")
	}
	for _, c := range []struct {
		id   uint32
		part PartName
		ok   bool
	}{
		{2, PartOrder, true}, {2, PartAccount, true}, {2, PartCode, false}, {2, PartResult, false},
		{1, PartOrder, true}, {4, PartOrder, false}, {6, PartOrder, false}, {99, PartOrder, false},
	} {
		_, err := d.Accepts(MakeKeyName(KindDay, c.id, SuiteXWing), c.part, moment)
		if (err == nil) != c.ok || err != nil && !errors.Is(err, ErrUnknownKey) {
			t.Errorf("key %d for %s: %v", c.id, c.part, err)
		}
	}
}

func TestSignRefusesOtherNames(t *testing.T) {
	e := envelopeFamily(t)
	if _, err := Sign(e.value, vector.Signer(t, "other-shop", "other-shop")); !errors.Is(err, ErrMalformed) {
		t.Errorf("an envelope under another merchant's name: %v", err)
	}
	r := resultFamily(t)
	if _, err := Sign(r.value, vector.Signer(t, "Vault", "Vault")); !errors.Is(err, ErrMalformed) {
		t.Errorf("a result under a name that is no vault's: %v", err)
	}
	e.value.ID = "1"
	if _, err := Sign(e.value, e.signer); !errors.Is(err, ErrMalformed) {
		t.Errorf("an envelope that no reader takes: %v", err)
	}
	big := membersFamily(t)
	big.value.Merchants = nil
	for i := range 26 * 26 * 26 {
		name := "merchant-" + string([]byte{byte('a' + i/676), byte('a' + i/26%26), byte('a' + i%26)})
		big.value.Merchants = append(big.value.Merchants, Member{ID: name + "-of-a-long-name", Status: MemberActive})
	}
	if _, err := Sign(big.value, big.signer); !errors.Is(err, note.ErrTooLarge) {
		t.Errorf("members over a million bytes: %v", err)
	}
}

// TestRead: a statement read once can be verified later, and Parts come in their order.
func TestRead(t *testing.T) {
	f := envelopeFamily(t)
	signed, err := Sign(f.value, f.signer)
	if err != nil {
		t.Fatal(err)
	}
	u, err := Read[Envelope](signed.Note)
	if err != nil {
		t.Fatal(err)
	}
	if ids := u.KeyIDs(); len(ids) != 1 || ids[0] != f.signer.Verifier().ID() || u.Digest() != signed.Digest {
		t.Errorf("read as of %v with digest %s", ids, u.Digest())
	}
	if opened, err := u.Verify(f.signer.Verifier()); err != nil || opened.Digest != signed.Digest {
		t.Errorf("does not verify: %v", err)
	}
	var names []PartName
	for name, p := range u.Value.Parts {
		if err := p.CheckForm(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		names = append(names, name)
	}
	if !slices.Equal(names, []PartName{PartOrder, PartAccount, PartCode}) {
		t.Errorf("the parts are %v", names)
	}
}
