package broker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// distrustIndex has the broker read what RESULTS holds, with the sums of its messages, in place of
// an index that says so. With the index it counts a message whose bytes have changed as there, and
// a reader finds that message and all behind it missing, without a word: nobody who asks for the
// stream's state can see it. Without, it cuts the stream there, and the vault, which compares the
// state with what it published, publishes again what is missing. Not so for ENVELOPES, where nobody
// could bring back what would be cut, and what cannot be read is found by the chain of bags. A
// start reads the whole of RESULTS for it: a second or two for a gigabyte.
func distrustIndex(dir string) error {
	err := os.Remove(filepath.Join(dir, "jetstream", "RELAY", "streams", "RESULTS", "msgs", "index.db"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("channel store: %w", err)
	}
	return nil
}
