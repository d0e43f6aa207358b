package envelope

import (
	"testing"

	"nightdrop/shared/note"
)

// BenchmarkOpenEnvelope is what a relay and a vault do for every envelope of three X-Wing parts;
// the signature alone is the floor.
func BenchmarkOpenEnvelope(b *testing.B) {
	f := envelopeFamily(b)
	account, code := part("day-0a1b2c3d-xwing"), part("code-00000001-xwing")
	f.value.Order, f.value.Account, f.value.Code = part("day-0a1b2c3d-xwing"), &account, &code
	signed, err := Sign(f.value, f.signer)
	if err != nil {
		b.Fatal(err)
	}
	key := f.signer.Verifier()
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Open[Envelope](signed.Note, key); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := Read[Envelope](signed.Note); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("signature", func(b *testing.B) {
		for b.Loop() {
			if _, err := note.Open(signed.Note, note.Policy{Single: true}, key); err != nil {
				b.Fatal(err)
			}
		}
	})
}
