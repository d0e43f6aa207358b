package keyring

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// associated is what a slot's key is sealed with: vault and slot.
func (s *storedFile) associated(slot uint32) []byte {
	ad := fmt.Appendf(nil, "nightdrop/stored-key/v1\x00%s\x00", s.vault)
	return binary.BigEndian.AppendUint32(ad, slot)
}

func (s *storedFile) writeHeader() error { return s.writeTwice(s.encodeHeader) }

func (s *storedFile) encodeHeader() []byte {
	header := append(make([]byte, 0, pageBytes), storedMagic...)
	header = header[:magicBytes]
	header = binary.BigEndian.AppendUint64(header, s.sequence)
	header = binary.BigEndian.AppendUint64(header, uint64(s.slots))
	header = binary.BigEndian.AppendUint64(header, uint64(s.first))
	return append(header, s.headerMAC(header)...)[:pageBytes]
}

func (s *storedFile) headerMAC(text []byte) []byte {
	h := hmac.New(sha256.New, s.keys.table)
	h.Write(text)
	h.Write([]byte(s.vault))
	return h.Sum(nil)
}

// valid reports whether a copy of the header, of either version, is intact and this vault's.
func (s *storedFile) valid(header []byte) bool {
	end := storedTextEnd
	if magicOf(header) == storedMagicV1 {
		end = storedTextV1
	}
	return hmac.Equal(header[end:end+sha256.Size], s.headerMAC(header[:end]))
}

// group returns the first slot of a slot's group and the group's size.
func (s *storedFile) group(slot uint32) (begins, size uint32) {
	if slot < s.first {
		return 0, s.first
	}
	return s.first + (slot-s.first)/storedGrowth*storedGrowth, storedGrowth
}

// offset returns where copy c, from 0, of a slot begins.
func (s *storedFile) offset(slot uint32, c int) int64 {
	begins, size := s.group(slot)
	return storedSlots + (copies*int64(begins)+int64(c)*int64(size)+int64(slot-begins))*slotBytes
}

// isFree reports whether a copy of a slot was read and holds nothing.
func isFree(content []byte) bool { return content != nil && allZeros(content) }

func allZeros(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
