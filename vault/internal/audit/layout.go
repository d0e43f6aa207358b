package audit

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/shared/untrusted"
	"nightdrop/vault/internal/merkle"
)

// An exported log is a directory:
//
//	checkpoint                   the signed note, written last
//	log.json                     {"format", "origin", "vkey", "bodies"?}
//	tile/<L>/<N>[.p/<W>]         W (256 when full) hashes of level 8L, C2SP tlog-tiles
//	tile/entries/<N>[.p/<W>]     W records of 64 bytes, each after its length (2 bytes, big endian)
//	bodies/<N>[.p/<W>]           W sealed entries, each after its length (4 bytes, big endian)
//	keys/<number>/<auditor>      a log key, wrapped for that auditor
//	summary.html                 for people; the vault has signed it at its end
const (
	checkpointFile = proof.CheckpointPath
	logFile        = "log.json"
	summaryFile    = "summary.html"
	keysDir        = "keys"
	tileDir        = "tile"
	bodiesDir      = "bodies"
	logFormat      = "nightdrop/log/v1"

	tileHeight = proof.TileHeight
	tileWidth  = proof.TileWidth
)

// maxInfo bounds log.json.
const maxInfo = 64 << 10

// damage is what is wrong with a file. It wraps ErrIntegrity.
type damage string

// Error implements error.
func (d damage) Error() string { return string(d) }

// Unwrap returns [ErrIntegrity].
func (damage) Unwrap() error { return ErrIntegrity }

// asDamage returns damage for a file that cannot be the export's.
func asDamage(err error) error {
	if errors.Is(err, untrusted.ErrUnfit) {
		return damage(err.Error())
	}
	return err
}

// logInfo is log.json.
type logInfo struct {
	Format string `json:"format"`
	Origin string `json:"origin"`
	Vkey   string `json:"vkey"`
	// Bodies is the index of the first entry with a body, a multiple of 256.
	Bodies int64 `json:"bodies,omitempty"`
}

func (i logInfo) encode() ([]byte, error) {
	text, err := json.Marshal(i)
	return append(text, '\n'), err
}

// parseInfo reads log.json: exactly the bytes that encode writes for vault.
func parseInfo(data []byte, vault note.Verifier) (logInfo, error) {
	var info logInfo
	if err := json.Unmarshal(data, &info); err != nil {
		return info, fmt.Errorf("it is not JSON: %w", ErrIntegrity)
	}
	want := logInfo{Format: logFormat, Origin: vault.Name(), Vkey: vault.String(), Bodies: info.Bodies}
	text, err := want.encode()
	if err != nil {
		return info, err
	}
	if !bytes.Equal(text, data) || info.Bodies < 0 || info.Bodies%tileWidth != 0 {
		return info, fmt.Errorf("it does not name this vault's log: %w", ErrIntegrity)
	}
	return info, nil
}

func wrapPath(number uint32, auditor string) string {
	return path.Join(keysDir, strconv.FormatUint(uint64(number), 10), auditor)
}

// Paths below an export's directory.
func tilePath(t tlog.Tile) string           { return proof.TilePath(t) }
func entriesPath(n int64, width int) string { return proof.EntriesPath(n, width) }
func bodiesPath(n int64, width int) string  { return bodiesDir + "/" + proof.TileNumber(n, width) }

// widthOf returns how many of size leaves bundle n holds.
func widthOf(n, size int64) int { return int(min(tileWidth, size-n*tileWidth)) }

// bundlesOf returns how many bundles hold size leaves.
func bundlesOf(size int64) int64 { return (size + tileWidth - 1) / tileWidth }

// frameReader reads the frames of bundles one by one, so that a file of any length needs no more
// memory than its longest valid frame. It is for one goroutine.
type frameReader struct {
	dir    untrusted.Dir
	in     *bufio.Reader
	buffer []byte // of a frame longer than in's
}

// frameBuffer holds most frames.
const frameBuffer = 64 << 10

// each calls fn with the width frames of a bundle, each after its length of prefix bytes (2 or 4),
// in order; a frame is valid until fn returns. It ends with fn's error, with [fs.ErrNotExist], or
// with damage where the file holds anything else.
func (f *frameReader) each(name string, prefix, width int, fn func(frame []byte) error) error {
	file, err := f.dir.Open(name)
	if err != nil {
		return asDamage(err)
	}
	defer func() { _ = file.Close() }()
	if f.in == nil {
		f.in = bufio.NewReaderSize(nil, frameBuffer)
	}
	f.in.Reset(file)
	for range width {
		frame, err := f.next(prefix)
		if err != nil {
			return err
		}
		if err := fn(frame); err != nil {
			return err
		}
	}
	if _, err := f.in.ReadByte(); err == nil {
		return damage("it has too many bytes")
	} else if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

func (f *frameReader) next(prefix int) ([]byte, error) {
	head, err := f.in.Peek(prefix)
	if err != nil {
		return nil, asCut(err)
	}
	length := uint32(binary.BigEndian.Uint16(head))
	if prefix == 4 {
		length = binary.BigEndian.Uint32(head)
	}
	if _, err := f.in.Discard(prefix); err != nil {
		return nil, err
	}
	switch {
	case length > merkle.MaxEntry:
		return nil, damage("it is cut")
	case length > frameBuffer:
		f.buffer = slices.Grow(f.buffer[:0], int(length))[:length]
		_, err := io.ReadFull(f.in, f.buffer)
		return f.buffer, asCut(err)
	}
	frame, err := f.in.Peek(int(length))
	if err != nil {
		return nil, asCut(err)
	}
	_, err = f.in.Discard(int(length)) // frame is valid until the next read
	return frame, err
}

// asCut returns damage for a file's early end.
func asCut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return damage("it is cut")
	}
	return err
}
