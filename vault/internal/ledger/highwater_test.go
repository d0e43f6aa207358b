package ledger

import (
	"errors"
	"os"
	"strings"
	"testing"
)

func (v *vault) copyFile(from, to string) {
	v.t.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		v.t.Fatal(err)
	}
	if err := os.WriteFile(to, data, 0o600); err != nil {
		v.t.Fatal(err)
	}
}

// take receives and authorises one sale.
func (v *vault) take() {
	v.t.Helper()
	id := v.newID()
	v.commit(func(tx *Tx) error {
		if err := receive(tx, shop, id); err != nil {
			return err
		}
		return authorise(tx, shop, id, "00")
	})
}

// stop closes the ledger, as a vault that is locked does.
func (v *vault) stop() {
	v.t.Helper()
	if err := v.Close(); err != nil {
		v.t.Fatal(err)
	}
}

// refused says what Open says of the file as it stands.
func (v *vault) refused(want error) {
	v.t.Helper()
	l, err := Open(v.path(), v.ring, v.opts)
	if !errors.Is(err, want) {
		v.t.Errorf("opened with %v, want %v", err, want)
	}
	if err == nil {
		v.t.Error(l.Close())
	}
}

// A copy of yesterday's ledger would take what came since as new, and charge it a second time.
func TestOlderCopyIsRefused(t *testing.T) {
	v := newVault(t)
	v.take()
	v.stop()
	old, newest := v.dir+"/old", v.dir+"/newest"
	v.copyFile(v.path(), old)
	v.open()
	v.take()
	v.stop()
	v.copyFile(v.path(), newest)

	v.copyFile(old, v.path())
	v.refused(ErrRolledBack)

	// Nor does it do to let the copy grow elsewhere and bring it back: its history is another one.
	v.copyFile(highWaterPath(v.path()), v.dir+"/mark")
	if err := os.Remove(highWaterPath(v.path())); err != nil {
		t.Fatal(err)
	}
	v.open()
	v.take()
	v.take()
	v.take()
	v.stop()
	v.copyFile(v.dir+"/mark", highWaterPath(v.path()))
	v.refused(ErrRolledBack)

	v.copyFile(newest, v.path())
	v.open()
}

func TestKilledVaultRemembersItsLastMinute(t *testing.T) {
	v := newVault(t)
	v.stop()
	old := v.dir + "/old"
	v.copyFile(v.path(), old)
	v.open()
	v.take()
	if err := v.Remember(); err != nil {
		t.Fatal(err)
	}
	v.take()
	// The process ends here without Close: what it leaves is at or after the mark.
	v.copyFile(v.path(), v.dir+"/left")
	v.copyFile(highWaterPath(v.path()), v.dir+"/mark")
	v.stop()
	v.copyFile(v.dir+"/mark", highWaterPath(v.path()))

	v.copyFile(old, v.path())
	v.refused(ErrRolledBack)
	v.copyFile(v.dir+"/left", v.path())
	v.open()
}

func TestHighWaterMarkThatIsNone(t *testing.T) {
	v := newVault(t)
	v.stop()
	v.copyFile(highWaterPath(v.path()), v.dir+"/mark")
	for _, text := range []string{"", "1", "no mark at all, but longer than a nonce and a tag are"} {
		if err := os.WriteFile(highWaterPath(v.path()), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		v.open() // the ledger is sound
		if err := v.MarkDamaged(); !errors.Is(err, ErrMarkDamaged) || errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), highWaterPath(v.path())) {
			t.Errorf("of %q it says %v", text, err)
		}
		// Nor does a stop, or a minute that passes, make the mark of a ledger that may be an older
		// copy.
		if err := v.Remember(); err != nil {
			t.Fatal(err)
		}
		v.stop()
		if now, err := os.ReadFile(highWaterPath(v.path())); err != nil || string(now) != text {
			t.Errorf("the mark %q is %q now (%v)", text, now, err)
		}
	}
	v.open()
	if err := v.TrustMark(); err != nil {
		t.Fatal(err)
	}
	v.stop()
	v.open()
	if err := v.MarkDamaged(); err != nil {
		t.Error(err)
	}
}

// A mark that the disk does not give back is told like one that is altered.
func TestHighWaterMarkThatCannotBeRead(t *testing.T) {
	v := newVault(t)
	v.stop()
	path := highWaterPath(v.path())
	// reading a directory fails
	if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
		t.Fatal(err)
	}
	v.open()
	if err := v.MarkDamaged(); !errors.Is(err, ErrMarkDamaged) || !strings.Contains(err.Error(), path) {
		t.Errorf("it says %v", err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
