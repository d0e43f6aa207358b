package scan

// chain is digits in text: groups of adjacent digits, joined by single spaces or dashes.
type chain struct {
	digits []byte
	places []int32 // index in the data of each digit
	groups []int   // digits in each group
}

func (c *chain) reset() {
	clear(c.digits)
	c.digits, c.places, c.groups = c.digits[:0], c.places[:0], c.groups[:0]
}

// shapes are how people and forms group a number. Other groups are more often a date, a table or an
// identifier than a card.
var shapes = [...][]int{
	{4, 4, 4, 4}, {4, 4, 4, 4, 3}, {4, 4, 4, 4, 2}, {4, 4, 4, 4, 1}, {4, 4, 4, 1}, {4, 4, 4},
	{4, 6, 5}, {4, 6, 4}, {6, 13}, {8, 8}, {6, 10}, {4, 5, 6},
	{1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
}

// text finds numbers written as characters of stride bytes: 1 for ASCII, 2 for UTF-16 of either
// byte order (a digit, a zero, a digit). at maps an index of data to one of the window.
func (s *Scanner) text(data []byte, stride int, e Encoding, at func(int) int) {
	// A chain of 12 digits covers every twelfth position, so most of the data is never looked at.
	for i := (minDigits - 1) * stride; i < len(data); i += (minDigits - 1) * stride {
		if !inChain(data, i, stride) {
			continue
		}
		start := i
		for start > 0 && inChain(data, start-1, stride) {
			start--
		}
		i = s.chains(data, start, stride, e, at)
	}
	s.chain.reset()
}

// chains judges the chains in the run that starts at data[i], and returns the index after it.
func (s *Scanner) chains(data []byte, i, stride int, e Encoding, at func(int) int) int {
	for i < len(data) && inChain(data, i, stride) {
		if !isDigit(data[i]) {
			i++
			continue
		}
		i = s.chain.collect(data, i, stride)
		if len(s.chain.digits) >= minDigits {
			s.judge(data, stride, e, at)
		}
	}
	return i
}

// inChain reports whether data[i] is a digit, a separator or, in UTF-16, the zero beside one.
func inChain(data []byte, i, stride int) bool {
	if stride == 1 {
		return isDigit(data[i]) || isSeparator(data[i])
	}
	if data[i] != 0 {
		return (isDigit(data[i]) || isSeparator(data[i])) && (i > 0 && data[i-1] == 0 || i+1 < len(data) && data[i+1] == 0)
	}
	return i > 0 && (isDigit(data[i-1]) || isSeparator(data[i-1])) || i+1 < len(data) && (isDigit(data[i+1]) || isSeparator(data[i+1]))
}

func isSeparator(b byte) bool { return b == ' ' || b == '-' }

// collect reads the chain at data[i] and returns the index after its last digit.
func (c *chain) collect(data []byte, i, stride int) int {
	c.reset()
	count := 0
	for {
		c.digits = append(c.digits, data[i])
		c.places = append(c.places, int32(i))
		count++
		if digitAfter(data, i, stride) {
			i += stride
			continue
		}
		c.groups = append(c.groups, count)
		count = 0
		j := i + stride
		if j >= len(data) || (stride == 2 && data[i+1] != 0) || !isSeparator(data[j]) || !digitAfter(data, j, stride) {
			return i + 1
		}
		i = j + stride
	}
}

func digitAfter(data []byte, i, stride int) bool {
	j := i + stride
	return j < len(data) && isDigit(data[j]) && (stride == 1 || data[i+1] == 0)
}

func (s *Scanner) judge(data []byte, stride int, e Encoding, at func(int) int) {
	if s.exact != nil {
		s.judgeExact(e, at)
		return
	}
	start := 0
	for g, n := range s.chain.groups {
		digits := s.chain.digits[start:]
		place := int(s.chain.places[start])
		if plausible(digits[:n]) && (stride != 1 || !innocent(data, place, n)) {
			s.report(at(place), e, digits[:n])
		}
		for _, shape := range shapes {
			n, ok := fits(s.chain.groups[g:], shape)
			if ok && plausible(digits[:n]) && (stride != 1 || !insideUUID(data, place, int(s.chain.places[start+n-1])+1)) {
				s.report(at(place), grouped(e), digits[:n])
				break
			}
		}
		start += n
	}
}

// innocent reports whether the digits at data[at] are part of a digest, a key, a UUID or a setting.
func innocent(data []byte, at, n int) bool {
	return insideHex(data, at, n) || insideUUID(data, at, at+n) || isSetting(data, at, at+n)
}

func grouped(e Encoding) Encoding {
	switch e {
	case Plain:
		return Grouped
	case inBase64(Plain):
		return inBase64(Grouped)
	default:
		return e
	}
}

// judgeExact reports given numbers that span groups; those within a group are found as bytes.
func (s *Scanner) judgeExact(e Encoding, at func(int) int) {
	if len(s.chain.groups) < 2 {
		return
	}
	group, groupEnd := 0, s.chain.groups[0]
	for start := 0; start+minDigits <= len(s.chain.digits); start++ {
		for start >= groupEnd {
			group++
			groupEnd += s.chain.groups[group]
		}
		for n := minDigits; n <= maxDigits && start+n <= len(s.chain.digits); n++ {
			if start+n > groupEnd && s.exact.has(s.chain.digits[start:start+n]) {
				s.report(at(int(s.chain.places[start])), grouped(e), s.chain.digits[start:start+n])
			}
		}
	}
}

func fits(groups, shape []int) (digits int, ok bool) {
	if len(groups) < len(shape) {
		return 0, false
	}
	for i, n := range shape {
		if groups[i] != n {
			return 0, false
		}
		digits += n
	}
	return digits, true
}

// hexWord is the length from which a hexadecimal word is a digest or key, whose decimals are
// chance.
const hexWord = 24

// insideHex reports whether the digits are part of a longer hexadecimal word with letters.
func insideHex(data []byte, at, n int) bool {
	first, last := at, at+n
	for first > 0 && at-first < hexWord && isHex(data[first-1]) {
		first--
	}
	for last < len(data) && last-at < 2*hexWord && isHex(data[last]) {
		last++
	}
	return last-first > n && last-first >= hexWord
}

func isHex(b byte) bool {
	return isDigit(b) || (b|0x20 >= 'a' && b|0x20 <= 'f')
}
