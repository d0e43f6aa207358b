package daemon

import (
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
)

// TestRefusalsAreBounded: however many kinds of calls are refused, so many kinds wait, and every
// refusal is counted.
func TestRefusalsAreBounded(t *testing.T) {
	var r refusals
	for i := range 3 * maxRefusals {
		r.merge(refusal{body: book.AccessRefused{Call: strings.Repeat("x", i), Code: "locked", Times: 1}})
	}
	times := 0
	all := r.drain()
	for _, one := range all {
		times += one.body.Times
	}
	if len(all) != maxRefusals+1 || times != 3*maxRefusals || len(r.drain()) != 0 {
		t.Errorf("%d kinds, %d refusals", len(all), times)
	}
}
