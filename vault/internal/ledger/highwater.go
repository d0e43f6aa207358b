package ledger

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"go.etcd.io/bbolt"
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/durable"
	"nightdrop/vault/internal/merkle"
)

// ErrRolledBack is returned when the file is an older copy of the ledger, or has lost its end:
// payments that came since would be taken and charged a second time.
var ErrRolledBack = errors.New("this is an older copy of the ledger, or it lost its end: what it forgot would be charged a second time")

// highWater is how far the log is known to have come. It is kept sealed in a file of its own beside
// the ledger, which a copy that is put in the ledger's place does not bring along.
type highWater struct {
	Size int64  `json:"size"`
	Root []byte `json:"root"`
}

const highWaterName = "high-water"

// ErrMarkDamaged is returned by Ledger.MarkDamaged where the high-water mark cannot be read: the
// ledger itself is sound, but nothing beside it shows that it is not an older copy.
var ErrMarkDamaged = errors.New("the mark of how far the ledger had come cannot be read")

// MarkDamaged returns which mark cannot be read, and why; nil where it was read or there is none.
// Until TrustMark the mark stays as it is. Whoever opened the ledger must learn elsewhere that it
// is the newest, as from the journal, before anything is sent or destroyed.
func (l *Ledger) MarkDamaged() error {
	if err := l.badMark.Load(); err != nil {
		return *err
	}
	return nil
}

// TrustMark writes the mark anew, once the ledger is known to be the newest.
func (l *Ledger) TrustMark() error {
	l.badMark.Store(nil)
	return l.Remember()
}

func highWaterPath(path string) string { return path + "." + highWaterName }

// Remember keeps how far the log has come, so that Open refuses a copy that is older. Close does it
// too; a daemon calls it every minute or so, because a killed process does not close. It may be
// called while commits go on, from one goroutine at a time.
func (l *Ledger) Remember() error {
	var h head
	err := l.View(func(tx *Tx) (err error) {
		h, err = tx.readHead()
		return err
	})
	if err != nil {
		return err
	}
	return l.remember(h)
}

// remember writes the mark of what is durable. A crash leaves the mark before it, which is only
// less strict.
func (l *Ledger) remember(h head) error {
	if l.MarkDamaged() != nil {
		return nil // it would say of an older copy that it is the newest
	}
	text, err := json.Marshal(highWater{Size: h.Size, Root: h.Root})
	if err != nil {
		return err
	}
	sealed := append([]byte{recordVersion}, l.box.Seal(text, location(highWaterName, nil))...)
	if err := durable.Replace(highWaterPath(l.path), sealed); err != nil {
		return fmt.Errorf("remember how far the ledger has come: %w", err)
	}
	return nil
}

// checkHighWater compares the log, which ends as h says, with the mark. Without a mark, as on
// another host, it knows nothing; of one that cannot be read, MarkDamaged reports it.
func (l *Ledger) checkHighWater(b *bbolt.Tx, h head) error {
	path := highWaterPath(l.path)
	sealed, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var mark highWater
	if err == nil {
		var text []byte
		text, err = unseal(highWaterName, nil, l.box, sealed)
		if err != nil || json.Unmarshal(text, &mark) != nil || len(mark.Root) != tlog.HashSize {
			err = errors.New("it is not what this vault wrote")
		}
	}
	if err != nil {
		err = fmt.Errorf("%s: %w: %w", path, ErrMarkDamaged, err)
		l.badMark.Store(&err)
		l.options.Logger.Warn("the ledger may be an older copy of itself", "error", err)
		return nil
	}
	if h.Size < mark.Size {
		return fmt.Errorf("%w (%d events; there were %d). Put the newest copy back. Where there is none, learn from the acquirer what was charged since, and only then remove %s",
			ErrRolledBack, h.Size, mark.Size, path)
	}
	root, err := tlog.TreeHash(mark.Size, merkle.Hashes(rows{b}))
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	if root != tlog.Hash(mark.Root) {
		return fmt.Errorf("%w: its first %d events are not those that were here. Put the newest copy back", ErrRolledBack, mark.Size)
	}
	return nil
}
