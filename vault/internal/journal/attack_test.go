package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/merkle"
	"nightdrop/vault/internal/vaulttest"
)

// history is a ledger in a file that can be copied and restored.
type history struct {
	*ledger.Ledger
	d    *fixture
	path string
}

func (d *fixture) history() *history {
	d.t.Helper()
	h := &history{d: d, path: filepath.Join(d.t.TempDir(), "ledger")}
	must(d.t, ledger.Create(h.path, d.Ring, ledger.Options{Now: d.Clock.Now}))
	h.open()
	d.t.Cleanup(func() { must(d.t, h.Close()) })
	return h
}

func (h *history) open() {
	h.d.t.Helper()
	var err error
	h.Ledger, err = ledger.Open(h.path, h.d.Ring, ledger.Options{Now: h.d.Clock.Now})
	must(h.d.t, err)
}

// swap closes the ledger, replaces its file unless by nil, reopens it and returns the old file. It
// removes the high-water mark, as when the vault was killed within a minute, or its whole disk is
// older.
func (h *history) swap(file []byte) (was []byte) {
	h.d.t.Helper()
	must(h.d.t, h.Close())
	was, err := os.ReadFile(h.path)
	must(h.d.t, err)
	if file != nil {
		must(h.d.t, os.WriteFile(h.path, file, 0o600))
		must(h.d.t, os.Remove(h.path+".high-water"))
	}
	h.open()
	return was
}

func (h *history) grow(n int) (size int64) {
	h.d.t.Helper()
	for range n {
		must(h.d.t, h.Commit(h.d.t.Context(), func(tx *ledger.Tx) error {
			_, err := tx.Append(book.Event{Actor: "vault", Origin: "timer", Body: book.IntegrityFound{Finding: book.FindingClockForward, Detail: "1h"}})
			return err
		}))
	}
	must(h.d.t, h.View(func(tx *ledger.Tx) (err error) {
		size, err = tx.TreeSize()
		return err
	}))
	return size
}

func (h *history) journal(p Place) *Journal {
	return New(Config{Ledger: h.Ledger, Place: p, Name: "directory", Tell: h.recordFinding, Signer: h.d.Ring.Signer(), Retry: 10 * time.Millisecond, Look: 50 * time.Millisecond})
}

func (h *history) recordFinding(ctx context.Context, f book.IntegrityFound) error {
	return h.Commit(ctx, func(tx *ledger.Tx) error {
		_, err := tx.Append(book.Event{Actor: "vault", Origin: "journal", Body: f})
		return err
	})
}

func (h *history) found(kind book.Finding) (n uint64) {
	must(h.d.t, h.View(func(tx *ledger.Tx) error {
		v, err := tx.Vault()
		n = v.Findings[kind]
		return err
	}))
	return n
}

// send makes a journal catch up.
func (h *history) send(p Place) {
	h.d.t.Helper()
	j := h.journal(p)
	stop := h.d.run(j)
	h.d.durable(j, h.grow(0))
	must(h.d.t, stop())
}

// begin is what the next unlock does.
func (h *history) begin(p Place) error {
	h.d.t.Helper()
	ctx, cancel := context.WithTimeout(h.d.t.Context(), time.Minute)
	defer cancel()
	return h.journal(p).Begin(ctx)
}

// TestOlderLedgerIsNoticed: a ledger older than its journal by one commit is refused at the unlock,
// in both places, also where the place is reached only later, and where the ledger has grown past
// the journal's end.
func TestOlderLedgerIsNoticed(t *testing.T) {
	for name, s := range map[string]store{"channel": newChannel(t), "directory": newDirectory(t)} {
		t.Run(name, func(t *testing.T) {
			h, p := newFixture(t).history(), s.open()
			h.grow(2)
			h.send(p)
			old := h.swap(nil)
			h.grow(1)
			h.send(p)
			newest := h.swap(old)
			if err := h.begin(p); !errors.Is(err, ledger.ErrRolledBack) {
				t.Errorf("begin: %v", err)
			}
			if err := h.journal(p).Run(t.Context()); !errors.Is(err, ledger.ErrRolledBack) {
				t.Errorf("run: %v", err)
			}
			h.grow(3)
			if err := h.begin(p); !errors.Is(err, ledger.ErrRolledBack) {
				t.Errorf("begin with another history: %v", err)
			}
			h.swap(newest)
			must(t, h.begin(p))
		})
	}
}

// TestSecondVaultIsNoticed: a vault whose journal another one writes stops.
func TestSecondVaultIsNoticed(t *testing.T) {
	h, p := newFixture(t).history(), newMemory()
	h.grow(1)
	h.send(p)
	old := h.swap(nil)
	h.grow(2)
	h.send(p)
	h.swap(old)
	ahead := p.messages[1][len(p.messages[1])-1]
	p.messages[1] = p.messages[1][:1]
	ended := make(chan error, 1)
	j := h.journal(p)
	go func() { ended <- j.Run(t.Context()) }()
	h.d.durable(j, h.grow(0))
	p.set(func() { p.messages[1] = append(p.messages[1], ahead) })
	if err := <-ended; !errors.Is(err, ledger.ErrRolledBack) {
		t.Errorf("run ended with %v", err)
	}
}

