package note_test

import (
	"crypto/ed25519"
	"fmt"
	"log"

	"nightdrop/shared/note"
)

// A party signs a text under its name; who pinned its line opens it.
func Example() {
	// note.GenerateSigner makes a random key
	signer, err := note.NewSigner("vault.example", ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)))
	if err != nil {
		log.Fatal(err)
	}
	pinned := signer.Verifier().String()
	fmt.Println(pinned)

	signed, err := note.Sign([]byte("nightdrop/example/v1\n{\"said\":\"by example.com\"}\n"), signer)
	if err != nil {
		log.Fatal(err)
	}
	verifier, err := note.ParseVerifier(pinned)
	if err != nil {
		log.Fatal(err)
	}
	opened, err := note.Open(signed, note.Policy{Single: true}, verifier)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(note.Digest(opened.Text) == note.Digest(signed[:len(opened.Text)]))

	signed[30] ^= 1
	_, err = note.Open(signed, note.Policy{Single: true}, verifier)
	fmt.Println("refused:", err != nil)
	// Output:
	// vault.example+b99b1e1d+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop
	// true
	// refused: true
}
