package envelope_test

import (
	"fmt"
	"log"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
)

// An order is the plaintext of a part: what to do.
func ExampleEncodeOrder() {
	order := envelope.Order{Operation: envelope.OpSale, Reference: "order 1", Amount: 1999, Currency: "USD", Descriptor: "ACME"}
	const withAccount, withCode = true, false
	if err := order.CheckMembers(withAccount, withCode); err != nil {
		log.Fatal(err)
	}
	plain, err := envelope.EncodeOrder(order)
	if err != nil {
		log.Fatal(err)
	}
	padded, err := envelope.Pad(plain)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n%d bytes to seal\n", plain, len(padded))
	// Output:
	// {"operation":"sale","reference":"order 1","amount":1999,"currency":"USD","descriptor":"ACME"}
	// 256 bytes to seal
}

// A statement opens by its signer's key, and its digest is of its text alone.
func ExampleOpen() {
	relay, err := note.GenerateSigner("relay-1")
	if err != nil {
		log.Fatal(err)
	}
	signed, err := envelope.Sign(envelope.Receipt{Merchant: "acme-shoes", ID: "0198c0de-0000-7000-8000-000000000001", Digest: envelope.ZeroDigest,
		Relay: "relay-1", Run: "00112233445566778899aabbccddeeff", Number: 7, Index: 2,
		Received: envelope.At(time.Date(2026, 11, 20, 9, 30, 1, 0, time.UTC))}, relay)
	if err != nil {
		log.Fatal(err)
	}
	opened, err := envelope.Open[envelope.Receipt](signed.Note, relay.Verifier())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(opened.Value.ID, "in bag", opened.Value.Number, "at", opened.Value.Index)
	// Output:
	// 0198c0de-0000-7000-8000-000000000001 in bag 7 at 2
}
