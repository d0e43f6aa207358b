package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
)

// An exported log is a directory:
//
//	checkpoint                   the signed note, written last
//	log.json                     {"format", "origin", "vkey", "bodies"?}
//	tile/<L>/<N>[.p/<W>]         W (256 when full) hashes of level 8L, C2SP tlog-tiles
//	tile/entries/<N>[.p/<W>]     W records of 64 bytes, each after its length (2 bytes, big endian)
//	bodies/<N>[.p/<W>]           W sealed entries, each after its length (4 bytes, big endian)
//	keys/<number>/<auditor>      a log key, wrapped for that auditor
//	summary.html                 for people; nothing vouches for it
const (
	checkpointFile = proof.CheckpointPath
	logFile        = "log.json"
	summaryFile    = "summary.html"
	keysDir        = "keys"
	logFormat      = "nightdrop/log/v1"

	tileHeight = proof.TileHeight
	tileWidth  = proof.TileWidth
)

// maxBody bounds a sealed entry in an exported log: events are a few hundred bytes, those that name relays or keys a few thousand.
const maxBody = 16 << 20

// logInfo is log.json.
type logInfo struct {
	Format string `json:"format"`
	Origin string `json:"origin"`
	Vkey   string `json:"vkey"`
	// Bodies is the index of the first entry whose body is there, a multiple of 256: those before it were left out by choice.
	Bodies int64 `json:"bodies,omitempty"`
}

func (i logInfo) encode() ([]byte, error) {
	text, err := json.Marshal(i)
	return append(text, '\n'), err
}

// parseInfo reads log.json: exactly the bytes that this build writes for a log of vault.
func parseInfo(data []byte, vault note.Verifier) (logInfo, error) {
	var info logInfo
	if err := json.Unmarshal(data, &info); err != nil {
		return info, fmt.Errorf("it is no JSON: %w", ErrIntegrity)
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
	return filepath.Join(keysDir, strconv.FormatUint(uint64(number), 10), auditor)
}

// Paths below an export's directory.
func tilePath(t tlog.Tile) string           { return filepath.FromSlash(proof.TilePath(t)) }
func entriesPath(n int64, width int) string { return filepath.FromSlash(proof.EntriesPath(n, width)) }
func bodiesPath(n int64, width int) string {
	return filepath.FromSlash("bodies/" + proof.TileNumber(n, width))
}

// widthOf is how many of size leaves bundle n holds.
func widthOf(n, size int64) int { return int(min(tileWidth, size-n*tileWidth)) }

// bundlesOf is how many bundles hold size leaves.
func bundlesOf(size int64) int64 { return (size + tileWidth - 1) / tileWidth }

// splitFrames cuts a bundle into width frames, each after its length of prefix bytes, and nothing else.
func splitFrames(data []byte, prefix, width int) ([][]byte, error) {
	frames := make([][]byte, 0, width)
	for range width {
		if len(data) < prefix {
			return nil, errors.New("it is cut")
		}
		length := uint32(binary.BigEndian.Uint16(data))
		if prefix == 4 {
			length = binary.BigEndian.Uint32(data)
		}
		data = data[prefix:]
		if length > maxBody || uint64(length) > uint64(len(data)) {
			return nil, errors.New("it is cut")
		}
		frames = append(frames, data[:length])
		data = data[length:]
	}
	if len(data) > 0 {
		return nil, errors.New("it has bytes too many")
	}
	return frames, nil
}

// writeFile makes path hold data, whole or not at all; a file that does so already is left alone.
func writeFile(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(data) {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	unfinished := path + ".new"
	if err := os.WriteFile(unfinished, data, 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}
