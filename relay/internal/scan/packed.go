package scan

// packed finds numbers in packed BCD: two digits a byte, an odd count led by a zero or ended by an
// F nibble (ISO 8583 and EMV both occur).
//
// Text and ciphertext are full of bytes that look like BCD, so a run counts only if it stands
// alone: not beside other BCD, not in text, not between random bytes.
func (s *Scanner) packed(data []byte) {
	for i := 0; i < len(data); i++ {
		if !isPacked(data[i]) {
			continue
		}
		end := i
		for end < len(data) && isPacked(data[end]) {
			end++
		}
		s.judgePacked(data, i, end)
		i = end
	}
}

func isPacked(b byte) bool { return b>>4 < 10 && b&15 < 10 }

// judgePacked reports the numbers in a maximal run of BCD bytes, without frames of the channel's
// store.
func (s *Scanner) judgePacked(data []byte, start, end int) {
	if end-start < minDigits/2 || textual(data, start, end) {
		return
	}
	for _, part := range unframed(data, start, end) {
		s.judgePart(data, part.start, part.end)
	}
}

func (s *Scanner) judgePart(data []byte, start, end int) {
	stop := end
	if end < len(data) && data[end]>>4 < 10 && data[end]&15 == 15 {
		stop++ // an odd count of digits, ended by F
	}
	if stop-start < minDigits/2 || stop-start > maxDigits/2+1 || textual(data, start, stop) {
		return
	}
	var digits [2 * (maxDigits/2 + 1)]byte
	defer clear(digits[:])
	n := 0
	for _, b := range data[start:stop] {
		digits[n], digits[n+1] = '0'+b>>4, '0'+b&15
		n += 2
	}
	number := digits[:n]
	if stop > end {
		number = number[:n-1]
	}
	if !plausible(number) && number[0] == '0' {
		number = number[1:]
	}
	if plausible(number) && !amongRandom(data, start, stop) {
		s.report(start, BCD, number)
	}
}

// textual reports whether data[start:end] is printable, as is a neighbour: part of a word.
func textual(data []byte, start, end int) bool {
	for _, b := range data[start:end] {
		if !printable(b) {
			return false
		}
	}
	return start > 0 && printable(data[start-1]) || end < len(data) && printable(data[end])
}

func printable(b byte) bool { return b >= 0x20 && b < 0x7f }

// amongRandom reports whether the 64 bytes on either side, as far as they are of the same record,
// look like ciphertext: a third of them or more have the high bit set (half of random bytes have).
func amongRandom(data []byte, start, end int) bool {
	const around = 64
	from, to := max(0, start-around), min(len(data), end+around)
	for _, frame := range frames(data, from, to) {
		if frame.end <= start {
			from = max(from, frame.end)
		}
		if frame.start >= end {
			to = min(to, frame.start)
		}
	}
	high, total := 0, 0
	for _, side := range [2][]byte{data[from:start], data[end:to]} {
		for _, b := range side {
			total++
			high += int(b >> 7)
		}
	}
	return total >= around/2 && high*3 >= total
}
