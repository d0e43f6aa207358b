package scan

import "slices"

// The shortest runs of base64 letters worth decoding: 12 digits are 16 letters, packed in BCD 8.
const (
	minBase64       = 16
	minBase64Packed = 8
)

// base64 scans base64 (RFC 4648, both alphabets, line breaks allowed). Where a text starts is not
// known, so each run is decoded at all four alignments.
func (s *Scanner) base64(data []byte) {
	shortest := minBase64
	if s.exact != nil {
		shortest = minBase64Packed
	}
	for i := 0; i < len(data); i++ {
		if sextets[data[i]] == noLetter {
			continue
		}
		i = s.collectLetters(data, i)
		if len(s.letters) < shortest {
			continue
		}
		for phase := range 4 {
			s.undo(phase)
		}
	}
}

// collectLetters reads the base64 letters from data[i] on and returns the index after them.
func (s *Scanner) collectLetters(data []byte, i int) int {
	s.letters, s.places = s.letters[:0], s.places[:0]
	for ; i < len(data); i++ {
		if v := sextets[data[i]]; v != noLetter {
			s.letters = append(s.letters, v)
			s.places = append(s.places, int32(i))
		} else if data[i] != '\r' && data[i] != '\n' {
			break
		}
	}
	return i
}

func (s *Scanner) undo(phase int) {
	in := s.letters[min(phase, len(s.letters)):]
	s.decoded = slices.Grow(s.decoded[:0], len(in))[:len(in)/4*3]
	for out := s.decoded; len(in) >= 4 && len(out) >= 3; in, out = in[4:], out[3:] {
		out[0], out[1], out[2] = in[0]<<2|in[1]>>4, in[1]<<4|in[2]>>2, in[2]<<6|in[3]
	}
	if len(in) >= 2 {
		s.decoded = append(s.decoded, in[0]<<2|in[1]>>4)
	}
	if len(in) == 3 {
		s.decoded = append(s.decoded, in[1]<<4|in[2]>>2)
	}
	at := func(i int) int { return int(s.places[phase+i/3*4+i%3]) }
	s.text(s.decoded, 1, inBase64(Plain), at)
	s.text(s.decoded, 2, inBase64(UTF16), at)
	if s.exact != nil {
		s.exact.find(s.decoded, func(i int, e Encoding, digits []byte) { s.report(at(i), inBase64(e), digits) })
	}
}

const noLetter = 0xff

// sextets maps a byte to its value as a base64 letter of either alphabet.
var sextets = func() (table [256]byte) {
	for i := range table {
		table[i] = noLetter
	}
	for _, alphabet := range []string{
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
	} {
		for i := range len(alphabet) {
			table[alphabet[i]] = byte(i)
		}
	}
	return table
}()
