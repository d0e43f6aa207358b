package keyring

import (
	"bytes"
	"crypto/ecdh"
	stdhpke "crypto/hpke"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/aead/xaesgcm"
	"github.com/tink-crypto/tink-go/v2/hybrid/hpke"
	"github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/secretdata"
	"github.com/tink-crypto/tink-go/v2/tink"

	"nightdrop/shared/envelope"
	"nightdrop/shared/seal"
)

// This is the one file that touches key material in the clear: Tink's entry point to it,
// insecuresecretdataaccess, is imported nowhere else.

const boxKeyBytes = 32

// newXAES returns XAES-256-GCM (C2SP) under key, 32 bytes: byte for byte Tink's X-AES-GCM with a
// salt of 12 bytes and no prefix, a random 192-bit nonce before the ciphertext.
func newXAES(key []byte) (tink.AEAD, error) {
	params, err := xaesgcm.NewParameters(xaesgcm.VariantNoPrefix, 12)
	if err != nil {
		return nil, fmt.Errorf("XAES-256-GCM parameters: %w", err)
	}
	k, err := xaesgcm.NewKey(secretdata.NewBytesFromData(key, insecuresecretdataaccess.Token{}), 0, params)
	if err != nil {
		return nil, fmt.Errorf("XAES-256-GCM key: %w", err)
	}
	m := keyset.NewManager()
	id, err := m.AddKey(k)
	if err != nil {
		return nil, fmt.Errorf("XAES-256-GCM keyset: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, fmt.Errorf("XAES-256-GCM keyset: %w", err)
	}
	handle, err := m.Handle()
	if err != nil {
		return nil, fmt.Errorf("XAES-256-GCM keyset: %w", err)
	}
	return aead.New(handle)
}

// newKeyset makes a sealing key of the suite as a Tink keyset with TINK prefix; its id is random.
func newKeyset(suite envelope.Suite) (*keyset.Handle, uint32, error) {
	params, err := seal.Parameters(suite)
	if err != nil {
		return nil, 0, fmt.Errorf("HPKE parameters: %w", err)
	}
	m := keyset.NewManager()
	id, err := m.AddNewKeyFromParameters(params)
	if err != nil {
		return nil, 0, fmt.Errorf("generate a sealing key: %w", err)
	}
	if err := m.SetPrimary(id); err != nil {
		return nil, 0, fmt.Errorf("generate a sealing key: %w", err)
	}
	handle, err := m.Handle()
	return handle, id, err
}

// sealKeyset returns the keyset serialised and sealed under box, bound to ad.
func sealKeyset(handle *keyset.Handle, box tink.AEAD, ad []byte) ([]byte, error) {
	var out bytes.Buffer
	if err := handle.WriteWithAssociatedData(keyset.NewBinaryWriter(&out), box, ad); err != nil {
		return nil, fmt.Errorf("seal a keyset: %w", err)
	}
	return out.Bytes(), nil
}

// openKeyset reads what sealKeyset wrote.
func openKeyset(sealed []byte, box tink.AEAD, ad []byte) (*keyset.Handle, error) {
	return keyset.ReadWithAssociatedData(keyset.NewBinaryReader(bytes.NewReader(sealed)), box, ad)
}

// openedKey parses a keyset's raw keys for crypto/hpke.
func openedKey(handle *keyset.Handle, suite envelope.Suite) (private stdhpke.PrivateKey, public []byte, err error) {
	entry, err := handle.Primary()
	if err != nil {
		return nil, nil, fmt.Errorf("read a keyset: %w", err)
	}
	k, ok := entry.Key().(*hpke.PrivateKey)
	if !ok {
		return nil, nil, errors.New("read a keyset: not an HPKE private key")
	}
	raw := k.PrivateKeyBytes().Data(insecuresecretdataaccess.Token{})
	defer clear(raw)
	if private, err = suiteKEM(suite).NewPrivateKey(raw); err != nil {
		return nil, nil, fmt.Errorf("read a keyset: %w", err)
	}
	return private, private.PublicKey().Bytes(), nil
}

// suiteKEM returns the KEM of a suite: X-Wing is MLKEM768-X25519 of crypto/hpke.
func suiteKEM(suite envelope.Suite) stdhpke.KEM {
	if suite == envelope.SuiteX25519 {
		return stdhpke.DHKEM(ecdh.X25519())
	}
	return stdhpke.MLKEM768X25519()
}