// TestForeignJournalIsRefused: a place that holds what this vault did not write is neither used nor
// trusted.
func TestForeignJournalIsRefused(t *testing.T) {
	h := newFixture(t).history()
	h.grow(2)
	own := newMemory()
	h.send(own)
	genuine := own.messages[1][0]
	other := newFixture(t).history() // a vault of the same name, with keys of its own
	other.grow(1)
	theirs := newMemory()
	other.send(theirs)
	altered := bytes.Clone(genuine)
	altered[len(altered)-1] ^= 1
	later := sampleOf(t, h, 2)
	for name, message := range map[string][]byte{"another vault's": theirs.messages[1][0], "an altered message": altered, "garbage": []byte("garbage"),
		"a message of another generation": later} {
		p := newMemory()
		p.messages[1] = [][]byte{genuine, message}
		if err := h.begin(p); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
		j := h.journal(p)
		stop := h.d.run(j)
		waittest.For(t, "the journal to stand still", func() bool { return errors.Is(j.Ready(), ErrForeign) })
		short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		if err := j.Durable(short, 1); !errors.Is(err, ErrForeign) {
			t.Errorf("%s: durable: %v", name, err)
		}
		cancel()
		if len(p.messages[1]) != 2 {
			t.Errorf("%s: something was appended to it", name)
		}
		// Once cleared, the journal goes on by itself.
		p.set(func() { p.messages[1] = [][]byte{genuine} })
		h.d.durable(j, h.grow(0))
		must(t, stop())
	}
}

// sampleOf is a message that the vault signed.
func sampleOf(t *testing.T, h *history, generation uint64) []byte {
	t.Helper()
	m := sample()
	m.Vault, m.Generation = vaulttest.Name, generation
	data, err := m.Encode(h.d.Ring.Signer())
	must(t, err)
	return data
}

// TestStandbyFencesTheOldVault: once a vault of the next generation writes, this one stops. A mere
// claim does not stop it.
func TestStandbyFencesTheOldVault(t *testing.T) {
	h, p := newFixture(t).history(), newMemory()
	h.grow(1)
	p.messages[2] = [][]byte{[]byte("garbage")}
	must(t, h.begin(p))
	p.messages[2] = [][]byte{sampleOf(t, h, 1)}
	must(t, h.begin(p))
	p.messages[2] = [][]byte{sampleOf(t, h, 2)}
	if err := h.begin(p); !errors.Is(err, ErrFenced) {
		t.Errorf("begin: %v", err)
	}
	if err := h.journal(p).Run(t.Context()); !errors.Is(err, ErrFenced) {
		t.Errorf("run: %v", err)
	}
}

// TestOwnerOfTheChannelGainsOnlyDelay: the second place's owner drops, alters, repeats and
// exchanges messages. A standby reads a genuine part of the log or refuses; and the vault sends
// what it finds missing.
func TestOwnerOfTheChannelGainsOnlyDelay(t *testing.T) {
	h, p := newFixture(t).history(), newMemory()
	for range 4 {
		h.grow(2)
		h.send(p)
	}
	all := p.messages[1]
	vault := h.d.Ring.Verifier()
	flipped := bytes.Clone(all[1])
	flipped[len(flipped)/2] ^= 0x10
	spliced := append(bytes.Clone(all[1][:len(all[1])-20]), all[2][len(all[2])-20:]...)
	for name, c := range map[string]struct {
		messages [][]byte
		reads    int64 // entries that a standby takes before it refuses
	}{
		"nothing done":            {all, h.grow(0)},
		"all twice":               {slices.Concat(all, all), h.grow(0)},
		"an old one at the end":   {slices.Concat(all, all[:1]), h.grow(0)},
		"the last dropped":        {all[:3], h.grow(0) - 2},
		"one in the middle gone":  {[][]byte{all[0], all[2], all[3]}, h.grow(0) - 6},
		"two exchanged":           {[][]byte{all[0], all[2], all[1], all[3]}, h.grow(0) - 6},
		"one bit flipped":         {[][]byte{all[0], flipped, all[2], all[3]}, h.grow(0) - 6},
		"an end of another's":     {[][]byte{all[0], spliced, all[2], all[3]}, h.grow(0) - 6},
		"the beginning withheld":  {all[1:], 0},
		"everything withheld":     {nil, 0},
		"one that is not a frame": {[][]byte{all[0], {0, 0, 0}, all[1]}, h.grow(0) - 6},
	} {
		read := int64(0)
		var tail merkle.Tail
		for _, data := range c.messages {
			m, err := Decode(data, vault)
			if err == nil {
				tail, err = m.Follow(tail)
			}
			if err != nil {
				break
			}
			read = tail.Size()
		}
		if read != c.reads {
			t.Errorf("%s: the standby took %d entries, want %d", name, read, c.reads)
		}
		if read > 0 && tail.Root() != rootOf(t, h, read) {
			t.Errorf("%s: the standby has another log", name)
		}
	}
	// Dropped messages are sent again once custodians have confirmed.
	p.messages[1] = all[:2]
	j := h.journal(p)
	stop := h.d.run(j)
	waittest.For(t, "the journal to be in doubt", func() bool { return errors.Is(j.Ready(), ErrDoubted) })
	must(t, j.Confirm(func(string) error { return nil }))
	h.d.durable(j, h.grow(0))
	must(t, stop())
	if tail := h.d.standby(p.messages[1]); tail.Size() != h.grow(0) {
		t.Errorf("the standby has %d of %d", tail.Size(), h.grow(0))
	}
}

func rootOf(t *testing.T, h *history, size int64) (root [32]byte) {
	t.Helper()
	must(t, h.View(func(tx *ledger.Tx) error {
		r, err := tx.RootAt(size)
		root = r
		return err
	}))
	return root
}
