package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"nightdrop/shared/frame"
)

// maxSegment bounds a segment's file.
const maxSegment = segmentBytes + frame.HeaderBytes + MaxBytes

type scanned struct {
	messages [][]byte // intact ones in order
	end      int      // where the last of them ends
	damaged  bool     // there is more wrong than one torn write at the end
}

// scan reads up to most messages of a segment from an offset on, and skips what is not a message.
func scan(data []byte, from, most int) (s scanned) {
	for s.end = from; s.end < len(data) && len(s.messages) < most; {
		rest := data[s.end:]
		message, _, err := cutFrame(rest)
		if err == nil && intact(message) {
			s.messages = append(s.messages, message)
			s.end += frame.HeaderBytes + len(message)
			continue
		}
		next := nextIntact(rest)
		if next < 0 {
			s.damaged = s.damaged || !isTorn(rest, s.end)
			break
		}
		s.damaged = true
		s.end += next
	}
	return s
}

// intact reports whether a frame is a message as it was written, by whomever.
func intact(message []byte) bool {
	signed, body, err := cutFrame(message)
	return err == nil && matchesBody(signed, body)
}

// noteAt is where the note begins in a segment's frame: after two lengths.
const noteAt = 2 * frame.HeaderBytes

// nextIntact returns where the next message begins in what does not begin with one, or -1.
func nextIntact(rest []byte) int {
	mark := []byte(typeLine + "\n")
	for at := noteAt + 1; at < len(rest); {
		found := bytes.Index(rest[at:], mark)
		if found < 0 {
			return -1
		}
		at += found
		if message, _, err := cutFrame(rest[at-noteAt:]); err == nil && intact(message) {
			return at - noteAt
		}
		at++
	}
	return -1
}

const sector = 512 // bytes that a disk writes together

// isTorn reports whether the rest of a segment, from an offset in its file, may be one torn write:
// it ends too early, or has sectors that were never written. A message that is complete but not
// intact was altered, and so was a wrong length before a complete message.
func isTorn(rest []byte, offset int) bool {
	if len(rest) < noteAt || unwritten(rest, offset) {
		return true
	}
	if signed, body, err := cutFrame(rest[frame.HeaderBytes:]); err == nil {
		if said, _, err := parseNote(signed); err == nil {
			if sum := sha256.Sum256(body); said.Body == hex.EncodeToString(sum[:]) {
				return false // only its length is another
			}
		}
	}
	return uint64(len(rest)-frame.HeaderBytes) < uint64(binary.BigEndian.Uint32(rest))
}

// unwritten reports whether bytes from an offset in their file hold a sector of zeros, or end in
// zeros, which sealed data does not.
func unwritten(rest []byte, offset int) bool {
	const row = 4 // zero bytes at the end that are no chance
	if len(bytes.TrimRight(rest, "\x00")) <= len(rest)-row {
		return true
	}
	for from := 0; from < len(rest); {
		until := min(from+sector-(offset+from)%sector, len(rest))
		if until-from >= row && len(bytes.TrimLeft(rest[from:until], "\x00")) == 0 {
			return true
		}
		from = until
	}
	return false
}

// readSegment reads a segment, up to limit where that is above zero; nil where it is missing.
func readSegment(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if limit <= 0 {
		limit = maxSegment + 1
	}
	data, err := io.ReadAll(io.LimitReader(f, limit))
	if err == nil && len(data) > maxSegment {
		return nil, fmt.Errorf("%w: %s is longer than a segment can be", ErrDamaged, path)
	}
	return data, err
}

// oldestIn returns a segment's first message, or nil, without reading the rest.
func oldestIn(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var length [frame.HeaderBytes]byte
	if _, err := io.ReadFull(f, length[:]); err != nil {
		return nil, nil //nolint:nilerr // a segment that is cut there has no message
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > MaxBytes {
		return nil, nil
	}
	message := make([]byte, n)
	if _, err := io.ReadFull(f, message); err != nil || !intact(message) {
		return nil, nil //nolint:nilerr // nor one that is torn
	}
	return message, nil
}
