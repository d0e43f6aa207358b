package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
)

// stored.keys is two equal copies of a header and a growing number of slots; integers are big endian.
//
//	header  magic (32) sequence (8) slots (8) HMAC-SHA-256 of all before it and the vault's name (32), zeros to a page
//	slot    id (16) and key (32) sealed under XAES-256-GCM with vault and slot as associated data (88), zeros; or all zeros: free
//
// A slot lies within one sector of the disk. It is written, and fsynced, before its number is given out; what a crash leaves half written
// has no record in the ledger, and keep wipes it. So a slot that a record uses and that does not open is damage, never a crash. The file
// grows by zeros, before the header counts them.
const (
	storedMagic   = "nightdrop/stored-keys/v1"
	storedSlots   = 2 * pageBytes // where they begin
	slotBytes     = 128
	sealedBytes   = 24 + storedIDBytes + storedKeyBytes + 16
	storedGrowth  = 512     // slots that the file grows by
	storedPool    = 64      // keys made ahead with one fsync
	maxStored     = 1 << 26 // slots: 8 GiB, tens of millions of accounts
	storedChunk   = 1024    // slots read at a time
	storedTextEnd = magicBytes + 16
)

// errNotKept is returned when a slot is taken or forgotten while it is not known which are in use: a bug in the caller.
var errNotKept = errors.New("it is not known which stored accounts are in use: call KeepStored first")

// storedFile is stored.keys, open. It is safe for concurrent use.
type storedFile struct {
	f     disk
	path  string
	vault string
	keys  *wrapping

	mu       sync.RWMutex
	sequence uint64
	slots    uint32          // of the file
	kept     bool            // keep has told which are in use
	free     []uint32        // all zeros, and not given out since keep
	fresh    []uint32        // hold durable keys that nobody has yet
	missing  map[uint32]bool // in use by the ledger, without a key
	failed   error           // the first failed write
}

// createStored makes a stored.keys of free slots.
func createStored(path string, keys *wrapping, vault string) error {
	s := storedFile{keys: keys, vault: vault, sequence: 1, slots: storedGrowth}
	content := make([]byte, storedSlots+storedGrowth*slotBytes)
	header := s.encodeHeader()
	copy(content, header)
	copy(content[pageBytes:], header)
	return writeNew(path, content)
}

// load reads the header. It does not look at the slots: keep does, when it knows which are in use.
func (s *storedFile) load() error {
	copies := make([]byte, storedSlots)
	if n, err := s.f.ReadAt(copies, 0); err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read %s: %w", s.path, err)
	} else if n < len(copies) {
		return damaged(s.path, "it is cut", restoreStored)
	}
	first, second := copies[:pageBytes], copies[pageBytes:]
	header := newer(first, second, s.whole)
	if header == nil {
		return damaged(s.path, "neither copy of its header is whole", restoreStored)
	}
	slots := binary.BigEndian.Uint64(header[magicBytes+8:])
	if slots > maxStored {
		return damaged(s.path, "it counts more slots than there can be", restoreStored)
	}
	s.sequence, s.slots = sequenceOf(header), uint32(slots)
	if s.slots > 0 {
		last := make([]byte, slotBytes)
		if n, _ := s.f.ReadAt(last, storedOffset(s.slots-1)); n < slotBytes {
			return damaged(s.path, "it is cut", restoreStored)
		}
	}
	if !bytes.Equal(first, second) {
		return s.writeHeader()
	}
	return nil
}

// keptStored is what keep found.
type keptStored struct {
	missing, damaged []uint32 // slots in use
	destroyed        int
}

