package seal_test

import (
	"crypto/hpke"
	"fmt"
	"log"

	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
)

// A part is sealed to a key of the vault's directory, and opens only as this part of this envelope
// of this merchant.
func ExampleSeal() {
	// the vault's; a storefront has the public half from the directory
	private, err := hpke.MLKEM768X25519().GenerateKey()
	if err != nil {
		log.Fatal(err)
	}
	const merchant, id = "acme-shoes", "0198c0de-0000-7000-8000-000000000001"
	key := envelope.MakeKeyName(envelope.KindDay, 0x0a1b2c3d, envelope.SuiteXWing)
	plain, err := envelope.Pad([]byte(`{"operation":"void","reference":"order 1001","of":"` + id + `"}`))
	if err != nil {
		log.Fatal(err)
	}
	part, err := seal.Seal(key, private.PublicKey().Bytes(), envelope.PartOrder, merchant, id, plain)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(part.Key, len(part.Sealed)-len(plain), "bytes over the plaintext")
	fmt.Println(part.CheckForm(envelope.PartOrder))
	// Output:
	// day-0a1b2c3d-xwing 1141 bytes over the plaintext
	// <nil>
}
