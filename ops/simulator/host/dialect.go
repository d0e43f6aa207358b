package host

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"
)

// maxMessage bounds a message in bytes; the longest of the dialect has under 500.
const maxMessage = 2048

// newDialect returns the host's own reading of the dialect: ISO 8583:1987, ASCII, hex bitmaps,
// lengths of two bytes. It is written apart from the vault's on purpose, as a host's would be, so
// that a slip in one of them shows.
func newDialect() *iso8583.MessageSpec {
	fields := map[int]field.Field{
		1:  field.NewBitmap(field.NewSpec(8, "bitmap", encoding.BytesToASCIIHex, prefix.Hex.Fixed)),
		2:  field.NewString(field.NewSpec(19, "account number", encoding.ASCII, prefix.ASCII.LL)),
		48: field.NewString(field.NewSpec(4, "security code", encoding.ASCII, prefix.ASCII.LLL)),
		60: field.NewString(field.NewSpec(6, "batch", encoding.ASCII, prefix.ASCII.LLL)),
	}
	for id, length := range map[int]int{
		0: 4, 3: 6, 4: 12, 7: 10, 11: 6, 12: 6, 13: 4, 14: 4, 22: 3, 25: 2, 37: 12, 38: 6, 39: 2, 41: 8, 42: 15, 43: 40, 49: 3, 50: 3,
		66: 1, 70: 3, 74: 10, 75: 10, 76: 10, 77: 10, 86: 16, 87: 16, 88: 16, 89: 16, 90: 42, 97: 17,
	} {
		fields[id] = field.NewString(field.NewSpec(length, fmt.Sprintf("field %d", id), encoding.ASCII, prefix.ASCII.Fixed))
	}
	return &iso8583.MessageSpec{Name: "simulator", Fields: fields}
}

// readMessage reads one message. Errors of reading end the connection; fields that cannot be
// understood leave m nil.
func readMessage(r io.Reader, spec *iso8583.MessageSpec) (m *iso8583.Message, err error) {
	var header [2]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	length := int(binary.BigEndian.Uint16(header[:]))
	if length == 0 || length > maxMessage {
		return nil, errors.New("a message of an impossible length")
	}
	raw := make([]byte, length)
	defer clear(raw)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, err
	}
	m = iso8583.NewMessage(spec)
	if m.Unpack(raw) != nil { // its error holds the raw message
		return nil, nil
	}
	return m, nil
}

// text returns a field of m, "" where it is not.
func text(m *iso8583.Message, id int) string {
	s, err := m.GetString(id)
	if err != nil {
		return ""
	}
	return s
}

// answer builds the answer to m: its type, the fields of m that are echoed, and those given.
func answer(m *iso8583.Message, mti string, fields map[int]string) ([]byte, error) {
	out := iso8583.NewMessage(m.GetSpec())
	out.MTI(mti)
	for _, id := range []int{4, 7, 11, 37, 41, 42, 49, 60, 70} {
		if _, given := fields[id]; given {
			continue
		}
		if s := text(m, id); s != "" {
			if err := out.Field(id, s); err != nil {
				return nil, fmt.Errorf("echo field %d: %w", id, err)
			}
		}
	}
	for id, s := range fields {
		if s == "" {
			continue // left out
		}
		if err := out.Field(id, s); err != nil {
			return nil, fmt.Errorf("set field %d: %w", id, err)
		}
	}
	packed, err := out.Pack()
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", mti, err)
	}
	// an answer is under maxMessage
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(packed))), packed...), nil
}
