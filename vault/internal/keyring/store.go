package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"nightdrop/shared/envelope"
)

// sealing.keys is two equal copies of a header, slotCount slots, and the same slots once more;
// integers are big endian.
//
//	header  magic (32) sequence (8) mark (8) table (slotCount * 32) HMAC-SHA-256 of all before it (32), zeros to a page
//	table   state (1) kind (1) suite (1) zero (1) key id (4) from (8) until (8) dies (8), times in Unix seconds
//	slot    one page: length (4), a Tink keyset sealed under XAES-256-GCM with vault, slot and life as associated data, zeros
//
// mark is the last recorded trusted time. A slot is written only while its state says so, in both
// of its copies, and a crash then means that the step is done again:
//
//	free -> writing -> (both copies) -> live     a slot found writing was never returned, so never published: it is wiped
//	live -> dying -> (random, zeros, in both) -> free   a slot found dying is wiped to the end
//
// So a copy of a live slot that does not open is damage, never a crash: it is repaired from the
// other. Where neither opens, that key alone is lost; it keeps its slot until its death.
//
// A file of magicV1 (before 2026-12-01) has its slots once. load writes the second copies behind
// them, in place, before the header says so: no other file ever holds a key.
const (
	pageBytes   = 4096
	slotCount   = 512
	entryBytes  = 32
	magic       = "nightdrop/sealing-keys/v2"
	magicV1     = "nightdrop/sealing-keys/v1"
	magicPrefix = "nightdrop/sealing-keys/"
	magicBytes  = 32
	headerBytes = (magicBytes + 16 + slotCount*entryBytes + sha256.Size + pageBytes - 1) / pageBytes * pageBytes
	slotsAt     = 2 * headerBytes
	areaBytes   = slotCount * pageBytes // one copy of all slots
	bytesV1     = slotsAt + areaBytes
	storeBytes  = slotsAt + copies*areaBytes

	// markEvery bounds how far the mark lags behind the trusted clock.
	markEvery = 5 * time.Minute
)

type slotState byte

const (
	slotFree slotState = iota
	slotWriting
	slotLive
	slotDying
)

type entry struct {
	state slotState
	life  lifetime
	lost  bool // live, and neither copy opens; not on disk
}

// store is sealing.keys, open. It is not safe for concurrent use.
type store struct {
	keyFile
	mark  time.Time
	table [slotCount]entry
}

// madeKey is a key before it has a slot.
type madeKey struct {
	life   lifetime
	handle *keyset.Handle
}

// createStore makes an empty sealing.keys. Every byte is written, so that the slots' blocks are
// allocated.
func createStore(path string, keys *wrapping, now time.Time) error {
	s := store{keyFile: keyFile{keys: keys, sequence: 1}, mark: now}
	content := make([]byte, storeBytes)
	header := s.encodeHeader()
	copy(content, header)
	copy(content[headerBytes:], header)
	return writeNew(path, content)
}

// openDisk opens the file and checks its size and mode.
func openDisk(path string) (*os.File, error) {
	f, size, err := openPrivate(path)
	if err != nil {
		return nil, fmt.Errorf("open the sealing keys: %w", err)
	}
	if size < bytesV1 || size > storeBytes {
		f.Close()
		return nil, damaged(path, "its size is wrong", restoreSealing)
	}
	return f, nil
}

// load reads the header and finishes what a crash interrupted. It returns the keys that this
// destroyed.
func (s *store) load() ([]envelope.KeyName, error) {
	first, second, err := readTwice(s.f, s.path, headerBytes)
	if err != nil {
		return nil, err
	}
	header := newer(first, second, s.valid)
	if header == nil {
		return nil, unreadable(s.path, magicPrefix, first, second, restoreSealing)
	}
	s.decodeHeader(header)
	switch magicOf(header) {
	case magic:
		if n, _ := s.f.ReadAt(make([]byte, pageBytes), storeBytes-pageBytes); n < pageBytes {
			return nil, damaged(s.path, "it is cut", restoreSealing)
		}
	case magicV1:
		if err := s.addCopies(); err != nil {
			return nil, err
		}
	default:
		return nil, newerFormat(s.path, magicOf(header))
	}
	destroyed, wipe := s.interrupted()
	if len(wipe) > 0 {
		return destroyed, s.wipe(wipe)
	}
	if !bytes.Equal(first, second) {
		return nil, s.writeHeader()
	}
	return nil, nil
}

