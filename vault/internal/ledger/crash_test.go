package ledger

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger/pages"
)

// TestMain is also the child of the tests that inspect or kill one.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) == 3 && os.Args[1] == "inspect":
		os.Exit(InspectMain(os.Args[2], os.Stdout))
	case len(os.Args) == 4 && os.Args[1] == "commit":
		fmt.Println("failed:", commitForEver(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// commitForEver unlocks and opens the ledger in dir and prints every payment that is durable, until
// it is killed.
func commitForEver(dir, round string) error {
	ring, err := keyring.Open(filepath.Join(dir, "ring"), keyring.Options{})
	if err != nil {
		return err
	}
	var shares []keyring.Share
	for i := range 2 {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("share-%d", i)))
		if err != nil {
			return err
		}
		share, err := keyring.ParseShare(text)
		if err != nil {
			return err
		}
		shares = append(shares, share)
	}
	if err := ring.Unlock(shares); err != nil {
		return err
	}
	l, err := Open(filepath.Join(dir, "ledger.db"), ring, Options{Check: InspectByCommand(os.Args[0], "inspect")})
	if err != nil {
		return err
	}
	var mu sync.Mutex
	failed := make(chan error)
	for worker := range 6 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%08s-0000-4000-8%03d-%012d", round, worker, i)
				err := l.Commit(context.Background(), func(tx *Tx) error {
					return errors.Join(receive(tx, shop, id), authorise(tx, shop, id, "00"))
				})
				if err != nil {
					failed <- err
					return
				}
				mu.Lock()
				fmt.Println(id)
				mu.Unlock()
			}
		}()
	}
	return <-failed
}

func TestKilledProcessLosesNothingThatWasAcked(t *testing.T) {
	v := newVault(t)
	v.keepShares()
	v.close()
	if err := v.ring.Close(); err != nil {
		t.Fatal(err)
	}
	var acked []string
	for round := range 4 {
		acked = append(acked, commitAndKill(t, v.dir, round)...)
	}
	v.unlockRing()
	v.open()
	defer v.close()
	v.view(func(tx *Tx) error {
		for _, id := range acked {
			if p, found, err := tx.Payment(shop, id); err != nil || !found || p.Approval == "" {
				t.Errorf("payment %s was acked and is gone: %v", id, err)
			}
		}
		return nil
	})
	if len(acked) < 40 {
		t.Errorf("only %d payments were acked: the test proves little", len(acked))
	}
}

// keepShares writes them where commitForEver reads them.
func (v *vault) keepShares() {
	v.t.Helper()
	for i, share := range v.shares {
		if err := os.WriteFile(filepath.Join(v.dir, fmt.Sprintf("share-%d", i)), share.Encode(), 0o600); err != nil {
			v.t.Fatal(err)
		}
	}
}

// commitAndKill runs a child until it has acked some payments and a random moment more, and returns
// what it acked.
func commitAndKill(t *testing.T, dir string, round int) (acked []string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "commit", dir, fmt.Sprintf("%08d", round))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if bytes.HasPrefix(lines.Bytes(), []byte("failed:")) {
			t.Fatal(lines.Text())
		}
		acked = append(acked, lines.Text())
		if len(acked) == 12 {
			time.AfterFunc(time.Duration(rand.IntN(60))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		}
	}
	_ = cmd.Wait() // killed
	if len(acked) > 0 && len(acked[len(acked)-1]) != 36 {
		acked = acked[:len(acked)-1] // cut off by the kill
	}
	return acked
}

func TestDamagedFileIsAnErrorNotACrash(t *testing.T) {
	v := populated(t)
	sound, err := os.ReadFile(v.path())
	if err != nil {
		t.Fatal(err)
	}
	v.opts.Check = InspectByCommand(os.Args[0], "inspect")
	path := filepath.Join(v.dir, "damaged.db")
	try := func(data []byte) error {
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return v.openAndCheck(path)
	}
	if err := try(sound); err != nil {
		t.Fatalf("control: a sound copy: %v", err)
	}
	// bbolt would go back to the older of the two, and forget what was committed last.
	for _, meta := range []int{0, pages.Size} {
		data := bytes.Clone(sound)
		data[meta+16+40 /* behind the page header: the high water mark */] ^= 1
		if err := try(data); !errors.Is(err, ErrDamaged) {
			t.Errorf("a meta page altered: %v", err)
		}
	}
	for _, size := range []int{0, 1, pages.Size, 2 * pages.Size, 5*pages.Size + 17, len(sound) / 2, len(sound) - pages.Size, len(sound) - 1} {
		if err := try(sound[:size]); !errors.Is(err, ErrDamaged) {
			t.Errorf("cut to %d bytes: %v", size, err)
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	found := 0
	const tries = 100
	for i := range tries {
		data := bytes.Clone(sound)
		// From one bit to a whole stripe of noise; every third in the headers of pages, where bbolt
		// trusts most.
		for range 1 << random.IntN(8) {
			at := random.IntN(len(data))
			if i%3 == 0 {
				at = at/pages.Size*pages.Size + random.IntN(64)
			}
			data[at] ^= 1 << random.IntN(8)
		}
		err := try(data)
		if err != nil && !errors.Is(err, ErrDamaged) {
			t.Errorf("try %d: %v", i, err)
		}
		if err != nil {
			found++
		}
	}
	if found < tries/2 {
		t.Errorf("only %d of %d damaged files were found", found, tries)
	}
	t.Logf("%d of %d damaged files found; the others were hit where nothing is kept", found, tries)
}

func TestInspectionHasLimits(t *testing.T) {
	v := newVault(t)
	v.close()
	for name, test := range map[string]struct {
		argv []string
		want error
	}{
		"dies":          {[]string{"/bin/sh", "-c", "kill -9 $$"}, ErrDamaged},
		"panics":        {[]string{"/bin/sh", "-c", "exit 2"}, ErrDamaged},
		"finds damage":  {[]string{"/bin/sh", "-c", "exit 7"}, ErrDamaged},
		"file in use":   {[]string{"/bin/sh", "-c", "exit 8"}, ErrInUse},
		"cannot start":  {[]string{filepath.Join(v.dir, "none")}, os.ErrNotExist},
		"finds nothing": {[]string{os.Args[0], "inspect"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			if err := InspectByCommand(test.argv...)(v.path()); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if code := inspectInChild(t, filepath.Join(v.dir, "none")); code != exitFailed {
		t.Errorf("a file that is not there: exit %d", code)
	}
}

// inspectInChild runs InspectMain in a child, whose memory it limits.
func inspectInChild(t *testing.T, path string) int {
	t.Helper()
	var exit *exec.ExitError
	if err := exec.Command(os.Args[0], "inspect", path).Run(); errors.As(err, &exit) {
		return exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return exitSound
}
