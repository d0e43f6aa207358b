package keyring

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// stored.keys is two equal copies of a header and a growing number of groups of slots; integers are
// big endian.
//
//	header  magic (32) sequence (8) slots (8) first (8) HMAC-SHA-256 of all before it and the vault's name (32), zeros to a page
//	group   its slots, and the same slots once more; the first group has as many as the header's first says, others storedGrowth
//	slot    id (16) and key (32) sealed under XAES-256-GCM with vault and slot as associated data (88), zeros; or all zeros: free
//
// A slot lies within one sector of the disk. It is written and fsynced in both copies before its
// number is given out; what a crash leaves half written has no record in the ledger, and keep wipes
// it. So a copy of a used slot that does not open is damage, never a crash: keep repairs it from
// the other. The file grows by zeros, before the header counts them.
//
// A file of storedMagicV1 (before 2026-12-01) has no first, and its slots once: load makes them its
// first group, in place, before the header says so.
const (
	storedMagic       = "nightdrop/stored-keys/v2"
	storedMagicV1     = "nightdrop/stored-keys/v1"
	storedMagicPrefix = "nightdrop/stored-keys/"
	storedSlots       = 2 * pageBytes // where they begin
	slotBytes         = 128
	sealedBytes       = 24 + storedIDBytes + storedKeyBytes + 16
	storedGrowth      = 512     // slots that the file grows by
	storedPool        = 64      // keys made ahead with one fsync
	maxStored         = 1 << 26 // slots: 16 GiB, tens of millions of accounts
	storedChunk       = 1024    // slots read at a time
	storedTextEnd     = magicBytes + 24
	storedTextV1      = magicBytes + 16
)

// errNotKept is returned when a slot is allocated or forgotten before keep: a bug in the caller.
var errNotKept = errors.New("it is not known which stored accounts are in use: call KeepStored first")

// storedFile is stored.keys, open. It is safe for concurrent use.
type storedFile struct {
	keyFile

	mu      sync.RWMutex    // of all but the names
	slots   uint32          // of the file
	first   uint32          // of its first group
	kept    bool            // keep was called
	free    []uint32        // all zeros, and not given out since keep
	fresh   []uint32        // hold durable keys that nobody has yet
	missing map[uint32]bool // in use by the ledger, without a key
}

func createStored(path string, keys *wrapping, vault string) error {
	s := storedFile{keyFile: keyFile{keys: keys, vault: vault, sequence: 1}, slots: storedGrowth, first: storedGrowth}
	content := make([]byte, storedSlots+copies*storedGrowth*slotBytes)
	header := s.encodeHeader()
	copy(content, header)
	copy(content[pageBytes:], header)
	return writeNew(path, content)
}

// load reads the header; keep reads the slots.
func (s *storedFile) load() error {
	first, second, err := readTwice(s.f, s.path, pageBytes)
	switch {
	case errors.Is(err, io.EOF):
		return damaged(s.path, "it is cut", restoreStored)
	case err != nil:
		return err
	}
	header := newer(first, second, s.valid)
	if header == nil {
		return unreadable(s.path, storedMagicPrefix, first, second, restoreStored)
	}
	slots := binary.BigEndian.Uint64(header[magicBytes+8:])
	if slots > maxStored {
		return damaged(s.path, "it counts more slots than there can be", restoreStored)
	}
	s.sequence, s.slots = sequenceOf(header), uint32(slots)
	switch magicOf(header) {
	case storedMagic:
		s.first = uint32(min(slots, binary.BigEndian.Uint64(header[magicBytes+16:])))
		if s.slots > 0 && !s.holds(s.slots-1, copies-1) {
			return damaged(s.path, "it is cut", restoreStored)
		}
	case storedMagicV1:
		return s.addCopies()
	default:
		return newerFormat(s.path, magicOf(header))
	}
	if !bytes.Equal(first, second) {
		return s.writeHeader()
	}
	return nil
}

// addCopies makes the slots of a file of storedMagicV1 the first group. A crash before the header
// is written means that this is done again.
func (s *storedFile) addCopies() error {
	s.first = s.slots
	if s.slots > 0 && !s.holds(s.slots-1, 0) {
		return damaged(s.path, "it is cut", restoreStored)
	}
	chunk := make([]byte, storedChunk*slotBytes)
	for from := uint32(0); from < s.slots; from += storedChunk {
		part := chunk[:min(storedChunk, s.slots-from)*slotBytes]
		if _, err := s.f.ReadAt(part, s.offset(from, 0)); err != nil {
			return fmt.Errorf("read %s: %w", s.path, err)
		}
		if _, err := s.f.WriteAt(part, s.offset(from, 1)); err != nil {
			return s.fail(err)
		}
	}
	if err := s.f.Sync(); err != nil {
		return s.fail(err)
	}
	return s.writeHeader()
}