// interrupted returns the slots that a crash left to be wiped, and the published keys that this
// destroys.
func (s *store) interrupted() (destroyed []envelope.KeyName, wipe []int) {
	for i, e := range s.table {
		switch e.state {
		case slotFree, slotLive:
		case slotDying:
			destroyed = append(destroyed, e.life.Name)
			wipe = append(wipe, i)
		default:
			wipe = append(wipe, i)
		}
	}
	return destroyed, wipe
}

// addCopies gives a file of magicV1 its second copies, of live slots only. A crash before the
// header is written means that this is done again.
func (s *store) addCopies() error {
	area := make([]byte, areaBytes)
	for slot, e := range s.table {
		if e.state != slotLive {
			continue
		}
		if _, err := s.f.ReadAt(area[slot*pageBytes:][:pageBytes], slotOffset(slot, 0)); err != nil {
			return fmt.Errorf("read %s: %w", s.path, err)
		}
	}
	if _, err := s.f.WriteAt(area, slotOffset(0, 1)); err != nil {
		return s.fail(err)
	}
	if err := s.sync(); err != nil {
		return err
	}
	return s.writeHeader()
}

// keyset returns what a live slot holds, nil where neither copy opens. repaired reports whether a
// damaged copy was rewritten from the other. It fails where a copy cannot be read and the other
// does not open: then it is unknown what the slot holds.
func (s *store) keyset(slot int) (handle *keyset.Handle, repaired bool, err error) {
	var found [copies][]byte
	var sound []byte
	var unread error
	for i := range found {
		page := make([]byte, pageBytes)
		if _, err := s.f.ReadAt(page, slotOffset(slot, i)); err != nil {
			unread = errors.Join(unread, fmt.Errorf("read key %s in %s: %w", s.table[slot].life.Name, s.path, err))
			continue
		}
		if found[i] = page; handle == nil {
			handle, sound = s.open(slot, page)
		}
	}
	if handle == nil {
		return nil, false, unread
	}
	for i := range found {
		if bytes.Equal(found[i], sound) {
			continue
		}
		if _, err := s.f.WriteAt(sound, slotOffset(slot, i)); err != nil {
			return nil, false, s.fail(err)
		}
		repaired = true
	}
	if repaired {
		err = s.sync()
	}
	return handle, repaired, err
}

// open returns the keyset in a page, and the page as written; nil where it does not open.
func (s *store) open(slot int, page []byte) (*keyset.Handle, []byte) {
	length := binary.BigEndian.Uint32(page)
	if length > pageBytes-4 {
		return nil, nil
	}
	handle, err := openKeyset(page[4:4+length], s.keys.slots, s.associated(slot))
	if err != nil {
		return nil, nil
	}
	sound := make([]byte, pageBytes)
	copy(sound, page[:4+length])
	return handle, sound
}

// put writes keys durably into free slots, which it returns.
func (s *store) put(keys []madeKey) ([]int, error) {
	var slots []int
	for i := 0; i < slotCount && len(slots) < len(keys); i++ {
		if s.table[i].state == slotFree {
			s.table[i] = entry{state: slotWriting, life: keys[len(slots)].life}
			slots = append(slots, i)
		}
	}
	if len(slots) < len(keys) {
		s.set(slots, slotFree)
		return nil, fmt.Errorf("%s is full: destroy keys or publish less far ahead", s.path)
	}
	// a crash from here to the last header means: these keys never were
	if err := s.writeHeader(); err != nil {
		return nil, err
	}
	for i, slot := range slots {
		sealed, err := sealKeyset(keys[i].handle, s.keys.slots, s.associated(slot))
		if err == nil && len(sealed) > pageBytes-4 {
			err = fmt.Errorf("a sealed keyset of %d bytes does not fit its slot", len(sealed))
		}
		if err != nil {
			return nil, s.fail(err)
		}
		page := make([]byte, pageBytes)
		binary.BigEndian.PutUint32(page, uint32(len(sealed)))
		copy(page[4:], sealed)
		for c := range copies {
			if _, err := s.f.WriteAt(page, slotOffset(slot, c)); err != nil {
				return nil, s.fail(err)
			}
		}
	}
	if err := s.sync(); err != nil {
		return nil, err
	}
	s.set(slots, slotLive)
	return slots, s.writeHeader()
}

