// Package frame lays byte strings one after the other, each behind its length: bags (specification
// 8), journal messages and the journal's segments are made of frames.
package frame

import (
	"encoding/binary"
	"errors"
)

// HeaderBytes is how many bytes a frame takes beside its own: its length, big endian.
const HeaderBytes = 4

// Errors of Cut. They say what is wrong with the bytes and repeat none of them.
var (
	// ErrHeader is returned when there are fewer bytes than a length has.
	ErrHeader = errors.New("a frame without a whole length")
	// ErrCut is returned when there are fewer bytes than the length says.
	ErrCut = errors.New("a frame longer than what is there")
)

// Append appends parts to dst as one frame; together they are to be below 4 GiB.
func Append(dst []byte, parts ...[]byte) []byte {
	length := 0
	for _, p := range parts {
		length += len(p)
	}
	dst = binary.BigEndian.AppendUint32(dst, uint32(length))
	for _, p := range parts {
		dst = append(dst, p...)
	}
	return dst
}

// Cut takes the first frame off b. What it returns are parts of b.
func Cut(b []byte) (frame, rest []byte, err error) {
	if len(b) < HeaderBytes {
		return nil, nil, ErrHeader
	}
	n := uint64(binary.BigEndian.Uint32(b))
	if b = b[HeaderBytes:]; n > uint64(len(b)) {
		return nil, nil, ErrCut
	}
	return b[:n:n], b[n:], nil
}