// holds reports whether the file contains the whole of a copy of a slot.
func (s *storedFile) holds(slot uint32, c int) bool {
	n, _ := s.f.ReadAt(make([]byte, slotBytes), s.offset(slot, c))
	return n == slotBytes
}

// keptStored is what keep found.
type keptStored struct {
	missing, damaged []uint32 // slots in use of which no copy is there, or opens
	repaired         []uint32 // slots in use of which one copy was rewritten from the other
	destroyed        int
	older            bool // the header counted fewer slots than the ledger uses and the file holds
}

// keep wipes every slot that is not in used, and repairs those that are.
func (s *storedFile) keep(used []uint32) (found keptStored, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.failed != nil {
		return found, s.failed
	}
	inUse := make(map[uint32]bool, len(used))
	for _, slot := range used {
		inUse[slot] = true
	}
	s.kept, s.free, s.fresh, s.missing = false, nil, nil, map[uint32]bool{}
	if found.older, err = s.extend(used); err != nil {
		return found, err
	}
	var wipe []int64
	err = s.each(func(slot uint32, content [copies][]byte) error {
		if inUse[slot] {
			return s.keepOne(slot, content, &found)
		}
		s.free = append(s.free, slot)
		if isFree(content[0]) && isFree(content[1]) {
			return nil
		}
		found.destroyed++
		wipe = append(wipe, s.offset(slot, 0), s.offset(slot, 1))
		return nil
	})
	if err != nil {
		return found, err
	}
	for slot := range inUse {
		if slot >= s.slots {
			found.missing = append(found.missing, slot)
		}
	}
	for _, slot := range found.missing {
		s.missing[slot] = true
	}
	if len(wipe) > 0 { // a crash on the way means: wiped again at the next start
		if err := overwrite(s.f, wipe, slotBytes); err != nil {
			return found, s.fail(err)
		}
	}
	if len(found.repaired) > 0 {
		if err := s.f.Sync(); err != nil {
			return found, s.fail(err)
		}
	}
	s.kept = true
	return found, nil
}

// keepOne checks a slot in use. Copies that hold two keys, one of them an earlier account's, stay
// as they are: the account's record says which one counts.
func (s *storedFile) keepOne(slot uint32, content [copies][]byte, found *keptStored) error {
	var opens [copies]bool
	for i := range content {
		if key, err := s.open(slot, content[i]); err == nil {
			key.clear()
			opens[i] = true
		}
	}
	switch {
	case opens[0] && opens[1]:
		return nil
	case isFree(content[0]) && isFree(content[1]):
		found.missing = append(found.missing, slot)
		return nil
	case !opens[0] && !opens[1]:
		found.damaged = append(found.damaged, slot)
		return nil
	}
	sound, broken := 0, 1
	if opens[1] {
		sound, broken = 1, 0
	}
	if _, err := s.f.WriteAt(content[sound], s.offset(slot, broken)); err != nil {
		return s.fail(err)
	}
	found.repaired = append(found.repaired, slot)
	return nil
}

// extend counts the slots that the ledger uses and the file holds beyond its count: an older header
// was restored, and growing by its count would write zeros over them.
func (s *storedFile) extend(used []uint32) (older bool, err error) {
	for _, slot := range used {
		for slot >= s.slots && slot < maxStored && s.slots+storedGrowth <= maxStored && s.holds(s.slots+storedGrowth-1, copies-1) {
			s.slots += storedGrowth
			older = true
		}
	}
	if older {
		err = s.writeHeader()
	}
	return older, err
}

// each calls fn with every slot's copies, which are valid during the call; one that cannot be read
// is nil.
func (s *storedFile) each(fn func(slot uint32, content [copies][]byte) error) error {
	var chunks [copies][]byte
	for from := uint32(0); from < s.slots; {
		begins, size := s.group(from)
		n := min(storedChunk, begins+size-from, s.slots-from)
		for i := range chunks {
			chunks[i] = make([]byte, n*slotBytes)
			if _, err := s.f.ReadAt(chunks[i], s.offset(from, i)); err != nil {
				chunks[i] = nil
			}
		}
		for slot := from; slot < from+n; slot++ {
			var content [copies][]byte
			for i := range content {
				content[i] = s.copyOf(chunks[i], slot, from, i)
			}
			if err := fn(slot, content); err != nil {
				return err
			}
		}
		from += n
	}
	return nil
}

// copyOf returns a copy of a slot from a chunk that begins at from; where chunk is nil, it reads
// the copy alone.
func (s *storedFile) copyOf(chunk []byte, slot, from uint32, c int) []byte {
	if chunk != nil {
		return chunk[(slot-from)*slotBytes:][:slotBytes]
	}
	content := make([]byte, slotBytes)
	if _, err := s.f.ReadAt(content, s.offset(slot, c)); err != nil {
		return nil
	}
	return content
}

