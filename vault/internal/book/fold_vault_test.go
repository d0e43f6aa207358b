package book

import (
	"slices"
	"testing"

	"nightdrop/shared/envelope"
)

func TestVaultsEvents(t *testing.T) {
	empty := &book{State: NewMemory(), t: t, now: began}
	empty.misfits("", VaultLocked{})
	b := newBook(t)
	b.misfits("", VaultCreated{Vault: "another.example"})
	b.must("", DirectoryIssued{Serial: 3})
	b.misfits("", DirectoryIssued{Serial: 3})
	b.must("", MembersIssued{Serial: 2})
	b.misfits("", MembersIssued{Serial: 1})
	b.must("", RelaysSet{Relays: []string{"r"}})
	b.must("", IntegrityFound{Finding: FindingClockForward})
	b.must("", IntegrityFound{Finding: FindingClockForward})
	if v := b.vault(); v.Directory != 3 || v.Members != 2 || v.Findings[FindingClockForward] != 2 || len(v.Relays) != 1 {
		t.Errorf("vault %+v", v)
	}
}

func TestKeysAreToldOnce(t *testing.T) {
	b := newBook(t)
	made := func(names ...envelope.KeyName) (c KeysChanged) {
		for _, name := range names {
			c.Created = append(c.Created, KeySchedule{Name: name})
		}
		return c
	}
	b.must("", made("day-00000002-xwing", "code-00000001-xwing"))
	b.misfits("", made("day-00000002-xwing"))
	b.misfits("", KeysChanged{Destroyed: []envelope.KeyName{"day-00000009-xwing"}})
	change := made("day-00000003-xwing")
	change.Destroyed = []envelope.KeyName{"day-00000002-xwing"}
	b.must("", change)
	b.misfits("", KeysChanged{Destroyed: []envelope.KeyName{"day-00000002-xwing"}})
	if want := []envelope.KeyName{"code-00000001-xwing", "day-00000003-xwing"}; !slices.Equal(b.vault().Keys, want) {
		t.Errorf("keys %v, want %v", b.vault().Keys, want)
	}
}