// keep wipes every slot that is not in used.
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
	var wipe []int64
	err = s.each(func(slot uint32, content []byte) {
		empty := allZeros(content)
		switch {
		case !inUse[slot] && !empty:
			wipe = append(wipe, storedOffset(slot))
			fallthrough
		case !inUse[slot]:
			s.free = append(s.free, slot)
		case empty:
			found.missing = append(found.missing, slot)
		default:
			key, err := s.open(slot, content)
			if err != nil {
				found.damaged = append(found.damaged, slot)
				return
			}
			key.clear()
		}
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
	found.destroyed = len(wipe)
	if len(wipe) > 0 { // a crash on the way means: wiped again at the next start
		if err := overwrite(s.f, wipe, slotBytes); err != nil {
			return found, s.fail(err)
		}
	}
	s.kept = true
	return found, nil
}

// each calls fn with every slot's content, which is good during the call.
func (s *storedFile) each(fn func(slot uint32, content []byte)) error {
	chunk := make([]byte, storedChunk*slotBytes)
	for from := uint32(0); from < s.slots; from += storedChunk {
		n := min(storedChunk, s.slots-from)
		if _, err := s.f.ReadAt(chunk[:n*slotBytes], storedOffset(from)); err != nil {
			return fmt.Errorf("read %s: %w", s.path, err)
		}
		for i := range n {
			fn(from+i, chunk[i*slotBytes:][:slotBytes])
		}
	}
	return nil
}

// take gives out a slot with a durable key.
func (s *storedFile) take() (uint32, *storedKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.fresh) == 0 {
		if err := s.refill(); err != nil {
			return 0, nil, err
		}
	}
	slot := s.fresh[0]
	s.fresh = s.fresh[1:]
	key, err := s.read(slot)
	return slot, key, err
}

// refill fills the pool: many keys, one fsync. A crash before the ledger's record means: wiped at the next start.
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
		if _, err := s.f.WriteAt(content, storedOffset(slot)); err != nil {
			return s.fail(err)
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
	if _, err := s.f.WriteAt(make([]byte, storedGrowth*slotBytes), storedOffset(s.slots)); err != nil {
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

// forget wipes slots that are given out. They are not free before the next keep.
func (s *storedFile) forget(slots []uint32) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.failed != nil:
		return s.failed
	case !s.kept:
		return errNotKept
	}
	var places []int64
	for _, slot := range without(slots, s.fresh) {
		if slot < s.slots {
			places = append(places, storedOffset(slot))
		}
	}
	if len(places) == 0 {
		return nil
	}
	if err := overwrite(s.f, places, slotBytes); err != nil {
		return s.fail(err)
	}
	return nil
}

// key reads the key in a slot: ErrForgotten, and ErrDamaged too where it is damaged.
func (s *storedFile) key(slot uint32) (*storedKey, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if slot >= s.slots {
		return nil, ErrForgotten
	}
	return s.read(slot)
}

func (s *storedFile) read(slot uint32) (*storedKey, error) {
	content := make([]byte, slotBytes)
	if _, err := s.f.ReadAt(content, storedOffset(slot)); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	if allZeros(content) {
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

func (s *storedFile) open(slot uint32, content []byte) (*storedKey, error) {
	plain, err := s.keys.stored.Decrypt(content[:sealedBytes], s.associated(slot))
	if err != nil || len(plain) != storedIDBytes+storedKeyBytes || !allZeros(content[sealedBytes:]) {
		return nil, errors.Join(ErrForgotten, damaged(s.path, fmt.Sprintf("the key in slot %d does not open", slot), restoreStored))
	}
	defer clear(plain)
	key := new(storedKey)
	copy(key.id[:], plain)
	copy(key.key[:], plain[storedIDBytes:])
	return key, nil
}

// associated binds a slot's key to vault and slot.
func (s *storedFile) associated(slot uint32) []byte {
	ad := fmt.Appendf(nil, "nightdrop/stored-key/v1\x00%s\x00", s.vault)
	return binary.BigEndian.AppendUint32(ad, slot)
}

func (s *storedFile) writeHeader() error {
	if s.failed != nil {
		return s.failed
	}
	s.sequence++
	if err := writeTwice(s.f, s.encodeHeader()); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *storedFile) fail(err error) error {
	s.failed = unknownOnDisk(s.path, err)
	return s.failed
}

func (s *storedFile) encodeHeader() []byte {
	header := append(make([]byte, 0, pageBytes), storedMagic...)
	header = header[:magicBytes]
	header = binary.BigEndian.AppendUint64(header, s.sequence)
	header = binary.BigEndian.AppendUint64(header, uint64(s.slots))
	return append(header, s.headerMAC(header)...)[:pageBytes]
}

func (s *storedFile) headerMAC(text []byte) []byte {
	h := hmac.New(sha256.New, s.keys.table)
	h.Write(text)
	h.Write([]byte(s.vault))
	return h.Sum(nil)
}

// whole tells whether a copy of the header is whole and this vault's.
func (s *storedFile) whole(header []byte) bool {
	return hmac.Equal(header[storedTextEnd:storedTextEnd+sha256.Size], s.headerMAC(header[:storedTextEnd]))
}

func storedOffset(slot uint32) int64 { return storedSlots + int64(slot)*slotBytes }

func allZeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
