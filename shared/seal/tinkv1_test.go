package seal_test

import (
	"bytes"
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/json"
	"os"
	"testing"

	"nightdrop/shared/envelope"
)

// TestPartsOfArchivedTink opens what github.com/google/tink/go v1.7.0 sealed (testdata/tinkv1),
// with tink-go v2 and crypto/hpke.
func TestPartsOfArchivedTink(t *testing.T) {
	var file struct {
		Vectors []struct {
			Part      envelope.PartName `json:"part"`
			Merchant  string            `json:"merchant"`
			ID        string            `json:"id"`
			Key       envelope.KeyName  `json:"key"`
			Private   []byte            `json:"private"`
			Plaintext string            `json:"plaintext"`
			Sealed    []byte            `json:"sealed"`
		} `json:"vectors"`
	}
	data, err := os.ReadFile("../../testdata/vectors/tinkv1.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Vectors) == 0 {
		t.Fatal("tinkv1.json has no vectors")
	}
	for _, v := range file.Vectors {
		scalar, err := ecdh.X25519().NewPrivateKey(v.Private)
		if err != nil {
			t.Fatal(err)
		}
		private, err := hpke.NewDHKEMPrivateKey(scalar)
		if err != nil {
			t.Fatal(err)
		}
		part := envelope.Part{Key: v.Key, Sealed: v.Sealed}
		if err := part.CheckForm(v.Part); err != nil {
			t.Errorf("%s: %v", v.ID, err)
		}
		padded, err := openStandard(v.Part, v.Merchant, v.ID, part, private)
		if err != nil {
			t.Errorf("%s: crypto/hpke does not open it: %v", v.ID, err)
			continue
		}
		if plain, err := envelope.Unpad(padded); err != nil || string(plain) != v.Plaintext {
			t.Errorf("%s: opens to another plaintext: %v", v.ID, err)
		}
		byTink, err := tinkDecrypter(t, v.Key, private).Decrypt(v.Sealed, envelope.PartInfo(v.Part, v.Merchant, v.ID, v.Key))
		if err != nil || !bytes.Equal(byTink, padded) {
			t.Errorf("%s: tink-go v2 does not open it: %v", v.ID, err)
		}
	}
}
