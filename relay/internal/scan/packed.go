package scan

// packed finds numbers in packed BCD: two digits a byte, an odd count led by a zero or ended by an F nibble
// (ISO 8583 and EMV both occur).
//
// Letters of text and ciphertext are full of bytes that look like BCD, so a run counts only where it stands alone: the
// bytes around it are no BCD, it is no text among text, and it does not lie between random bytes.
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

// judgePacked reports the number in data[start:end], which is a maximal run of BCD bytes.
func (s *Scanner) judgePacked(data []byte, start, end int) {
	stop := end
	if end < len(data) && data[end]>>4 < 10 && data[end]&15 == 15 {
		stop++ // an odd count of digits, ended by F
	}
	if stop-start < minDigits/2 || stop-start > maxDigits/2+1 || textual(data, start, stop) || amongRandom(data, start, stop) {
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
	switch {
	case plausible(number):
		s.report(start, BCD, number)
	case number[0] == '0' && plausible(number[1:]):
		s.report(start, BCD, number[1:])
	}
}

// textual reports whether data[start:end] is printable and has a printable neighbour: part of a word.
func textual(data []byte, start, end int) bool {
	for _, b := range data[start:end] {
		if !printable(b) {
			return false
		}
	}
	return start > 0 && printable(data[start-1]) || end < len(data) && printable(data[end])
}

func printable(b byte) bool { return b >= 0x20 && b < 0x7f }

// amongRandom reports whether the 64 bytes on either side of data[start:end] look like ciphertext: a third of them or
// more have the high bit set (half of random bytes have).
func amongRandom(data []byte, start, end int) bool {
	high, total := 0, 0
	for _, side := range [2][]byte{data[max(0, start-64):start], data[end:min(len(data), end+64)]} {
		for _, b := range side {
			total++
			high += int(b >> 7)
		}
	}
	return total >= 32 && high*3 >= total
}
