package channel

import (
	"bytes"

	"github.com/nats-io/nats.go"
)

// maxHeaderValue bounds the value of a header and a status's description, in bytes.
const maxHeaderValue = 512

// headerNames are the headers that this package reads, besides the status.
func headerNames() [6]string {
	return [6]string{nats.JSStream, nats.JSSubject, nats.JSSequence, nats.JSTimeStamp, nats.JSLastSequence, "Nats-Num-Pending"}
}

// plainHeader appends to dst what this package reads of a header, in the form that the library
// expects. A stored message keeps its publisher's header, with any number of lines, each of which
// costs the library many times its length. The broker's own lines come after it, so the last
// counts. A malformed line is left out.
func plainHeader(dst, raw []byte) []byte {
	names := headerNames()
	var values [len(names)][]byte
	first, rest, _ := bytes.Cut(raw, []byte("\r\n"))
	for len(rest) > 0 {
		var line []byte
		line, rest, _ = bytes.Cut(rest, []byte("\r\n"))
		name, value, found := bytes.Cut(line, []byte(":"))
		if !found {
			continue
		}
		for i, known := range names {
			if string(name) == known {
				values[i] = bytes.Trim(value, " \t")
			}
		}
	}
	dst = append(dst, "NATS/1.0"...)
	if status, found := bytes.CutPrefix(first, []byte("NATS/1.0 ")); found && statusLine(status) {
		dst = append(append(dst, ' '), status...)
	}
	dst = append(dst, "\r\n"...)
	for i, value := range values {
		if len(value) > 0 && len(value) <= maxHeaderValue && printable(value) {
			dst = append(append(append(append(dst, names[i]...), ": "...), value...), "\r\n"...)
		}
	}
	return append(dst, "\r\n"...)
}

func statusLine(text []byte) bool {
	if len(text) < 3 || len(text) > maxHeaderValue || !printable(text) {
		return false
	}
	_, ok := number(text[:3], 3)
	return ok && (len(text) == 3 || text[3] == ' ')
}

func printable(text []byte) bool {
	return !bytes.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}
