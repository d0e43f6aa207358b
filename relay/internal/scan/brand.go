package scan

import "nightdrop/shared/envelope"

// prefixRange: numbers that begin with low..high (equally many digits) have shortest to longest
// digits.
type prefixRange struct {
	low, high         int
	width             int // digits of low and high
	shortest, longest int
}

// prefixes are the issuer ranges of the brands (ISO/IEC 7812 and the brands' own tables).
var prefixes = [...]prefixRange{
	{4, 4, 1, 13, 19},           // Visa
	{51, 55, 2, 16, 16},         // Mastercard
	{2221, 2720, 4, 16, 16},     // Mastercard, second range
	{34, 34, 2, 15, 15},         // American Express
	{37, 37, 2, 15, 15},         // American Express
	{6011, 6011, 4, 16, 19},     // Discover
	{644, 649, 3, 16, 19},       // Discover
	{65, 65, 2, 16, 19},         // Discover
	{300, 305, 3, 14, 19},       // Diners Club
	{36, 36, 2, 14, 19},         // Diners Club
	{38, 39, 2, 14, 19},         // Diners Club
	{3528, 3589, 4, 16, 19},     // JCB
	{62, 62, 2, 16, 19},         // UnionPay
	{50, 50, 2, 12, 19},         // Maestro
	{56, 58, 2, 12, 19},         // Maestro
	{6304, 6304, 4, 12, 19},     // Maestro
	{6759, 6763, 4, 12, 19},     // Maestro
	{6390, 6390, 4, 12, 19},     // Maestro
	{676770, 676774, 6, 12, 19}, // Maestro UK
}

// plausible reports whether ASCII digits have a brand's prefix and length, and pass Luhn.
func plausible(digits []byte) bool {
	if len(digits) < minDigits || len(digits) > maxDigits || !branded(digits) {
		return false
	}
	return envelope.Luhn(digits)
}

func branded(digits []byte) bool {
	for _, p := range prefixes {
		if len(digits) < p.shortest || len(digits) > p.longest {
			continue
		}
		value := 0
		for _, d := range digits[:p.width] {
			value = value*10 + int(d-'0')
		}
		if value >= p.low && value <= p.high {
			return true
		}
	}
	return false
}
