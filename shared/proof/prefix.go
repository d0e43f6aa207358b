package proof

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
)

// Prefix proves by a checkpoint that the log's first Size entries have the root Root. Beside a
// signed checkpoint of that size with another root, it is evidence that needs no log.
type Prefix struct {
	Size int64
	Root tlog.Hash
	// RFC 6962 consistency proof from Size to the checkpoint's size; at most 63
	Hashes     []tlog.Hash
	Checkpoint []byte // the signed note
}

// prefixHeader is the first line of a Prefix's text.
const prefixHeader = "nightdrop/prefix/v1\n"

// EncodePrefix returns the text: header, "size" and "root" with values, a line per hash, a blank
// line, the checkpoint.
func EncodePrefix(p Prefix) ([]byte, error) {
	text := append([]byte(prefixHeader), "size "...)
	text = append(strconv.AppendInt(text, p.Size, 10), "\nroot "...)
	for _, h := range append([]tlog.Hash{p.Root}, p.Hashes...) {
		text = append(base64.StdEncoding.AppendEncode(text, h[:]), '\n')
	}
	text = append(text, '\n')
	text = append(text, p.Checkpoint...)
	if _, err := DecodePrefix(text); err != nil {
		return nil, err
	}
	return text, nil
}

// DecodePrefix reads that text, checking its form only.
func DecodePrefix(text []byte) (Prefix, error) {
	head, checkpoint, ok := bytes.Cut(text, []byte("\n\n"))
	lines := bytes.Split(head, []byte{'\n'})
	if !ok || len(lines) < 3 || len(lines)-3 > maxHashes || string(lines[0])+"\n" != prefixHeader {
		return Prefix{}, fmt.Errorf("%w: it is %s, size, root, at most %d hashes, a blank line and a checkpoint", ErrMalformed, prefixHeader[:len(prefixHeader)-1], maxHashes)
	}
	size, sized := bytes.CutPrefix(lines[1], []byte("size "))
	root, rooted := bytes.CutPrefix(lines[2], []byte("root "))
	if !sized || !rooted {
		return Prefix{}, fmt.Errorf("%w: size and root are on the second and third line", ErrMalformed)
	}
	p := Prefix{Checkpoint: checkpoint}
	var err error
	if p.Size, err = decimal(size); err != nil {
		return Prefix{}, err
	}
	if p.Root, err = hash(root); err != nil {
		return Prefix{}, err
	}
	for _, line := range lines[3:] {
		h, err := hash(line)
		if err != nil {
			return Prefix{}, err
		}
		p.Hashes = append(p.Hashes, h)
	}
	_, err = peek(checkpoint)
	return p, err
}

// Verify checks the proof by its checkpoint, signed by any of the vault's keys.
func (p Prefix) Verify(vault ...note.Verifier) (Checkpoint, error) {
	c, err := OpenCheckpoint(p.Checkpoint, vault...)
	if err != nil {
		return Checkpoint{}, err
	}
	return c, CheckConsistency(Checkpoint{Origin: c.Origin, Size: p.Size, Root: p.Root}, c, p.Hashes)
}
