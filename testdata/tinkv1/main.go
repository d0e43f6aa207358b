// Command tinkv1 seals parts with the archived Tink for Go (github.com/google/tink/go v1.7.0), as a
// storefront with an older Tink does, to fixed X25519 keys. It writes the vectors that shared/seal
// opens. It is a module of its own because the archived Tink and tink-go v2 cannot be linked into
// one binary (both register the same protobuf names).
//
//	cd testdata/tinkv1 && go run . > ../vectors/tinkv1.json
package main

import (
	"bytes"
	"crypto/ecdh"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/google/tink/go/hybrid"
	"github.com/google/tink/go/keyset"
	hpkepb "github.com/google/tink/go/proto/hpke_go_proto"
	tinkpb "github.com/google/tink/go/proto/tink_go_proto"
	"google.golang.org/protobuf/proto"
)

const typeURL = "type.googleapis.com/google.crypto.tink.HpkePublicKey"

type vector struct {
	Part      string `json:"part"`
	Merchant  string `json:"merchant"`
	ID        string `json:"id"`
	Key       string `json:"key"`     // name of the sealing key
	Private   []byte `json:"private"` // its raw X25519 private key: a test key
	Plaintext string `json:"plaintext"`
	Sealed    []byte `json:"sealed"`
}

type file struct {
	Format  string   `json:"format"`
	About   string   `json:"about"`
	Vectors []vector `json:"vectors"`
}

func main() {
	out, err := build()
	if err != nil {
		fmt.Fprintln(os.Stderr, "tinkv1:", err)
		os.Exit(1)
	}
	os.Stdout.Write(out)
}

func build() ([]byte, error) {
	const merchant = "acme-shoes"
	f := file{
		Format: "tinkv1",
		About:  "Parts sealed by github.com/google/tink/go v1.7.0 to X25519 keys; made by testdata/tinkv1. They open to the plaintext padded with spaces to a multiple of 256 bytes.",
	}
	bank := `{"bank":{"routing":"011000015","account":"12345678","type":"checking","name":"Test Payee"}}`
	for i, v := range []vector{
		{Part: "order", Key: "day-0a1b2c3d-x25519", Plaintext: `{"operation":"sale","reference":"order 1001","amount":1999,"currency":"USD"}`},
		{Part: "account", Key: "day-0a1b2c3d-x25519", Plaintext: `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`},
		{Part: "code", Key: "code-00000001-x25519", Plaintext: `{"code":"123"}`},
		{Part: "account", Key: "day-ffffffff-x25519", Plaintext: bank},
		{Part: "order", Key: "day-80000000-x25519", Plaintext: `{"operation":"void","reference":"` + strings.Repeat("x", 64) + `","of":"0198c0de-0000-7000-8000-000000000001"}`},
		{Part: "order", Key: "day-80000000-x25519", Plaintext: `{"operation":"forget","reference":"r","token":"tok_` + strings.Repeat("a", 26) + `"` + strings.Repeat(" ", 200) + `}`},
	} {
		v.Merchant, v.ID = merchant, fmt.Sprintf("0198c0de-0000-7000-8000-%012d", i+1)
		if err := seal(&v); err != nil {
			return nil, fmt.Errorf("seal vector %d: %w", i, err)
		}
		f.Vectors = append(f.Vectors, v)
	}
	out, err := json.MarshalIndent(f, "", "\t")
	return append(out, '\n'), err
}

// seal seals v's plaintext to a key made from its name and sets Private and Sealed.
func seal(v *vector) error {
	seed := sha256.Sum256([]byte("nightdrop test vector key: " + v.Key))
	private, err := ecdh.X25519().NewPrivateKey(seed[:])
	if err != nil {
		return err
	}
	v.Private = seed[:]
	handle, err := publicKeyset(v.Key, private.PublicKey().Bytes())
	if err != nil {
		return err
	}
	encrypter, err := hybrid.NewHybridEncrypt(handle)
	if err != nil {
		return err
	}
	padded := []byte(v.Plaintext)
	padded = append(padded, bytes.Repeat([]byte{' '}, (256-len(padded)%256)%256)...)
	v.Sealed, err = encrypter.Encrypt(padded, info("nightdrop/part/v1", v.Part, v.Merchant, v.ID, v.Key))
	return err
}

// publicKeyset is the keyset of one public key, as a vault of Tink's users would export it.
func publicKeyset(name string, public []byte) (*keyset.Handle, error) {
	var id uint32
	if _, err := fmt.Sscanf(strings.Split(name, "-")[1], "%08x", &id); err != nil {
		return nil, err
	}
	key, err := proto.Marshal(&hpkepb.HpkePublicKey{
		Params: &hpkepb.HpkeParams{
			Kem:  hpkepb.HpkeKem_DHKEM_X25519_HKDF_SHA256,
			Kdf:  hpkepb.HpkeKdf_HKDF_SHA256,
			Aead: hpkepb.HpkeAead_AES_256_GCM,
		},
		PublicKey: public,
	})
	if err != nil {
		return nil, err
	}
	return keyset.NewHandleWithNoSecrets(&tinkpb.Keyset{
		PrimaryKeyId: id,
		Key: []*tinkpb.Keyset_Key{{
			KeyData:          &tinkpb.KeyData{TypeUrl: typeURL, Value: key, KeyMaterialType: tinkpb.KeyData_ASYMMETRIC_PUBLIC},
			Status:           tinkpb.KeyStatusType_ENABLED,
			KeyId:            id,
			OutputPrefixType: tinkpb.OutputPrefixType_TINK,
		}},
	})
}

// info is PASETO's PAE of fields: the HPKE info of a part, written here a second time, from the
// specification.
func info(fields ...string) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(fields)))
	for _, f := range fields {
		out = binary.LittleEndian.AppendUint64(out, uint64(len(f)))
		out = append(out, f...)
	}
	return out
}
