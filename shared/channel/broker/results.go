package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// distrustIndex makes the broker read RESULTS, with its messages' sums, instead of trusting the
// index. With the index it counts a message whose bytes have changed as there; a reader misses that
// message and all behind it, and the stream's state does not show it. Without, it cuts the stream
// there, and the vault, which compares the state with what it published, publishes the rest again.
// ENVELOPES keeps its index: nobody could restore what would be cut, and the chain of bags shows
// what cannot be read. A start then reads all of RESULTS: a second or two for a gigabyte.
func distrustIndex(dir string) error {
	err := os.Remove(filepath.Join(dir, "jetstream", "RELAY", "streams", "RESULTS", "msgs", "index.db"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("channel store: %w", err)
	}
	return nil
}
