package nacha

import (
	"bytes"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// latin transliterates letters that Unicode does not decompose to upper-case ASCII; a row's first
// field replaces each letter of the second. (ICAO Doc 9303 part 3, section 6 A, shortened to one
// letter where a field has 22.) Letters with marks are decomposed first. Signs of pronunciation
// only, such as the Hawaiian okina, the Arabic hamza and ayin and the Catalan dot, are left out.
var latin = [...]struct{ ascii, letters string }{
	{"A", "ȺⱭ"}, {"AE", "Æ"}, {"B", "ɃƁƂ"}, {"C", "ȻƇ"}, {"D", "ÐĐƉƊƋ"}, {"E", "ƏƎɆƐ"}, {"F", "Ƒ"}, {"G", "ǤƓƔ"}, {"H", "ĦⱧ"}, {"I", "ƗƖ"}, {"J", "Ɉ"},
	{"K", "ƘĸⱩ"}, {"L", "ŁȽⱢⱠ"}, {"M", "Ɱ"}, {"N", "ŊƝȠ"}, {"O", "ØƟƆ"}, {"OE", "Œ"}, {"P", "ƤⱣ"}, {"Q", "Ɋ"}, {"R", "ɌⱤ"}, {"S", "ƩⱾ"}, {"SS", "ßẞ"},
	{"T", "ŦȾƬƮ"}, {"TH", "Þ"}, {"U", "ɄƯ"}, {"V", "ƲɅ"}, {"W", "Ⱳ"}, {"Y", "ɎƳ"}, {"Z", "ƵȤⱿƷ"}, {"'", "‘’ʼ`´′"}, {"-", "‐‑‒–—―−"}, {"\"", "“”"},
	{"", "ʻʽʾʿˈˊˋ·ʹʺ"},
}

// unknownLetter replaces an unknown letter.
const unknownLetter = "?"

// printName writes a holder's name, in UTF-8, into a field: printable ASCII in upper case, single
// spaces, cut and padded to the field's length. A name of which nothing is left becomes one
// question mark, as the field is mandatory.
func printName(field, name []byte) {
	n, space := 0, false
	for len(name) > 0 {
		r, size := utf8.DecodeRune(name)
		name = name[size:]
		if unicode.IsSpace(r) {
			space = n > 0
			continue
		}
		text := asciiLetter(r)
		if text == "" {
			continue
		}
		if space {
			n += copy(field[n:], " ")
			space = false
		}
		n += copy(field[n:], text)
	}
	if n == 0 {
		n = copy(field, unknownLetter)
	}
	for i := n; i < len(field); i++ {
		field[i] = ' '
	}
}

// asciiLetter transliterates a letter; a combining mark gives "".
func asciiLetter(r rune) string {
	if text, known := knownLetter(r); known {
		return text
	}
	var letter [utf8.UTFMax]byte
	parts := norm.NFKD.Properties(letter[:utf8.EncodeRune(letter[:], r)]).Decomposition()
	if len(parts) == 0 {
		return unknownLetter
	}
	text := ""
	// parts of one letter, such as o and a horn
	for _, part := range bytes.Runes(parts) {
		known, found := knownLetter(part)
		if !found && part != ' ' {
			known = unknownLetter
		}
		text += known
	}
	return text
}

// knownLetter is asciiLetter without decomposition.
func knownLetter(r rune) (text string, known bool) {
	r = unicode.ToUpper(r)
	if r > ' ' && r <= '~' && r != '`' {
		return printableASCII[r-' ' : r-' '+1], true
	}
	if unicode.Is(unicode.Mn, r) {
		return "", true
	}
	for _, row := range latin {
		if strings.ContainsRune(row.letters, r) {
			return row.ascii, true
		}
	}
	return "", false
}

// printableASCII is every character from 0x20 to 0x7E in order.
const printableASCII = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
