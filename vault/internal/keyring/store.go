package keyring

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"os"
	"time"

	"github.com/tink-crypto/tink-go/v2/keyset"

	"nightdrop/shared/envelope"
)

// sealing.keys is two equal copies of a header and slotCount slots; integers are big endian.
//
//	header  magic (32) sequence (8) mark (8) table (slotCount * 32) HMAC-SHA-256 of all before it (32), zeros to a page
//	table   state (1) kind (1) suite (1) zero (1) key id (4) from (8) until (8) dies (8), times in Unix seconds
//	slot    one page: length (4), a Tink keyset sealed under XAES-256-GCM with vault, slot and life as associated data, zeros
//
// mark is the last trusted time written down. The header's copies are written one after the other with an fsync between, so
// that one is always whole; the one with the higher sequence counts. A slot is written only while its state says so,
// and a crash then means that the step is done again:
//
//	free -> writing -> (slot) -> live     a slot found writing was never returned, so never published: it is wiped
//	live -> dying -> (random, zeros) -> free   a slot found dying is wiped to the end
//
// So a live slot that does not open is damage, never a crash.
const (
	pageBytes   = 4096
	slotCount   = 512
	entryBytes  = 32
	magic       = "nightdrop/sealing-keys/v1"
	magicBytes  = 32
	headerBytes = (magicBytes + 16 + slotCount*entryBytes + sha256.Size + pageBytes - 1) / pageBytes * pageBytes
	slotsAt     = 2 * headerBytes
	storeBytes  = slotsAt + slotCount*pageBytes

	// markEvery bounds how far the mark lags behind the trusted clock.
	markEvery = 5 * time.Minute
)

// slotState says what a slot may hold.
type slotState byte

const (
	slotFree slotState = iota
	slotWriting
	slotLive
	slotDying
)

type entry struct {
	state slotState
	life  life
}

// store is sealing.keys, open. It is not safe for concurrent use.
type store struct {
	f        disk
	path     string
	vault    string
	keys     *wrapping
	sequence uint64
	mark     time.Time
	table    [slotCount]entry
	failed   error // the first failed write: what is on disk is unknown from then on
}

// madeKey is a key before it has a slot.
type madeKey struct {
	life   life
	handle *keyset.Handle
}

// createStore makes an empty sealing.keys. Every byte is written, so that the slots have their place on the disk.
func createStore(path string, keys *wrapping, now time.Time) error {
	s := store{keys: keys, sequence: 1, mark: now}
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
	if size != storeBytes {
		f.Close()
		return nil, damaged(path, "it has not its size", restoreSealing)
	}
	return f, nil
}

// load reads the header and finishes what a crash interrupted. It returns the names of the keys that this destroyed.
func (s *store) load() ([]envelope.KeyName, error) {
	copies := make([]byte, slotsAt)
	if _, err := s.f.ReadAt(copies, 0); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	first, second := copies[:headerBytes], copies[headerBytes:]
	header := newer(first, second, s.valid)
	if header == nil {
		return nil, damaged(s.path, "neither copy of its header is whole", restoreSealing)
	}
	s.decodeHeader(header)
	var wipe []int
	var destroyed []envelope.KeyName
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
	if len(wipe) > 0 {
		return destroyed, s.wipe(wipe)
	}
	if !bytes.Equal(first, second) {
		return nil, s.writeHeader()
	}
	return nil, nil
}

// keyset returns what a live slot holds.
func (s *store) keyset(slot int) (*keyset.Handle, error) {
	page := make([]byte, pageBytes)
	if _, err := s.f.ReadAt(page, slotOffset(slot)); err != nil {
		return nil, fmt.Errorf("read %s: %w", s.path, err)
	}
	name := s.table[slot].life.Name
	length := binary.BigEndian.Uint32(page)
	if length > pageBytes-4 {
		return nil, damaged(s.path, "key "+string(name)+" has no length", restoreSealing)
	}
	handle, err := openKeyset(page[4:4+length], s.keys.slots, s.associated(slot))
	if err != nil {
		return nil, damaged(s.path, "key "+string(name)+" does not open", restoreSealing)
	}
	return handle, nil
}

// put writes keys into free slots, durably, and returns the slots.
func (s *store) put(keys []madeKey) ([]int, error) {
	var slots []int
	for i := 0; i < slotCount && len(slots) < len(keys); i++ {
		if s.table[i].state == slotFree {
			s.table[i] = entry{slotWriting, keys[len(slots)].life}
			slots = append(slots, i)
		}
	}
	if len(slots) < len(keys) {
		s.set(slots, slotFree)
		return nil, fmt.Errorf("%s is full: destroy keys or publish less far ahead", s.path)
	}
	if err := s.writeHeader(); err != nil { // a crash from here to the last header means: these keys never were
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
		if _, err := s.f.WriteAt(page, slotOffset(slot)); err != nil {
			return nil, s.fail(err)
		}
	}
	if err := s.sync(); err != nil {
		return nil, err
	}
	s.set(slots, slotLive)
	return slots, s.writeHeader()
}

// destroy wipes live slots, durably.
func (s *store) destroy(slots []int) error {
	s.set(slots, slotDying)
	if err := s.writeHeader(); err != nil {
		return err
	}
	return s.wipe(slots)
}

// wipe overwrites slots in place and frees them. A crash on the way means: wiped again at the next start.
func (s *store) wipe(slots []int) error {
	places := make([]int64, len(slots))
	for i, slot := range slots {
		places[i] = slotOffset(slot)
	}
	if err := overwrite(s.f, places, pageBytes); err != nil {
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

// writeHeader makes table and mark durable.
func (s *store) writeHeader() error {
	if s.failed != nil {
		return s.failed
	}
	s.sequence++
	if err := writeTwice(s.f, s.encodeHeader()); err != nil {
		return s.fail(err)
	}
	return nil
}

func (s *store) sync() error {
	if err := s.f.Sync(); err != nil {
		return s.fail(err)
	}
	return nil
}

// fail latches: after a failed write or fsync only a fresh start can know what is on disk.
func (s *store) fail(err error) error {
	s.failed = unknownOnDisk(s.path, err)
	return s.failed
}

func slotOffset(slot int) int64 { return slotsAt + int64(slot)*pageBytes }

// associated binds a slot's keyset to vault, slot and life.
func (s *store) associated(slot int) []byte {
	ad := fmt.Appendf(nil, "nightdrop/sealing-key/v1\x00%s\x00", s.vault)
	ad = binary.BigEndian.AppendUint32(ad, uint32(slot))
	return entry{slotLive, s.table[slot].life}.append(ad)
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

// valid tells whether a copy of the header is whole and this vault's.
func (s *store) valid(header []byte) bool {
	const end = magicBytes + 16 + slotCount*entryBytes
	return hmac.Equal(header[end:end+sha256.Size], s.headerMAC(header[:end]))
}

// decodeHeader reads a valid copy.
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
	return entry{slotState(b[0]), life{Name: name, From: at(8), Until: at(16), Dies: at(24)}}
}
