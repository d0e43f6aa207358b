package iso8583

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/field"
	"github.com/moov-io/iso8583/prefix"
)

// maxMessage bounds a message in bytes. The longest of the dialect has under 500; the length header alone would allow 65,535.
const maxMessage = 2048

const headerBytes = 2

// errLength closes the line: after a length that cannot be, nothing that follows can be told apart.
var errLength = errors.New("iso8583: the host sent a message of an impossible length")

// secretField returns a field whose value the library holds as the bytes that it was given, without a copy, and reads as a
// part of the message that it is in.
func secretField(length int, name string, pref prefix.Prefixer) field.Field {
	return field.NewBinary(&field.Spec{
		Length:      length,
		Description: name,
		Pref:        pref,
		Packer:      field.PackerFunc(refuseToPack),
		Unpacker:    field.UnpackerFunc(borrow),
	})
}

// refuseToPack keeps secret fields out of Message.Pack, which leaves copies behind; appendFrame writes them.
func refuseToPack([]byte, *field.Spec) ([]byte, error) {
	return nil, errors.New("iso8583: secret fields are packed by appendFrame only")
}

func borrow(data []byte, spec *field.Spec) ([]byte, int, error) {
	length, prefixed, err := spec.Pref.DecodeLength(spec.Length, data)
	if err != nil {
		return nil, 0, fmt.Errorf("read length: %w", err)
	}
	if len(data) < prefixed+length {
		return nil, 0, errors.New("the message ends inside the field")
	}
	return data[prefixed : prefixed+length], prefixed + length, nil
}

// frame packs m with its length header into one slice that is never reallocated. It holds the only copy that this package
// makes of the number, the expiry and the code: the sender clears it when the write has returned. Beyond it there are
// the kernel's buffers and, with TLS, those of crypto/tls, which encrypts in place. Answers of this dialect carry no account data;
// were a host to send some, the read buffer of iso8583-connection would hold it until later answers overwrite it.
func frame(m *iso8583.Message) ([]byte, error) {
	out, err := appendFrame(make([]byte, headerBytes, headerBytes+maxMessage), m)
	if err != nil {
		clear(out[:cap(out)])
		return nil, err
	}
	binary.BigEndian.PutUint16(out, uint16(len(out)-headerBytes)) // appendFrame keeps it under maxMessage
	return out, nil
}

// appendFrame appends m's packed fields to dst, which must have room for them. It does what Message.Pack does, which
// grows its buffer and so leaves copies of what the fields hold.
func appendFrame(dst []byte, m *iso8583.Message) ([]byte, error) {
	bitmap := m.Bitmap()
	bitmap.Reset()
	fields := m.GetFields()
	ids := slices.Sorted(maps.Keys(fields))
	for _, id := range ids {
		if id > fieldBitmap {
			bitmap.Set(id)
		}
	}
	for _, id := range ids {
		packed, err := packField(fields[id])
		if err != nil {
			return dst, fmt.Errorf("iso8583: pack field %d: its value has not the dialect's length or characters", id)
		}
		if len(dst)+len(packed.prefix)+len(packed.value) > cap(dst) {
			return dst, errors.New("iso8583: pack: the message is longer than any of the dialect")
		}
		dst = append(append(dst, packed.prefix...), packed.value...)
	}
	return dst, nil
}

type packedField struct{ prefix, value []byte }

// packField packs f. Of a secret field the value is the very slice that the field holds. The library's errors may quote values
// and go no further than here.
func packField(f field.Field) (packedField, error) {
	spec := f.Spec()
	if spec.Packer == nil {
		value, err := f.Pack()
		return packedField{value: value}, err
	}
	value, err := f.Bytes()
	if err != nil {
		return packedField{}, err
	}
	length, err := spec.Pref.EncodeLength(spec.Length, len(value))
	return packedField{prefix: length, value: value}, err
}

// readFrame reads one message with its header. The caller clears what it gets.
func readFrame(r io.Reader) ([]byte, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, fmt.Errorf("iso8583: read length: %w", err)
	}
	length := int(binary.BigEndian.Uint16(header[:]))
	if length == 0 || length > maxMessage {
		return nil, errLength
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("iso8583: read message: %w", err)
	}
	return raw, nil
}

// unpack reads raw. whole tells whether raw is exactly what the message packs to; if not, the fields up to the fault are
// there, enough perhaps to tell whose answer it was meant to be. Nothing of raw is kept once the caller clears it.
func unpack(spec *iso8583.MessageSpec, raw []byte) (m *iso8583.Message, whole bool) {
	m = iso8583.NewMessage(spec)
	if err := m.Unpack(raw); err != nil { // an UnpackError carries the raw message: it goes no further
		return m, false
	}
	again, err := appendFrame(make([]byte, 0, maxMessage), m)
	whole = err == nil && bytes.Equal(again, raw)
	clear(again)
	return m, whole
}
