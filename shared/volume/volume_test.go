package volume

import (
	"path/filepath"
	"testing"
)

func TestReserveHasHysteresis(t *testing.T) {
	var r Reserve
	for i, step := range []struct {
		free    int64
		touched bool
		needs   int64 // afterwards
	}{{1000, false, 1000}, {999, true, 1250}, {1000, true, 1250}, {1249, true, 1250}, {1250, false, 1000}, {1000, false, 1000}, {0, true, 1250}, {5000, false, 1000}} {
		if got := r.Touched(step.free, 1000); got != step.touched || r.Needs(1000) != step.needs {
			t.Errorf("step %d: %d free: touched %t, needs %d", i, step.free, got, r.Needs(1000))
		}
	}
}

func TestLook(t *testing.T) {
	room, err := Look(t.TempDir())
	if err != nil || room.Size <= 0 || room.Free < 0 || room.Free > room.Size {
		t.Errorf("%+v, %v", room, err)
	}
	if _, err := Look(filepath.Join(t.TempDir(), "missing")); err == nil {
		t.Error("a directory that is not there has room")
	}
}
