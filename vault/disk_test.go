package main

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"nightdrop/shared/volume"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/daemon"
	"nightdrop/vault/internal/settings"
)

// disksSeen is what a guard sees: room by directory, set by hand.
type disksSeen struct {
	mu   sync.Mutex
	free map[string]int64
	err  error
}

const sizeOfDisks = 10 << 30 // of which 512 MiB are the reserve

func (d *disksSeen) look(dir string) (volume.Room, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	free, known := d.free[dir]
	if !known {
		free = sizeOfDisks
	}
	return volume.Room{Free: free, Size: sizeOfDisks}, d.err
}

func (d *disksSeen) set(dir string, free int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.free[dir] = free
}

// serveOn runs and unlocks a daemon on these disks, until the returned function stops it.
func (s *site) serveOn(d *disksSeen) (stop func()) {
	s.t.Helper()
	config, err := settings.Load(s.dir)
	s.must(err)
	c := daemonConfig(config, time.Now, slog.New(slog.NewTextHandler(s.t.Output(), nil)))
	c.Look = d.look
	served, err := daemon.New(c)
	s.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- served.Run(ctx) }()
	s.wait("the socket", func() bool { code, _ := s.command("status"); return code == 0 })
	var unlocked control.Unlocked
	s.json(&unlocked, "unlock", "--share", s.shares[0], "--share", s.shares[1])
	return func() {
		s.t.Helper()
		cancel()
		s.must(<-ended)
	}
}

// note is what the status says of a place.
func (s *site) note(place string) string {
	for _, d := range s.status().Disks {
		if d.Place == place {
			return d.Note
		}
	}
	s.t.Fatalf("the status says nothing of the %s", place)
	return ""
}

// TestVaultWithoutRoom: with less room than the reserve nothing new is taken, and what is under way
// comes to its end; with room again all goes on by itself. Beginning and end are told once, also
// over a restart in between, which needs no room.
func TestVaultWithoutRoom(t *testing.T) {
	s := newSite(t)
	s.configure(map[string]string{`answer_timeout = "20s"`: `answer_timeout = "2s"`})
	d := &disksSeen{free: map[string]int64{}}
	stop := s.serveOn(d)
	s.enrol()
	if note := s.note("ledger"); note != "" {
		t.Errorf("with all the room: %q", note)
	}
	s.post(900_100) // is never answered: it is reversed
	s.wait("an outstanding request", func() bool { return s.status().Working[book.StageAuthorising] == 1 })
	d.set(s.dir, 900<<20)
	if note := s.note("ledger"); !strings.Contains(note, "near its reserve") {
		t.Errorf("under twice the reserve: %q", note)
	}
	d.set(s.dir, 511<<20)
	s.wait("the finding", func() bool { return s.status().Findings[book.FindingDiskLow] == 1 })
	for _, says := range []string{"no bag is taken and no new authorisation is sent", "511.0 MiB are free", "640.0 MiB must be", "free space or enlarge it"} {
		if note := s.note("ledger"); !strings.Contains(note, says) {
			t.Errorf("the status says %q, not %q", note, says)
		}
	}
	if code, out := s.command("status"); code != 0 || !strings.Contains(out, "disk of the ledger") {
		t.Errorf("vault status: exit code %d\n%s", code, out)
	}
	s.post(200)
	s.wait("the reversal", func() bool { stages, _ := s.stages(); return stages[book.StageReversed] == 1 })
	s.wait("its results", func() bool {
		results, err := s.relay.Results(t.Context(), "shop-1", 0, 100)
		return err == nil && len(results) == 2
	})

	stop()
	stop = s.serveOn(d) // the restart finds no room either, and unlocks
	time.Sleep(3 * daemon.DiskEvery / 2)
	if _, all := s.stages(); len(all) != 1 {
		t.Errorf("without room there are %d payments, want the one of before", len(all))
	}
	d.set(s.dir, 600<<20) // not a quarter more
	time.Sleep(3 * daemon.DiskEvery / 2)
	if st := s.status(); st.Findings[book.FindingDiskLow] != 1 || st.Findings[book.FindingDiskRoom] != 0 {
		t.Errorf("at the edge: findings %v", st.Findings)
	}
	d.set(s.dir, sizeOfDisks)
	s.wait("what waited", func() bool { stages, _ := s.stages(); return stages[book.StageApproved] == 1 })
	s.wait("the end", func() bool { return s.status().Findings[book.FindingDiskRoom] == 1 })
	stop()
	s.checkLedger()
}

// TestJournalWithoutRoom: the disk of a journal's directory has a reserve of its own, for the
// entries of reversals and answers to come.
func TestJournalWithoutRoom(t *testing.T) {
	s := newSite(t)
	second := t.TempDir()
	s.configure(map[string]string{`place = "channel"`: `place = "directory"`, `directory = ""`: fmt.Sprintf("directory = %q", second)})
	d := &disksSeen{free: map[string]int64{}}
	stop := s.serveOn(d)
	s.enrol()
	d.set(second, 0)
	if note := s.note("journal"); !strings.Contains(note, "no bag is taken") || !strings.Contains(note, second) {
		t.Errorf("the status says %q", note)
	}
	s.post(200)
	time.Sleep(daemon.DiskEvery)
	if _, all := s.stages(); len(all) != 0 {
		t.Errorf("without room %d payments were taken", len(all))
	}
	d.set(second, sizeOfDisks)
	s.wait("what waited", func() bool { stages, _ := s.stages(); return stages[book.StageApproved] == 1 })
	stop()
	s.checkLedger()
}
