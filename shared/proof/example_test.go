package proof_test

import (
	"crypto/sha256"
	"fmt"
	"log"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
)

// What a result says is in the log: facts and salt make the record, the proof leads from it to a
// checkpoint that the vault signed.
func ExampleProof_Verify() {
	vault, err := note.GenerateSigner("vault.example")
	if err != nil {
		log.Fatal(err)
	}
	facts, salt, entry := []byte(`{"status":"approved"}`), make([]byte, proof.SaltBytes), sha256.Sum256([]byte("the sealed entry"))
	record := proof.LeafRecord(salt, facts, entry)

	// The vault's side: a log of two entries, and its head.
	other := tlog.RecordHash([]byte("another entry"))
	root := tlog.NodeHash(tlog.RecordHash(record[:]), other)
	checkpoint, err := proof.SignCheckpoint(proof.Checkpoint{Origin: "vault.example", Size: 2, Root: root}, vault)
	if err != nil {
		log.Fatal(err)
	}
	text, err := proof.EncodeProof(proof.Proof{Index: 0, Hashes: []tlog.Hash{other}, Checkpoint: checkpoint})
	if err != nil {
		log.Fatal(err)
	}

	// The reader's side.
	p, err := proof.DecodeProof(text)
	if err != nil {
		log.Fatal(err)
	}
	head, err := p.Verify(record, vault.Verifier())
	fmt.Println("entry", p.Index, "of", head.Size, err)
	_, err = p.Verify(proof.LeafRecord(salt, []byte(`{"status":"declined"}`), entry), vault.Verifier())
	fmt.Println("other facts are refused:", err != nil)
	// Output:
	// entry 0 of 2 <nil>
	// other facts are refused: true
}
