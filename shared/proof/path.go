package proof

import (
	"fmt"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"
)

// An exported log's tiles, as C2SP tlog-tiles lays them out.
const (
	TileHeight = 8
	TileWidth  = 1 << TileHeight           // hashes of a full tile
	TileBytes  = TileWidth * tlog.HashSize // 8,192: of a full tile
)

// CheckpointPath is where an exported log has its signed checkpoint.
const CheckpointPath = "checkpoint"

// TilePath is the path of a tile of [TileHeight]: tile/<L>/<N>[.p/<W>].
func TilePath(t tlog.Tile) string {
	return "tile/" + strconv.Itoa(t.L) + "/" + TileNumber(t.N, t.W)
}

// EntriesPath is the path of width leaves from n*[TileWidth] on: tile/entries/<N>[.p/<W>].
func EntriesPath(n int64, width int) string { return "tile/entries/" + TileNumber(n, width) }

// TileNumber is <N>[.p/<W>]: x001/x234/067, or x001/x234/067.p/112 if only width of [TileWidth] are
// there.
func TileNumber(n int64, width int) string {
	path := fmt.Sprintf("%03d", n%1000)
	for n >= 1000 {
		n /= 1000
		path = fmt.Sprintf("x%03d/%s", n%1000, path)
	}
	if width < TileWidth {
		path += ".p/" + strconv.Itoa(width)
	}
	return path
}
