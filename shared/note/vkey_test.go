package note_test

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	modnote "golang.org/x/mod/sumdb/note"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
)

func vkeys(t testing.TB) vector.File {
	good := vector.Signer(t, "acme-shoes", "acme-shoes").Verifier().String()
	fields := strings.Split(good, "+")
	name, hash, encoded := fields[0], fields[1], strings.Join(fields[2:], "+")
	raw, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		t.Fatal(err)
	}
	other := base64.StdEncoding.EncodeToString(append([]byte{4}, raw[1:]...))
	f := vector.File{Format: "vkey", About: "Verifier keys: name+hash+base64 of 0x01 and the 32 bytes of an Ed25519 public key."}
	add := func(want, defect, text string) {
		f.Vectors = append(f.Vectors, vector.New(defect, want, defect, []byte(text)))
	}
	add(vector.Accepted, "a merchant's", good)
	add(vector.Accepted, "a vault's", vector.Signer(t, "vault.example", "vault.example").Verifier().String())
	for i := range f.Vectors {
		f.Vectors[i].Exact = true
	}
	add(vector.Malformed, "nothing", "")
	add(vector.Malformed, "a name alone", name)
	add(vector.Malformed, "no base64", name+"+"+hash)
	add(vector.Malformed, "an empty name", "+"+hash+"+"+encoded)
	add(vector.Malformed, "a space in the name", "acme shoes+"+hash+"+"+encoded)
	add(vector.Malformed, "another name", "acme-boots+"+hash+"+"+encoded)
	add(vector.Malformed, "a hash in upper case", name+"+"+strings.ToUpper(hash)+"+"+encoded)
	add(vector.Malformed, "a hash of 7 digits", name+"+"+hash[1:]+"+"+encoded)
	add(vector.Malformed, "another hash", name+"+00000000+"+encoded)
	add(vector.Malformed, "another algorithm", name+"+"+hash+"+"+other)
	add(vector.Malformed, "a key of 31 bytes", name+"+"+hash+"+"+base64.StdEncoding.EncodeToString(raw[:32]))
	add(vector.Malformed, "base64 with padding too much", name+"+"+hash+"+"+encoded+"=")
	add(vector.Malformed, "a newline", good+"\n")
	add(vector.Malformed, "a space before", " "+good)
	return f
}

func TestVkeyVectors(t *testing.T) {
	for _, v := range vector.Corpus(t, vectorsDir, vkeys(t), *update).Vectors {
		got, err := note.ParseVerifier(string(v.Bytes()))
		if v.Want != vector.Accepted {
			if !errors.Is(err, note.ErrKey) || !got.IsZero() {
				t.Errorf("%s: got %v, want ErrKey", v.Name, err)
			}
			continue
		}
		if err != nil || got.String() != string(v.Bytes()) {
			t.Errorf("%s: reads as %q, %v", v.Name, got, err)
		}
		mod, err := modnote.NewVerifier(got.String())
		if err != nil || mod.KeyHash() != got.Hash() || mod.Name() != got.Name() {
			t.Errorf("%s: x/mod reads another key: %v", v.Name, err)
		}
	}
}

func TestZeroVerifierIsNoKey(t *testing.T) {
	var v note.Verifier
	if _, err := v.MarshalText(); !errors.Is(err, note.ErrKey) || v.String() != "" {
		t.Errorf("the zero verifier prints as %q, %v", v, err)
	}
}
