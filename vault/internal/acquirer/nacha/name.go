package nacha

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// latin says how letters outside ASCII are written in it, upper case; a row's first field stands for each letter of the second. (ICAO
// Doc 9303 part 3, section 6 A, shortened to one letter where a field has 22)
var latin = [...]struct{ ascii, letters string }{
	{"A", "ÀÁÂÃÄÅĀĂĄǍ"}, {"AE", "ÆǼ"}, {"C", "ÇĆĈĊČ"}, {"D", "ÐĎĐ"}, {"E", "ÈÉÊËĒĔĖĘĚẼ"}, {"G", "ĜĞĠĢǦ"}, {"H", "ĤĦ"},
	{"I", "ÌÍÎÏĨĪĬĮİǏ"}, {"IJ", "Ĳ"}, {"J", "Ĵ"}, {"K", "Ķ"}, {"L", "ĹĻĽĿŁ"}, {"N", "ÑŃŅŇŊ"}, {"O", "ÒÓÔÕÖØŌŎŐǑ"}, {"OE", "Œ"},
	{"R", "ŔŖŘ"}, {"S", "ŚŜŞŠȘ"}, {"SS", "ßẞ"}, {"T", "ŢŤŦȚ"}, {"TH", "Þ"}, {"U", "ÙÚÛÜŨŪŬŮŰŲǓ"}, {"W", "Ŵ"}, {"Y", "ÝŶŸỲ"},
	{"Z", "ŹŻŽ"}, {"'", "‘’ʼ`´"}, {"-", "‐‑‒–—"}, {"\"", "“”"},
}

// unknownLetter stands for a letter that latin does not have.
const unknownLetter = "?"

// printName writes a holder's name, in UTF-8, into a field: printable ASCII in upper case, single spaces, cut to the field's length and
// filled with spaces. A name of which nothing is left is one question mark, for the field is mandatory.
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

// asciiLetter returns what stands for a letter, or "" of a combining mark.
func asciiLetter(r rune) string {
	r = unicode.ToUpper(r)
	if r > ' ' && r <= '~' && r != '`' {
		return printableASCII[r-' ' : r-' '+1]
	}
	if unicode.Is(unicode.Mn, r) {
		return ""
	}
	for _, row := range latin {
		if strings.ContainsRune(row.letters, r) {
			return row.ascii
		}
	}
	return unknownLetter
}

// printableASCII is every character from 0x20 to 0x7E in its place.
const printableASCII = " !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~"
