package iso8583

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/moov-io/iso8583"
	"github.com/moov-io/iso8583/specs"
)

// maxNesting bounds the depth of a dialect file's objects.
const maxNesting = 16

// maxField is the last field of two bitmaps.
const maxField = 128

// dialectFile is a dialect's file while it is read.
type dialectFile struct {
	raw   []byte
	lines map[string]int // line of each member, by its path, such as "fields.3.enc"

	Name      string               `json:"name"`
	Fields    map[string]fieldText `json:"fields"`
	Nightdrop *section             `json:"nightdrop"`
}

// fieldText is a field's description as moov-io/iso8583 writes it, without composites: no field
// that this package uses is one, and the others are copied unread.
type fieldText struct {
	Type        string `json:"type"`
	Length      int    `json:"length"`
	Description string `json:"description,omitempty"`
	Enc         string `json:"enc"`
	Prefix      string `json:"prefix"`
	Padding     *struct {
		Type string `json:"type"`
		Pad  string `json:"pad"`
	} `json:"padding,omitempty"`
}

func parseDialect(raw []byte) (*Dialect, error) {
	f, err := readDialectFile(raw)
	if err != nil {
		return nil, err
	}
	if err := f.checkFields(); err != nil {
		return nil, err
	}
	if err := f.checkSection(); err != nil {
		return nil, err
	}
	described, err := specs.ImportJSON(raw)
	if err != nil {
		return nil, fmt.Errorf("fields: %w", err) // names the field
	}
	if err := f.Nightdrop.completeAnswers(); err != nil {
		return nil, err
	}
	d := &Dialect{name: f.Name, section: *f.Nightdrop, widths: map[int]width{}}
	if err := f.assignFields(d, described); err != nil {
		return nil, err
	}
	d.asks, d.reads = d.specifications(described)
	return d, f.checkConstants(d)
}

func readDialectFile(raw []byte) (*dialectFile, error) {
	if len(raw) > maxDialect {
		return nil, fmt.Errorf("the file is longer than %d bytes: is it a dialect?", maxDialect)
	}
	f := &dialectFile{raw: raw, lines: map[string]int{}}
	if err := f.outline(); err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(raw))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(f); err != nil {
		return nil, f.jsonError(err)
	}
	if f.Nightdrop == nil {
		return nil, errors.New(`the member "nightdrop" is missing: copy it from ascii1987.json and say there which field holds what`)
	}
	if f.Name == "" {
		return nil, errors.New(`the member "name" is missing: name the host that writes so`)
	}
	return f, nil
}

// jsonError adds to a decoder's error where it stopped.
func (f *dialectFile) jsonError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("line %d: not JSON: %w", f.line(syntax.Offset), err)
	case errors.As(err, &kind):
		return fmt.Errorf("line %d: %s: a %s is not allowed here", f.line(kind.Offset), kind.Field, kind.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("not JSON: the text ends too early")
	}
	return fmt.Errorf("%w: take it out, or correct its name", err) // names the member
}

// line returns the line, from 1, of a byte.
func (f *dialectFile) line(offset int64) int {
	return 1 + bytes.Count(f.raw[:min(max(offset, 0), int64(len(f.raw)))], []byte("\n"))
}

// outline notes the line of every member and refuses duplicates: JSON readers keep the last, and
// fold case.
func (f *dialectFile) outline() error {
	decoder := json.NewDecoder(bytes.NewReader(f.raw))
	if err := f.walk(decoder, "", 0); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("line %d: unexpected text after the object: take it out", f.line(decoder.InputOffset()))
	}
	return nil
}

func (f *dialectFile) walk(decoder *json.Decoder, path string, depth int) error {
	token, err := decoder.Token()
	if err != nil {
		return f.jsonError(err)
	}
	delim, nested := token.(json.Delim)
	switch {
	case token == nil:
		return fmt.Errorf("line %d: %s: null: leave the member out", f.line(decoder.InputOffset()), path)
	case depth == 0 && delim != '{':
		return errors.New("the file is not one JSON object")
	case !nested:
		return nil
	case depth == maxNesting:
		return fmt.Errorf("line %d: %s: nested too deep", f.line(decoder.InputOffset()), path)
	}
	for decoder.More() {
		inner := path
		if delim == '{' {
			name, err := decoder.Token()
			if err != nil {
				return f.jsonError(err)
			}
			if inner, err = f.member(path, fmt.Sprint(name), f.line(decoder.InputOffset())); err != nil {
				return err
			}
		}
		if err := f.walk(decoder, inner, depth+1); err != nil {
			return err
		}
	}
	if _, err := decoder.Token(); err != nil {
		return f.jsonError(err)
	}
	return nil
}

func (f *dialectFile) member(path, name string, line int) (string, error) {
	if path != "" {
		name = path + "." + name
	}
	folded := strings.ToLower(name)
	if before := f.lines[folded]; before != 0 {
		return "", fmt.Errorf("line %d: %s is in line %d already: keep one of them", line, name, before)
	}
	f.lines[folded] = line
	return name, nil
}

// fail returns an error that names a member and its line.
func (f *dialectFile) fail(path, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	for at := path; at != ""; at = at[:max(strings.LastIndexByte(at, '.'), 0)] {
		if line := f.lines[strings.ToLower(at)]; line != 0 {
			return fmt.Errorf("line %d: %s: %s", line, path, why)
		}
	}
	return fmt.Errorf("%s: %s", path, why)
}

