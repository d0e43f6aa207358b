package iso8583

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/encoding"
	"github.com/moov-io/iso8583/field"
)

// maxMessage bounds a message in bytes, with its header. The longest sent has under 600.
const maxMessage = 2048

// errLength closes the line: after an impossible length, no later message can be delimited.
var errLength = errors.New("the host sent a message of an impossible length")

// secretPacker is for fields of account data, whose bytes the message only borrows.
type secretPacker struct{ encoding encoding.Encoder }

// Pack fails: Message.Pack leaves copies behind, so appendFrame writes account data.
func (secretPacker) Pack([]byte, *field.Spec) ([]byte, error) {
	return nil, errors.New("account data is packed by appendFrame only")
}

// opaque is an unused field, or account data in what was read: its value is a slice of the
// message's bytes, with the length prefix.
type opaque struct{ encoding encoding.Encoder }

// Pack returns the bytes unchanged.
func (opaque) Pack(value []byte, _ *field.Spec) ([]byte, error) { return value, nil }

// Unpack finds the field's end.
func (c opaque) Unpack(data []byte, spec *field.Spec) ([]byte, int, error) {
	length, prefixed, err := spec.Pref.DecodeLength(spec.Length, data)
	if err != nil {
		return nil, 0, fmt.Errorf("read length: %w", err)
	}
	end := prefixed + onWire(c.encoding, length)
	if length < 0 || end > len(data) {
		return nil, 0, errors.New("the message ends inside the field")
	}
	return data[:end], end, nil
}

// onWire returns how many bytes length characters take.
func onWire(e encoding.Encoder, length int) int {
	if _, packed := packedDigits(e); packed {
		return (length + 1) / 2
	}
	if e == encoding.BytesToASCIIHex {
		return 2 * length
	}
	return length
}

// frame packs m with its length header into one slice that is never reallocated. It holds the only
// copy that this package makes of the number, the expiry and the code: the sender clears it after
// the write. Beyond it there are the kernel's buffers and, with TLS, those of crypto/tls, which
// encrypts in place. Answers carry no account data; were a host to send some, the read buffer of
// iso8583-connection would hold it until later answers overwrite it.
func frame(d *Dialect, m *iso8583.Message) ([]byte, error) {
	out, err := appendFrame(make([]byte, d.Header.Bytes, maxMessage), m)
	if err != nil {
		clear(out[:cap(out)])
		return nil, err
	}
	d.Header.put(out)
	return out, nil
}

// put writes the length of out, at most maxMessage, into its header.
func (h header) put(out []byte) {
	length := len(out) - h.Bytes
	if h.Counted {
		length = len(out)
	}
	switch h.Form {
	case "ascii":
		copy(out, fmt.Sprintf("%04d", length))
		return
	case "bcd": // the decimal digits, read as hex
		// at most four decimal digits: no error
		packed, _ := strconv.ParseUint(strconv.Itoa(length), 16, 32)
		length = int(packed)
	}
	if h.Bytes == 2 {
		binary.BigEndian.PutUint16(out, uint16(length))
	} else {
		binary.BigEndian.PutUint32(out, uint32(length))
	}
}

// length reads a header; ok is false when it or its length is impossible.
func (h header) length(header []byte) (length int, ok bool) {
	text := header
	if h.Form == "bcd" {
		text = fmt.Appendf(nil, "%x", header)
	}
	var n uint64
	if h.Form == "binary" {
		for _, b := range header {
			n = n<<8 | uint64(b)
		}
	} else {
		if !digits(string(text)) {
			return 0, false
		}
		n, _ = strconv.ParseUint(string(text), 10, 64) // at most eight digits: no error
	}
	if h.Counted {
		n -= uint64(h.Bytes) // below zero it is larger than any message
	}
	if n == 0 || n > maxMessage || n > math.MaxInt {
		return 0, false
	}
	return int(n), true
}

// appendFrame appends m's packed fields to dst, which must have room. It replaces Message.Pack,
// whose growing buffer leaves copies.
func appendFrame(dst []byte, m *iso8583.Message) ([]byte, error) {
	bitmap := m.Bitmap()
	bitmap.Reset()
	fields := m.GetFields()
	ids := slices.Sorted(maps.Keys(fields))
	for _, id := range ids {
		if id > bitmapField {
			bitmap.Set(id)
		}
	}
	for _, id := range ids {
		var err error
		if dst, err = appendField(dst, fields[id]); err != nil {
			return dst, fmt.Errorf("pack field %d: its value does not have the dialect's length or characters", id)
		}
	}
	return dst, nil
}

var errRoom = errors.New("pack: the message is longer than any of the dialect")

// appendField appends the packed f. The library's errors may quote values: callers drop them.
func appendField(dst []byte, f field.Field) ([]byte, error) {
	spec := f.Spec()
	secret, isSecret := spec.Packer.(secretPacker)
	if !isSecret {
		packed, err := f.Pack()
		if err != nil {
			return dst, err
		}
		if len(dst)+len(packed) > cap(dst) {
			return dst, errRoom
		}
		return append(dst, packed...), nil
	}
	value, err := f.Bytes()
	if err != nil {
		return dst, err
	}
	length, err := spec.Pref.EncodeLength(spec.Length, len(value))
	if err != nil {
		return dst, err
	}
	if len(dst)+len(length)+onWire(secret.encoding, len(value)) > cap(dst) {
		return dst, errRoom
	}
	return appendDigits(append(dst, length...), secret.encoding, value)
}

// appendDigits appends digits of account data in encoding e, without another copy.
func appendDigits(dst []byte, e encoding.Encoder, value []byte) ([]byte, error) {
	for _, c := range value {
		if c < '0' || c > '9' {
			return dst, errors.New("pack: account data is digits")
		}
	}
	left, packed := packedDigits(e)
	switch {
	case e == encoding.ASCII:
		return append(dst, value...), nil
	case !packed: // EBCDIC
		for _, c := range value {
			dst = append(dst, 0xf0|(c-'0'))
		}
		return dst, nil
	}
	if len(value)%2 != 0 && !left {
		dst, value = append(dst, value[0]-'0'), value[1:]
	}
	for ; len(value) > 1; value = value[2:] {
		dst = append(dst, (value[0]-'0')<<4|(value[1]-'0'))
	}
	if len(value) == 1 {
		dst = append(dst, (value[0]-'0')<<4)
	}
	return dst, nil
}

// readFrame reads one message with its header. The caller clears it.
func readFrame(r io.Reader, h header) ([]byte, error) {
	var room [4]byte
	start := room[:h.Bytes]
	if _, err := io.ReadFull(r, start); err != nil {
		return nil, fmt.Errorf("read length: %w", err)
	}
	length, ok := h.length(start)
	if !ok {
		return nil, errLength
	}
	raw := make([]byte, length)
	if _, err := io.ReadFull(r, raw); err != nil {
		return nil, fmt.Errorf("read message: %w", err)
	}
	return raw, nil
}

// unpack reads raw. whole reports whether raw is exactly what the message packs to; if not, the
// fields up to the fault are set. Account data in m is a slice of raw, which the caller clears.
func unpack(d *Dialect, raw []byte) (m *iso8583.Message, whole bool) {
	m = iso8583.NewMessage(d.reads)
	// an UnpackError carries the raw message: drop it
	if err := m.Unpack(raw); err != nil {
		return m, false
	}
	again, err := appendFrame(make([]byte, 0, maxMessage), m)
	whole = err == nil && bytes.Equal(again, raw)
	clear(again)
	return m, whole
}
