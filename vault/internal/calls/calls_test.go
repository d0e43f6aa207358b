package calls

import (
	"context"
	"reflect"
	"slices"
	"testing"

	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
)

// lockedDaemon is a daemon whose vault is locked.
type lockedDaemon struct{ Daemon }

func (lockedDaemon) Parts() (Parts, error) { return Parts{}, keyring.ErrLocked }

// TestNoCallOfALockedVaultAnswers: whatever the API has, it is refused as locked, or before that
// because it says nothing.
func TestNoCallOfALockedVaultAnswers(t *testing.T) {
	var asked control.Vault = New(Config{Daemon: lockedDaemon{}})
	custody := []string{"Status", "Unlock", "CheckShare", "Lock"} // which are the daemon's
	locked := 0
	api := reflect.TypeFor[control.Vault]()
	for i := range api.NumMethod() {
		method := api.Method(i)
		if slices.Contains(custody, method.Name) {
			continue
		}
		in := []reflect.Value{reflect.ValueOf(t.Context())}
		for j := 1; j < method.Type.NumIn(); j++ {
			in = append(in, reflect.Zero(method.Type.In(j)))
		}
		out := reflect.ValueOf(asked).MethodByName(method.Name).Call(in)
		err, _ := out[len(out)-1].Interface().(error)
		switch KindOf(err) {
		case control.CodeLocked:
			locked++
		case control.CodeUsage:
		default:
			t.Errorf("%s answers %v", method.Name, err)
		}
	}
	if locked < 20 {
		t.Errorf("%d calls are refused as locked", locked)
	}
}

// TestEverySentinelHasOneKind: none stands twice in the table, nor behind one that it wraps.
func TestEverySentinelHasOneKind(t *testing.T) {
	seen := map[error]bool{}
	for _, k := range kinds {
		if seen[k.is] {
			t.Errorf("%v has two kinds", k.is)
		}
		seen[k.is] = true
		if got := KindOf(k.is); got != k.kind {
			t.Errorf("%v is of kind %s, not %s", k.is, got, k.kind)
		}
	}
	if KindOf(context.Canceled) != control.CodeUnavailable || KindOf(nil) != control.CodeFailed {
		t.Error("what is broken off is unavailable, and what is no error of ours has failed")
	}
}
