package daemon

import (
	"errors"
	"strings"
	"testing"

	"nightdrop/shared/volume"
	"nightdrop/vault/internal/calls"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// TestRoomOfEachPlace: each disk that the vault writes to has its reserve, and what waits for it.
func TestRoomOfEachPlace(t *testing.T) {
	const size = 10 << 30 // of which 512 MiB are the reserve
	second, outbox := t.TempDir(), t.TempDir()
	s := settings.Settings{Dir: t.TempDir(), Journal: settings.Journal{Place: settings.InDirectory, Directory: second}, Bank: settings.Bank{Outbox: outbox}}
	free, failing := map[string]int64{}, error(nil)
	g := newDiskGuard(s, func(dir string) (volume.Room, error) {
		room, known := free[dir]
		if !known {
			room = size
		}
		return volume.Room{Free: room, Size: size}, failing
	})
	stage := func() error {
		file, err := g.outbox().Stage(outbox, "file")
		if err != nil {
			return err
		}
		return file.Keep()
	}
	if err := errors.Join(g.fresh(), stage()); err != nil {
		t.Fatal(err)
	}
	free[outbox] = 0
	if err := g.fresh(); err != nil {
		t.Errorf("a full outbox keeps sales waiting: %v", err)
	}
	if err := stage(); err == nil || calls.KindOf(err) != control.CodeUnavailable || !strings.Contains(err.Error(), "no settlement file is written") {
		t.Errorf("a full outbox: %v", err)
	}
	free[second] = 0
	if err := g.fresh(); err == nil || !strings.Contains(err.Error(), second) {
		t.Errorf("a full journal: %v", err)
	}
	if got := g.lowPlaces(); !strings.Contains(got, "journal: ") || !strings.Contains(got, "bank outbox: ") || strings.Contains(got, "ledger") || strings.Contains(got, outbox) {
		t.Errorf("the log is logged %q", got)
	}
	delete(free, second)
	failing = errors.New("statfs failed")
	if err := g.fresh(); err == nil || !strings.Contains(err.Error(), "is not known") {
		t.Errorf("no figures: %v", err)
	}
}

func TestReserves(t *testing.T) {
	for _, c := range []struct{ set, size, want int64 }{{0, 100 << 30, 1 << 30}, {0, 20 << 30, 1 << 30}, {0, 10_000, 500}, {7, 100 << 30, 7}} {
		if got := (&diskGuard{least: c.set}).reserveOf(c.size); got != c.want {
			t.Errorf("reserve %d of %d bytes: %d, want %d", c.set, c.size, got, c.want)
		}
	}
}
