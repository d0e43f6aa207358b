package scan

import (
	"bytes"
	"encoding/binary"
	"errors"
)

// ErrNumber is returned when a number is not 12 to 19 digits. It does not quote it.
var ErrNumber = errors.New("an account number to look for must be 12 to 19 digits, one a line")

// pattern is one given number as bytes in one encoding.
type pattern struct {
	bytes    []byte
	encoding Encoding
	digits   []byte
}

// numberSet finds given numbers as bytes: a bitmap over a hash of the first four bytes of every
// pattern excludes nearly all positions, a map decides the rest.
type numberSet struct {
	numbers  map[[maxDigits]byte]struct{} // padded with zero bytes
	patterns map[uint32][]pattern         // by the first four bytes
	bitmap   []uint64
}

const bitmapBits = 20

func newNumberSet(numbers [][]byte) (*numberSet, error) {
	set := &numberSet{
		numbers:  make(map[[maxDigits]byte]struct{}, len(numbers)),
		patterns: make(map[uint32][]pattern, 6*len(numbers)),
		bitmap:   make([]uint64, 1<<bitmapBits/64),
	}
	for _, number := range numbers {
		if len(number) < minDigits || len(number) > maxDigits || bytes.ContainsFunc(number, func(r rune) bool { return r < '0' || r > '9' }) {
			return nil, ErrNumber
		}
		if set.has(number) {
			continue
		}
		digits := bytes.Clone(number)
		set.numbers[key(digits)] = struct{}{}
		set.add(pattern{digits, Plain, digits})
		wide := make([]byte, 0, 2*len(digits))
		for _, d := range digits {
			wide = append(wide, d, 0)
		}
		set.add(pattern{wide[:len(wide)-1], UTF16, digits})
		for _, packed := range pack(digits) {
			set.add(pattern{packed, BCD, digits})
		}
	}
	return set, nil
}

// pack returns the BCD forms of digits. An even count is aligned to a byte or, without its outer
// digits, to half of one; an odd count lacks a digit at either end.
func pack(digits []byte) [][]byte {
	inner := func(d []byte) []byte {
		out := make([]byte, 0, len(d)/2)
		for ; len(d) >= 2; d = d[2:] {
			out = append(out, (d[0]-'0')<<4|(d[1]-'0'))
		}
		return out
	}
	return [][]byte{inner(digits), inner(digits[1:])}
}

func (n *numberSet) add(p pattern) {
	first := binary.LittleEndian.Uint32(p.bytes)
	n.patterns[first] = append(n.patterns[first], p)
	h := hash(first)
	n.bitmap[h/64] |= 1 << (h % 64)
}

func hash(v uint32) uint32 { return v * 2654435761 >> (32 - bitmapBits) }

// find calls found with the index of each pattern in data.
func (n *numberSet) find(data []byte, found func(at int, e Encoding, digits []byte)) {
	for i := 0; i+4 <= len(data); i++ {
		first := binary.LittleEndian.Uint32(data[i:])
		h := hash(first)
		if n.bitmap[h/64]&(1<<(h%64)) == 0 {
			continue
		}
		for _, p := range n.patterns[first] {
			if bytes.HasPrefix(data[i:], p.bytes) {
				found(i, p.encoding, p.digits)
			}
		}
	}
}

func (n *numberSet) has(digits []byte) bool {
	_, ok := n.numbers[key(digits)]
	return ok
}

func key(digits []byte) (k [maxDigits]byte) {
	copy(k[:], digits)
	return k
}

func (n *numberSet) clear() {
	clear(n.numbers)
	for _, list := range n.patterns {
		for _, p := range list {
			clear(p.bytes)
			clear(p.digits)
		}
	}
	clear(n.patterns)
	clear(n.bitmap)
}
