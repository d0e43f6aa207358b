package scan

import (
	"bytes"
	"encoding/binary"
	"strconv"
)

// What is known not to be an account number, by its context: identifiers, a stream's settings, and
// frames of records in the channel's store. Each rule requires the whole form, so that a number
// beside it is still found.

// uuidBytes is the length of a UUID as text (RFC 9562): 8, 4, 4, 4 and 12 hexadecimal digits.
const uuidBytes = 36

// insideUUID reports whether data[first:end] lies in a UUID with letters: one of digits alone might
// be numbers joined by dashes.
func insideUUID(data []byte, first, end int) bool {
	for start := max(0, end-uuidBytes); start <= first && start+uuidBytes <= len(data); start++ {
		if !isUUID(data[start : start+uuidBytes]) {
			continue
		}
		after := start + uuidBytes
		return (start == 0 || !isWord(data[start-1])) && (after == len(data) || !isWord(data[after]))
	}
	return false
}

func isWord(b byte) bool { return isDigit(b) || b|0x20 >= 'a' && b|0x20 <= 'z' || b == '-' }

// isUUID checks the form, a version of 1 to 8 and the variant 10.
func isUUID(text []byte) bool {
	letters := false
	for i, b := range text {
		switch {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if b != '-' {
				return false
			}
		case !isHex(b):
			return false
		default:
			letters = letters || !isDigit(b)
		}
	}
	return letters && text[14] >= '1' && text[14] <= '8' && bytes.IndexByte([]byte("89abAB"), text[19]) >= 0
}

// settings are the long integers of a JetStream stream's settings (meta.inf), and what their values
// are multiples of: seconds in nanoseconds, and bytes that somebody chose.
var settings = map[string][]uint64{
	"max_age":          {1e9},
	"duplicate_window": {1e9},
	"max_bytes":        {1e6, 1 << 20},
}

func isSetting(data []byte, first, end int) bool {
	value, err := strconv.ParseUint(string(data[first:end]), 10, 64)
	if err != nil || end < len(data) && data[end] != ',' && data[end] != '}' && data[end] != ' ' && data[end] != '\n' {
		return false
	}
	before := bytes.TrimRight(data[max(0, first-64):first], " ")
	name, isMember := bytes.CutSuffix(before, []byte(":"))
	if !isMember {
		return false
	}
	name, isQuoted := bytes.CutSuffix(bytes.TrimRight(name, " "), []byte(`"`))
	if !isQuoted {
		return false
	}
	name = name[bytes.LastIndexByte(name, '"')+1:]
	for _, unit := range settings[string(name)] {
		if value%unit == 0 {
			return true
		}
	}
	return false
}

// A record of a JetStream block is its length (4 bytes, little endian, the highest bit for
// headers), sequence (8), time (8), length of the subject (2), the subject, the length of the
// headers (4) and headers if any, the message, and a hash (8).
const (
	recordHead     = 22
	recordHash     = 8
	recordHeaders  = 1 << 31
	recordMost     = 32 << 20
	longestSubject = 160
	longestHeaders = 512 // of a stored message: its id, and what it expects of the stream
)

// subjects are how the subjects of the channel's streams begin (specification 8).
var subjects = [...]string{"bag.", "journal.", "res.", "notice.", "backup."}

// isRecord reports whether a record's head stands at data[at:], and the length of its subject.
func isRecord(data []byte, at int) (subject int, headers, ok bool) {
	if at < 0 || at+recordHead > len(data) {
		return 0, false, false
	}
	length := binary.LittleEndian.Uint32(data[at:])
	headers, length = length&recordHeaders != 0, length&^recordHeaders
	subject = int(binary.LittleEndian.Uint16(data[at+20:]))
	end := at + recordHead + subject
	if length > recordMost || int(length) < recordHead+subject+recordHash || subject > longestSubject || end > len(data) {
		return 0, false, false
	}
	text := data[at+recordHead : end]
	for _, b := range text {
		if !isWord(b) && b != '.' {
			return 0, false, false
		}
	}
	for _, prefix := range subjects {
		if bytes.HasPrefix(text, []byte(prefix)) {
			return subject, headers, true
		}
	}
	return 0, false, false
}

type span struct{ start, end int }

// frames returns what of the records near data[start:end] is no message: each head with the hash of
// the record before, the subject, and the headers with their length.
func frames(data []byte, start, end int) (found []span) {
	for at := max(0, start-recordHead-longestSubject-longestHeaders); at < end+recordHash; at++ {
		subject, headers, ok := isRecord(data, at)
		if !ok {
			continue
		}
		frame := span{at - recordHash, at + recordHead + subject}
		if headers && frame.end+4 <= len(data) {
			frame.end += 4 + int(min(binary.LittleEndian.Uint32(data[frame.end:]), longestHeaders))
		}
		found = append(found, frame)
	}
	return found
}

func unframed(data []byte, start, end int) []span {
	left := []span{{start, end}}
	for _, frame := range frames(data, start, end) {
		left = without(left, frame)
	}
	return left
}

func without(spans []span, cut span) (left []span) {
	for _, s := range spans {
		if cut.end <= s.start || cut.start >= s.end {
			left = append(left, s)
			continue
		}
		if cut.start > s.start {
			left = append(left, span{s.start, cut.start})
		}
		if cut.end < s.end {
			left = append(left, span{cut.end, s.end})
		}
	}
	return left
}