// allocate returns a slot with a durable key.
func (s *storedFile) allocate() (uint32, *storedKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fresh) == 0 {
		if err := s.refill(); err != nil {
			return 0, nil, err
		}
	}
	slot := s.fresh[0]
	s.fresh = s.fresh[1:]
	key, err := s.read(slot, 0)
	if err != nil {
		key, err = s.read(slot, 1)
	}
	return slot, key, err
}

// refill makes many keys with one fsync. A crash before the ledger's record means: wiped at the
// next start.
func (s *storedFile) refill() error {
	switch {
	case s.failed != nil:
		return s.failed
	case !s.kept:
		return errNotKept
	}
	if len(s.free) == 0 {
		if err := s.grow(); err != nil {
			return err
		}
	}
	n := min(storedPool, len(s.free))
	for _, slot := range s.free[:n] {
		content, err := s.seal(slot)
		if err != nil {
			return err
		}
		for i := range copies {
			if _, err := s.f.WriteAt(content, s.offset(slot, i)); err != nil {
				return s.fail(err)
			}
		}
	}
	if err := s.f.Sync(); err != nil {
		return s.fail(err)
	}
	s.fresh, s.free = s.free[:n:n], s.free[n:]
	return nil
}

// grow adds free slots, all zeros before the header counts them.
func (s *storedFile) grow() error {
	if s.slots+storedGrowth > maxStored {
		return fmt.Errorf("%s: %w", s.path, ErrFull)
	}
	if _, err := s.f.WriteAt(make([]byte, copies*storedGrowth*slotBytes), s.offset(s.slots, 0)); err != nil {
		return s.fail(err)
	}
	if err := s.f.Sync(); err != nil {
		return s.fail(err)
	}
	from := s.slots
	s.slots += storedGrowth
	if err := s.writeHeader(); err != nil {
		return err
	}
	for slot := from; slot < s.slots; slot++ {
		if !s.missing[slot] {
			s.free = append(s.free, slot)
		}
	}
	return nil
}

// forget wipes both copies of slots. They are not free before the next keep.
func (s *storedFile) forget(slots []uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case !s.kept:
		return errNotKept
	}
	var offsets []int64
	for _, slot := range without(slots, s.fresh) {
		if slot < s.slots {
			offsets = append(offsets, s.offset(slot, 0), s.offset(slot, 1))
		}
	}
	if len(offsets) == 0 {
		return nil
	}
	if err := overwrite(s.f, offsets, slotBytes); err != nil {
		return s.fail(err)
	}
	return nil
}

// key reads the key of this id in a slot: [ErrForgotten] where no copy holds it, and [ErrDamaged]
// too where one is damaged.
func (s *storedFile) key(slot uint32, id [storedIDBytes]byte) (*storedKey, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if slot >= s.slots {
		return nil, ErrForgotten
	}
	var all error
	for i := range copies {
		key, err := s.read(slot, i)
		if err == nil && key.id == id {
			return key, nil
		}
		if err == nil {
			key.clear()
			err = ErrForgotten
		}
		all = errors.Join(all, err)
	}
	return nil, all
}

func (s *storedFile) read(slot uint32, c int) (*storedKey, error) {
	content := make([]byte, slotBytes)
	if _, err := s.f.ReadAt(content, s.offset(slot, c)); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	if isFree(content) {
		return nil, ErrForgotten
	}
	return s.open(slot, content)
}

// seal returns a slot's content with a new key.
func (s *storedFile) seal(slot uint32) ([]byte, error) {
	key := newStoredKey()
	defer key.clear()
	plain := append(append(make([]byte, 0, storedIDBytes+storedKeyBytes), key.id[:]...), key.key[:]...)
	defer clear(plain)
	sealed, err := s.keys.stored.Encrypt(plain, s.associated(slot))
	if err == nil && len(sealed) != sealedBytes {
		err = fmt.Errorf("it has %d bytes", len(sealed))
	}
	if err != nil {
		return nil, fmt.Errorf("seal the key of a stored account: %w", err)
	}
	return append(sealed, make([]byte, slotBytes-sealedBytes)...), nil
}

// open opens a copy of a slot; nil content is one that could not be read.
func (s *storedFile) open(slot uint32, content []byte) (*storedKey, error) {
	var plain []byte
	err := ErrDamaged
	if len(content) == slotBytes && allZeros(content[sealedBytes:]) {
		plain, err = s.keys.stored.Decrypt(content[:sealedBytes], s.associated(slot))
	}
	if err != nil || len(plain) != storedIDBytes+storedKeyBytes {
		return nil, errors.Join(ErrForgotten, damaged(s.path, fmt.Sprintf("the key in slot %d does not open", slot), restoreStored))
	}
	defer clear(plain)
	key := new(storedKey)
	copy(key.id[:], plain)
	copy(key.key[:], plain[storedIDBytes:])
	return key, nil
}
