package keyring

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// disk is a file of slots; tests replace it to cut the power.
type disk interface {
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// copies is how often a file of slots holds its header and each slot: one flipped bit or bad sector
// costs no key.
const copies = 2

// A file of slots begins with two equal copies of a header: magic (32), sequence (8), the file's
// own fields, HMAC. They are written one after the other with an fsync between, so that one is
// always intact; of two, the one with the higher sequence counts.

// newer returns the copy that counts, nil where neither is intact.
func newer(first, second []byte, whole func([]byte) bool) []byte {
	switch okFirst, okSecond := whole(first), whole(second); {
	case okFirst && (!okSecond || sequenceOf(first) >= sequenceOf(second)):
		return first
	case okSecond:
		return second
	}
	return nil
}

func sequenceOf(header []byte) uint64 { return binary.BigEndian.Uint64(header[magicBytes:]) }

// readTwice reads both copies of a header of size bytes. One that cannot be read is returned as
// zeros; it fails where neither can, and with io.EOF where the file is too short.
func readTwice(d disk, path string, size int) (first, second []byte, err error) {
	var headers [copies][]byte
	var unread []error
	for i := range headers {
		headers[i] = make([]byte, size)
		n, err := d.ReadAt(headers[i], int64(i*size))
		switch {
		case n == size:
		case errors.Is(err, io.EOF):
			return nil, nil, fmt.Errorf("read %s: %w", path, io.EOF)
		default:
			clear(headers[i])
			unread = append(unread, err)
		}
	}
	if len(unread) == copies {
		return nil, nil, fmt.Errorf("read %s: %w", path, errors.Join(unread...))
	}
	return headers[0], headers[1], nil
}

// magicOf returns a header's format.
func magicOf(header []byte) string { return string(bytes.TrimRight(header[:magicBytes], "\x00")) }

// unreadable is the error for a file without an intact header: damage, unless both copies name one
// format that this program does not know.
func unreadable(path, prefix string, first, second []byte, remedy string) error {
	format := magicOf(first)
	if number, ok := versionOf(format, prefix); ok && number > keyFormats && magicOf(second) == format {
		return newerFormat(path, format)
	}
	return damaged(path, "neither copy of its header is whole", remedy)
}

// keyFormats is the newest known version of the files of slots.
const keyFormats = 2

// versionOf parses a format's name: prefix "v" number.
func versionOf(format, prefix string) (number uint64, ok bool) {
	digits, ok := strings.CutPrefix(format, prefix+"v")
	number, err := strconv.ParseUint(digits, 10, 16)
	return number, ok && err == nil
}

func newerFormat(path, format string) error {
	return fmt.Errorf("%s is of format %s: %w", path, format, ErrNewer)
}

// keyFile is what the files of slots have in common.
type keyFile struct {
	f        disk
	path     string
	vault    string
	keys     *wrapping
	sequence uint64      // of the header
	failed   error       // the first failed write: what is on disk is unknown from then on
	report   func(error) // is called with it; may be nil
}

// writeTwice makes both copies of the next header durable.
func (k *keyFile) writeTwice(encode func() []byte) error {
	if k.failed != nil {
		return k.failed
	}
	k.sequence++
	header := encode()
	for _, at := range [...]int64{0, int64(len(header))} {
		if _, err := k.f.WriteAt(header, at); err != nil {
			return k.fail(err)
		}
		if err := k.f.Sync(); err != nil {
			return k.fail(err)
		}
	}
	return nil
}

// fail latches: after a failed write or fsync only a restart can know what is on disk.
func (k *keyFile) fail(err error) error {
	k.failed = unknownOnDisk(k.path, err)
	if k.report != nil {
		k.report(k.failed)
	}
	return k.failed
}

// overwrite fills size bytes at each offset, first with random bytes, then with zeros, each time
// durably.
func overwrite(d disk, offsets []int64, size int) error {
	fill := make([]byte, size)
	for _, next := range [...]func(){func() { _, _ = rand.Read(fill) }, func() { clear(fill) }} {
		for _, at := range offsets {
			next()
			if _, err := d.WriteAt(fill, at); err != nil {
				return err
			}
		}
		if err := d.Sync(); err != nil {
			return err
		}
	}
	return nil
}

func unknownOnDisk(path string, err error) error {
	return fmt.Errorf("write %s: %w; %w", path, err, ErrUnknownOnDisk)
}
