package envelope

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// PartName is what a sealed part holds; it is bound into the seal.
type PartName string

// The parts (specification 3).
const (
	PartOrder   PartName = "order"   // what to do; written by the storefront's server
	PartAccount PartName = "account" // card or bank account; written by the browser
	PartCode    PartName = "code"    // card security code
	PartResult  PartName = "result"  // the vault's answer
)

// Sizes of padded plaintexts, in bytes.
const (
	PadBlock    = 256  // order, account and code are a multiple of this
	MaxPadded   = 2048 // the longest of them
	ResultBytes = 4096 // every result
)

// Part is one sealed ciphertext and the name of the key that opens it.
type Part struct {
	Key KeyName `json:"key"`
	// 0x01, key id (4 bytes, big endian), HPKE encapsulation, ciphertext
	Sealed []byte `json:"sealed"`
}

// CheckForm checks that the part looks sealed: Tink's prefix with the key's id, and the length of a
// padded plaintext and the suite's overhead. A relay thus refuses a plaintext posted by mistake.
// The error quotes nothing.
func (p Part) CheckForm(name PartName) error {
	if _, err := ParseKeyName(string(p.Key)); err != nil {
		return err
	}
	if len(p.Sealed) < 5 || p.Sealed[0] != 1 || binary.BigEndian.Uint32(p.Sealed[1:]) != p.Key.ID() {
		return malformed(string(name) + " does not begin with its key's prefix: seal it before posting")
	}
	padded := len(p.Sealed) - p.Key.Suite().Overhead()
	if name == PartResult {
		if padded != ResultBytes {
			return malformed("a sealed result has not its fixed length")
		}
		return nil
	}
	if !paddedLength(padded) {
		return malformed(string(name) + " has not the length of a sealed part: seal it before posting")
	}
	return nil
}

func (p Part) checkKey() error {
	_, err := ParseKeyName(string(p.Key))
	return err
}

// PartInfo returns the HPKE info of a part: PASETO's [PAE] over "nightdrop/part/v1", part,
// merchant, envelope id and key name. It binds a part to its envelope.
func PartInfo(part PartName, merchant, id string, key KeyName) []byte {
	return PAE("nightdrop/part/v1", string(part), merchant, id, string(key))
}

// PAE is PASETO's pre-authentication encoding: LE64(number of fields), then for each LE64(its
// length) and its bytes. No two lists of fields have the same encoding.
func PAE(fields ...string) []byte {
	encoded := binary.LittleEndian.AppendUint64(make([]byte, 0, 192), uint64(len(fields)))
	for _, f := range fields {
		encoded = binary.LittleEndian.AppendUint64(encoded, uint64(len(f)))
		encoded = append(encoded, f...)
	}
	return encoded
}

// Pad returns a copy of plaintext padded with spaces to a multiple of 256 bytes, 256 to 2,048. The
// caller clears it.
func Pad(plaintext []byte) ([]byte, error) {
	size := max(PadBlock, (len(plaintext)+PadBlock-1)/PadBlock*PadBlock)
	if size > MaxPadded {
		return nil, malformed(fmt.Sprintf("a plaintext is at most %d bytes", MaxPadded))
	}
	padded := make([]byte, size)
	for i := copy(padded, plaintext); i < size; i++ {
		padded[i] = ' '
	}
	return padded, nil
}

// Unpad returns a slice of padded without trailing spaces. It refuses a length that [Pad] does not
// make.
func Unpad(padded []byte) ([]byte, error) {
	if !paddedLength(len(padded)) {
		return nil, malformed("a plaintext's length is not a multiple of 256 from 256 to 2,048")
	}
	return bytes.TrimRight(padded, " "), nil
}

func paddedLength(n int) bool { return n >= PadBlock && n <= MaxPadded && n%PadBlock == 0 }
