package control

import (
	"strings"
	"testing"
)

func TestWhatAReasonMayNotHold(t *testing.T) {
	for reason, fine := range map[string]bool{
		"":                                                true,
		"contract 17, monthly close":                      true,
		"Käse & Söhne, ticket 2026-11-20/481":             true,
		"ticket 123456789012":                             true, // not Luhn's
		strings.Repeat("x", maxPurpose):                   true,
		strings.Repeat("x", maxPurpose+1):                 false,
		"two\nlines":                                      false,
		"red \x1b[31m":                                    false,
		"not UTF-8 \xff":                                  false,
		"4242424242424242":                                false,
		"refund of 4242 4242 4242 4242 today":             false,
		"card 4242-4242-4242-4242":                        false,
		"ticket 17 4242424242424242":                      false, // whatever stands before it
		"statement of 2026-11-29 18.00.02":                true,
		"amex 378282246310005, gone":                      false,
		"a run of 42424242424242424242 is no card number": true,
	} {
		if err := checkPurpose(reason); (err == nil) != fine {
			t.Errorf("%q: %v", reason, err)
		} else if err != nil && strings.Contains(err.Error(), "4242") {
			t.Errorf("the error repeats the reason: %v", err)
		}
	}
}