// destroy wipes both copies of live slots, durably. A crash on the way means: wiped at the next
// start.
func (s *store) destroy(slots []int) error {
	s.set(slots, slotDying)
	if err := s.writeHeader(); err != nil {
		return err
	}
	return s.wipe(slots)
}

// wipe overwrites both copies of slots in place and frees them. A crash on the way means: wiped
// again at the next start.
func (s *store) wipe(slots []int) error {
	var offsets []int64
	for _, slot := range slots {
		for c := range copies {
			offsets = append(offsets, slotOffset(slot, c))
		}
	}
	if err := overwrite(s.f, offsets, pageBytes); err != nil {
		return s.fail(err)
	}
	s.set(slots, slotFree)
	return s.writeHeader()
}

func (s *store) set(slots []int, state slotState) {
	for _, slot := range slots {
		s.table[slot].state = state
		if state == slotFree {
			s.table[slot] = entry{}
		}
	}
}

func (s *store) writeHeader() error { return s.writeTwice(s.encodeHeader) }

func (s *store) sync() error {
	if err := s.f.Sync(); err != nil {
		return s.fail(err)
	}
	return nil
}

// slotOffset returns where copy c, from 0, of a slot begins.
func slotOffset(slot, c int) int64 { return slotsAt + int64(c)*areaBytes + int64(slot)*pageBytes }

// associated is what a slot's keyset is sealed with: vault, slot and lifetime.
func (s *store) associated(slot int) []byte {
	ad := fmt.Appendf(nil, "nightdrop/sealing-key/v1\x00%s\x00", s.vault)
	ad = binary.BigEndian.AppendUint32(ad, uint32(slot))
	return entry{state: slotLive, life: s.table[slot].life}.append(ad)
}

func (s *store) encodeHeader() []byte {
	header := append(make([]byte, 0, headerBytes), magic...)
	header = header[:magicBytes]
	header = binary.BigEndian.AppendUint64(header, s.sequence)
	header = binary.BigEndian.AppendUint64(header, uint64(s.mark.Unix()))
	for _, e := range s.table {
		header = e.append(header)
	}
	header = append(header, s.headerMAC(header)...)
	return header[:headerBytes]
}

func (s *store) headerMAC(text []byte) []byte {
	h := hmac.New(sha256.New, s.keys.table)
	h.Write(text)
	return h.Sum(nil)
}

// valid reports whether a copy of the header, of either version, is intact and this vault's.
func (s *store) valid(header []byte) bool {
	const end = magicBytes + 16 + slotCount*entryBytes
	return hmac.Equal(header[end:end+sha256.Size], s.headerMAC(header[:end]))
}

func (s *store) decodeHeader(header []byte) {
	s.sequence = sequenceOf(header)
	s.mark = time.Unix(int64(binary.BigEndian.Uint64(header[magicBytes+8:])), 0).UTC()
	for i := range s.table {
		s.table[i] = decodeEntry(header[magicBytes+16+i*entryBytes:])
	}
}

// append writes the entry's 32 bytes; a free one is zeros.
func (e entry) append(b []byte) []byte {
	if e.state == slotFree {
		return append(b, make([]byte, entryBytes)...)
	}
	kind, suite := byte(1), byte(1)
	if e.life.Name.Kind() == envelope.KindCode {
		kind = 2
	}
	if e.life.Name.Suite() == envelope.SuiteX25519 {
		suite = 2
	}
	b = append(b, byte(e.state), kind, suite, 0)
	b = binary.BigEndian.AppendUint32(b, e.life.Name.ID())
	for _, t := range [...]time.Time{e.life.From, e.life.Until, e.life.Dies} {
		b = binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
	}
	return b
}

func decodeEntry(b []byte) entry {
	if slotState(b[0]) == slotFree {
		return entry{}
	}
	kind, suite := envelope.KindDay, envelope.SuiteXWing
	if b[1] == 2 {
		kind = envelope.KindCode
	}
	if b[2] == 2 {
		suite = envelope.SuiteX25519
	}
	at := func(i int) time.Time { return time.Unix(int64(binary.BigEndian.Uint64(b[i:])), 0).UTC() }
	name := envelope.MakeKeyName(kind, binary.BigEndian.Uint32(b[4:]), suite)
	return entry{state: slotState(b[0]), life: lifetime{Name: name, From: at(8), Until: at(16), Dies: at(24)}}
}
