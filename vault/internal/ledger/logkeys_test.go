package ledger

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/merkle"
)

// auditor makes an auditor's key and adds the auditor.
func (v *vault) auditor(name string) *keyring.Auditor {
	v.t.Helper()
	a, err := keyring.NewAuditor(name)
	if err != nil {
		v.t.Fatal(err)
	}
	v.commit(func(tx *Tx) error {
		_, err := tx.Append(book.Event{Actor: "user:root", Origin: "socket", Body: book.AuditorAdded{Name: name, Key: a.Line()}})
		return err
	})
	return a
}

func (v *vault) removeAuditor(name string) {
	v.t.Helper()
	v.commit(func(tx *Tx) error {
		_, err := tx.Append(book.Event{Actor: "user:root", Origin: "socket", Body: book.AuditorRemoved{Name: name}})
		return err
	})
}

// reads lists the kinds of the entries that an auditor opens, with the log keys that are wrapped
// for it.
func (v *vault) reads(a *keyring.Auditor) (kinds []string) {
	v.t.Helper()
	v.view(func(tx *Tx) error {
		boxes := map[uint32]keyring.Box{}
		err := tx.Wraps(func(number uint32, auditor string, wrap []byte) error {
			box, err := a.OpenLogKey("vault.example", number, wrap)
			if (err == nil) != (auditor == a.Name()) {
				v.t.Errorf("log key %d for %s opens for %s: %v", number, auditor, a.Name(), err)
			}
			if err == nil {
				boxes[number] = box
			}
			return nil
		})
		if err != nil {
			return err
		}
		size, err := tx.TreeSize()
		if err != nil {
			return err
		}
		for i := range size {
			e, err := merkle.Read(rows{tx.bolt}, i, "vault.example", func(number uint32) (merkle.Box, error) {
				if box := boxes[number]; box != nil {
					return box, nil
				}
				return nil, keyring.ErrNotYours
			})
			if errors.Is(err, keyring.ErrNotYours) {
				continue
			}
			var event book.Event
			if err := errors.Join(err, json.Unmarshal(e.Event, &event)); err != nil {
				return err
			}
			kinds = append(kinds, event.Body.Kind())
		}
		return nil
	})
	return kinds
}

// TestAnAuditorReadsItsTime: from the entry that adds it to the one that removes it, both included,
// over days and openings.
func TestAnAuditorReadsItsTime(t *testing.T) {
	v := newVault(t)
	receiveOne := func() { v.commit(func(tx *Tx) error { return receive(tx, shop, v.newID()) }) }
	receiveOne()
	anna := v.auditor("anna")
	receiveOne()
	bert := v.auditor("bert")
	v.clock.Pass(24 * time.Hour)
	receiveOne()
	v.removeAuditor("anna")
	v.close()
	v.open()
	receiveOne()

	for _, test := range []struct {
		who  *keyring.Auditor
		want []string
	}{
		{anna, []string{"auditor-added", "envelope-received", "auditor-added", "envelope-received", "auditor-removed"}},
		{bert, []string{"auditor-added", "envelope-received", "auditor-removed", "envelope-received"}},
	} {
		got := v.reads(test.who)
		if len(got) != len(test.want) {
			t.Errorf("%s reads %v, want %v", test.who.Name(), got, test.want)
			continue
		}
		for i := range got {
			if got[i] != test.want[i] {
				t.Errorf("%s reads %v, want %v", test.who.Name(), got, test.want)
				break
			}
		}
	}
}

func TestAuditorsNamesAreNeverReused(t *testing.T) {
	v := newVault(t)
	anna := v.auditor("anna")
	v.removeAuditor("anna")
	for name, body := range map[string]book.Body{
		"added again":   book.AuditorAdded{Name: "anna", Key: anna.Line()},
		"removed again": book.AuditorRemoved{Name: "anna"},
		"a stranger":    book.AuditorRemoved{Name: "bert"},
		"no name":       book.AuditorAdded{Name: "An na", Key: anna.Line()},
	} {
		err := v.Commit(context.Background(), func(tx *Tx) error {
			_, err := tx.Append(book.Event{Actor: "user:root", Origin: "socket", Body: body})
			return err
		})
		if !errors.Is(err, book.ErrTransition) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A key that nothing can be wrapped for is refused with the event.
	err := v.Commit(context.Background(), func(tx *Tx) error {
		_, err := tx.Append(book.Event{Actor: "user:root", Origin: "socket", Body: book.AuditorAdded{Name: "cora", Key: "cora+auditor-00000000-xwing+AA=="}})
		return err
	})
	if err == nil {
		t.Error("an auditor without a key was added")
	}
	v.view(func(tx *Tx) error {
		all, err := tx.Auditors()
		if err == nil && (len(all) != 1 || all[0].Reads()) {
			t.Errorf("auditors %+v", all)
		}
		return err
	})
}

// TestCheckFindsSwappedWraps: a wrap that is moved to another key or auditor, or comes from an
// older ledger, is damage.
func TestCheckFindsSwappedWraps(t *testing.T) {
	v := populated(t)
	for name, edit := range map[string]func(b *bbolt.Bucket, k0, v0, k1, v1 []byte) error{
		"exchanged": func(b *bbolt.Bucket, k0, v0, k1, v1 []byte) error { return errors.Join(b.Put(k0, v1), b.Put(k1, v0)) },
		"copied":    func(b *bbolt.Bucket, k0, v0, k1, _ []byte) error { return b.Put(k1, v0) },
		"left out":  func(b *bbolt.Bucket, k0, _, _, _ []byte) error { return b.Delete(k0) },
	} {
		err := v.afterEdit(t, func(b *bbolt.Tx) error {
			k0, v0 := nth(b, bucketWraps, 0)
			k1, v1 := nth(b, bucketWraps, 1)
			if bytes.Equal(k0, k1) || k1 == nil {
				t.Fatal("there are no two wraps")
			}
			return edit(b.Bucket([]byte(bucketWraps)), k0, v0, k1, v1)
		})
		if !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestExportLeavesBodiesOfADayOut: what is older than a moment goes without its body, and the log
// still verifies.
func TestExportLeavesBodiesOfADayOut(t *testing.T) {
	v := newVault(t)
	fill := func() {
		v.commit(func(tx *Tx) error {
			for range 300 {
				if err := receive(tx, shop, v.newID()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	fill()
	v.clock.Pass(24 * time.Hour)
	midnight := v.clock.Now().Truncate(24 * time.Hour)
	var first, size int64
	v.view(func(tx *Tx) (err error) {
		size, err = tx.TreeSize()
		return err
	})
	fill()
	v.view(func(tx *Tx) (err error) {
		if first, err = tx.FirstSince(midnight); err != nil || first != size {
			t.Errorf("the day begins with entry %d, %v; want %d", first, err, size)
		}
		end, err := tx.FirstSince(midnight.AddDate(1, 0, 0))
		if have, _ := tx.TreeSize(); err != nil || end != have {
			t.Errorf("a year on begins with entry %d, %v; want %d", end, err, have)
		}
		begin, err := tx.FirstSince(time.Time{})
		if begin != 0 {
			t.Errorf("all begins with entry %d", begin)
		}
		return err
	})
	dir := filepath.Join(v.dir, "export")
	c, err := v.Export(t.Context(), dir, ExportOptions{Bodies: first})
	if err != nil {
		t.Fatal(err)
	}
	report, err := audit.Verify(t.Context(), dir, v.ring.Verifier(), audit.VerifyOptions{})
	if err != nil || report.Absent != 256 || report.Verified != c.Size-256 {
		t.Errorf("%+v, %v", report, err)
	}
}