// checkFields checks what the library's own reader misreads or accepts too easily.
func (f *dialectFile) checkFields() error {
	for _, name := range slices.Sorted(maps.Keys(f.Fields)) {
		path, text := "fields."+name, f.Fields[name]
		id, err := strconv.Atoi(name)
		switch {
		case err != nil || strconv.Itoa(id) != name || id < 0 || id > maxField:
			return f.fail(path, "a field is named by its number, 0 to %d", maxField)
		case text.Length < 1 || text.Length > maxMessage:
			return f.fail(path, "the length must be 1 to %d", maxMessage)
		case id == bitmapField && (text.Type != "Bitmap" || text.Length != 8):
			return f.fail(path, `field 1 must be of type "Bitmap" and length 8: the second bitmap follows by itself`)
		case id != bitmapField && !slices.Contains([]string{"String", "Numeric", "Binary", "Hex", "Track1", "Track2", "Track3"}, text.Type):
			return f.fail(path, `type %q is not supported: write "String", or "Binary" for a field that is not used`, text.Type)
		}
		if _, ok := specs.EncodingsExtToInt[text.Enc]; !ok || text.Enc == "BerTLVTag" {
			return f.fail(path, "the encoding %q is not known: write ASCII, BCD, LBCD, EBCDIC, EBCDIC1047, Binary or HexToASCII", text.Enc)
		}
		if _, ok := specs.PrefixesExtToInt[text.Prefix]; !ok || text.Prefix == "None.Fixed" || text.Prefix == "BerTLV" {
			return f.fail(path, "the prefix %q is not known: write ASCII.Fixed, ASCII.LL, BCD.LL, Binary.L and so on", text.Prefix)
		}
	}
	for _, id := range []int{mtiField, bitmapField} {
		if _, ok := f.Fields[strconv.Itoa(id)]; !ok {
			return f.fail("fields", "field %d is missing", id)
		}
	}
	return nil
}

// checkSection checks the section "nightdrop" but for its fields.
func (f *dialectFile) checkSection() error {
	s := f.Nightdrop
	if !slices.Contains([]string{"binary", "bcd", "ascii"}, s.Header.Form) || s.Header.Bytes != 2 && s.Header.Bytes != 4 ||
		s.Header.Bytes == 2 && s.Header.Form == "ascii" {
		return f.fail("nightdrop.header", `the length header is of form "binary" or "bcd" with 2 or 4 bytes, or "ascii" with 4`)
	}
	for _, m := range s.Messages.named() {
		path := "nightdrop.messages." + m.name
		types := []string{m.Request, m.Answer}
		if m.Repeat != "" {
			types = append(types, m.Repeat)
		}
		for _, mti := range types {
			if len(mti) != 4 || !digits(mti) || mti[:2] != m.Request[:2] {
				return f.fail(path, "message types are four digits, and the first two are the same in request, repeat and answer")
			}
		}
		if m.Answer == m.Request || m.Answer == m.Repeat {
			return f.fail(path, "the answer's message type must not be the request's")
		}
		if m.repeats != (m.Repeat != "") {
			return f.fail(path, `a capture and a reversal have a "repeat", the other messages none`)
		}
		if m.processes != (len(m.Processing) == 6 && digits(m.Processing)) || !m.processes && m.Processing != "" {
			return f.fail(path, `"processing" is six digits; a reversal has its original's, and reconciliation and network none`)
		}
	}
	return f.checkCodes()
}

// checkCodes checks the section's codes.
func (f *dialectFile) checkCodes() error {
	s := f.Nightdrop
	for name, value := range map[string]string{"sign-on": s.Messages.Network.SignOn, "echo": s.Messages.Network.Echo} {
		if len(value) != 3 || !digits(value) {
			return f.fail("nightdrop.messages.network."+name, "write three digits")
		}
	}
	for name, codes := range map[string][]string{"undone": s.Undone, "compared": s.Compared} {
		for _, code := range codes {
			if len(code) != 2 || !alphanumeric(code) {
				return f.fail("nightdrop."+name, "codes are two of 0-9A-Z")
			}
		}
		if len(codes) == 0 && (name == "compared" || codes != nil) {
			return f.fail("nightdrop."+name, "name at least one code")
		}
	}
	return f.checkAnswers()
}

type namedMessage struct {
	message
	name               string
	repeats, processes bool
}

func (m messages) named() []namedMessage {
	return []namedMessage{
		{m.Authorisation, "authorisation", false, true}, {m.Sale, "sale", false, true}, {m.Refund, "refund", false, true},
		{m.Capture, "capture", true, true}, {m.Reversal, "reversal", true, false}, {m.Reconciliation, "reconciliation", false, false},
		{message{Request: m.Network.Request, Answer: m.Network.Answer}, "network", false, false},
	}
}

// checkConstants packs a message with each message's constants.
func (f *dialectFile) checkConstants(d *Dialect) error {
	for _, m := range d.Messages.named() {
		r := newMessage(d, m.Request)
		for name, value := range m.Constants {
			id, err := strconv.Atoi(name)
			if w, used := d.widths[id]; err != nil || !used || w.fixed && len(value) != w.length || len(value) > w.length {
				return f.fail("nightdrop.messages."+m.name+".constants."+name,
					"a constant belongs in a text field that holds nothing else, and has the field's length")
			}
			r.set(id, value)
		}
		if _, err := frame(d, r.message); err != nil || r.err != nil {
			return f.fail("nightdrop.messages."+m.name+".constants", "a value has characters that its field's encoding cannot represent")
		}
	}
	return nil
}

// described returns the field's description; ok is false when the file has none.
func described(spec *iso8583.MessageSpec, id int) (f fieldShape, ok bool) {
	held, ok := spec.Fields[id]
	if !ok {
		return fieldShape{}, false
	}
	s := held.Spec()
	prefix := s.Pref.Inspect()
	return fieldShape{length: s.Length, enc: s.Enc, pref: s.Pref, fixed: strings.HasSuffix(prefix, ".Fixed"), name: s.Description,
		hex: strings.HasPrefix(prefix, "Hex.Fixed")}, true
}
