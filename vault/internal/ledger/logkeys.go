package ledger

import (
	"encoding/binary"
	"fmt"
	"slices"

	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/merkle"
)

// A log key is wrapped for the auditors of the moment in which it begins, and a new one begins with
// every change of them: the entry that adds an auditor is the first under its key, the one that
// removes one the last. So an auditor opens the entries of its time, both ends included, and
// detects keys that were withheld: its time would begin or end with another entry.

// newLogKey begins a log key, for the entries from here on.
func (tx *Tx) newLogKey() error {
	number := tx.head.LogKey + 1
	purpose := keyring.LogKeyPurpose(number)
	box, err := tx.newBox(purpose)
	if err != nil {
		return err
	}
	wrapped := append([]byte(nil), tx.bucket(bucketKeys).Get([]byte(purpose))...)
	auditors, err := tx.Auditors()
	if err != nil {
		return tx.fail(err)
	}
	for _, a := range auditors {
		if !a.Reads() {
			continue
		}
		if err := tx.wrapLogKey(number, wrapped, a); err != nil {
			return tx.fail(err)
		}
	}
	tx.logKey = merkle.Key{Number: number, Box: box}
	tx.head.LogKey, tx.head.LogDay = number, tx.now.Format(dayLayout)
	return nil
}

func (tx *Tx) wrapLogKey(number uint32, wrapped []byte, a book.Auditor) error {
	to, err := seal.ParseAuditor(a.Key)
	if err != nil {
		return fmt.Errorf("key of auditor %s: %w", a.Name, err)
	}
	wrap, err := tx.ledger.keys.WrapLogKey(number, wrapped, to)
	if err != nil {
		return err
	}
	return tx.put(bucketWraps, wrapKey(number, a.Name), tx.ledger.box, wrap)
}

const dayLayout = "2006-01-02"

// rotateLogKey begins a log key on a new day (UTC).
func (tx *Tx) rotateLogKey() error {
	if tx.now.Format(dayLayout) == tx.head.LogDay {
		return nil
	}
	return tx.newLogKey()
}

func wrapKey(number uint32, auditor string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, number), auditor...)
}

// Auditors lists all auditors there ever were, by name.
func (tx *Tx) Auditors() ([]book.Auditor, error) {
	auditors := []book.Auditor{}
	err := book.Auditors.Each(tx.State, func(a book.Auditor) error {
		auditors = append(auditors, a)
		return nil
	})
	return auditors, err
}

// Wraps calls fn for every wrapped log key, by number and auditor. fn must not write.
func (tx *Tx) Wraps(fn func(number uint32, auditor string, wrap []byte) error) error {
	return tx.forEach(bucketWraps, func(k, value []byte) error {
		if len(k) < 5 {
			return damaged("%s has a malformed key", bucketWraps)
		}
		wrap, err := unseal(bucketWraps, k, tx.ledger.box, value)
		if err != nil {
			return err
		}
		if len(wrap) != seal.WrapBytes {
			return damaged("a record of %s has the wrong length", bucketWraps)
		}
		return fn(binary.BigEndian.Uint32(k), string(k[4:]), wrap)
	})
}

// logKeys follows, along the log, for whom each log key was wrapped.
type logKeys struct {
	newest   uint32     // that sealed an entry
	ended    bool       // its last entry removed an auditor
	auditors [][]string // by number - 1
}

// reading lists the auditors for whom a key that begins now is wrapped.
func reading(s *book.State) (names []string) {
	for name, a := range book.Auditors.In(s) {
		if a.Reads() {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// next accepts an entry, with the auditors before and after it.
func (k *logKeys) next(e LogEntry, before, after []string) error {
	_, adding := e.Event.Body.(book.AuditorAdded)
	fresh := e.LogKey > k.newest
	if e.LogKey < k.newest || !fresh && (adding || k.ended) {
		return damaged("it is sealed under log key %d, which is not of its time", e.LogKey)
	}
	if fresh {
		k.through(e.LogKey-1, before)
		if adding {
			before = after
		}
		k.through(e.LogKey, before)
		k.newest = e.LogKey
	}
	_, k.ended = e.Event.Body.(book.AuditorRemoved)
	return nil
}

// through returns for whom the keys up to number are that no other entry names.
func (k *logKeys) through(number uint32, names []string) {
	for uint32(len(k.auditors)) < number {
		k.auditors = append(k.auditors, names)
	}
}

// checkWraps checks that each auditor of each log key's time has a wrap, and nobody else. Only its
// auditor can open a wrap.
func (c *checker) checkWraps() error {
	c.keys.through(c.head.LogKey, reading(c.folded))
	if uint32(len(c.keys.auditors)) != c.head.LogKey {
		return damaged("entries are sealed under log keys beyond the newest, %d", c.head.LogKey)
	}
	want := 0
	for _, names := range c.keys.auditors {
		want += len(names)
	}
	n := 0
	err := c.Wraps(func(number uint32, auditor string, _ []byte) error {
		n++
		if number == 0 || number > c.head.LogKey || !slices.Contains(c.keys.auditors[number-1], auditor) {
			return damaged("log key %d is wrapped for %s, who was not an auditor at its time", number, auditor)
		}
		return nil
	})
	if err == nil && n != want {
		err = damaged("%d log keys are wrapped of %d", n, want)
	}
	return err
}
