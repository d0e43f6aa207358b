package settle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// TestAnEmptyFileOfACrash: where there is no RENAME_NOREPLACE a file's name comes a moment before
// its content, and a crash between the two is no conflict: the content is staged.
func TestAnEmptyFileOfACrash(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.interrupted(fullDisk{appear: errCrash, keep: true})
	path := filepath.Join(c.outbox, "nightdrop-20261124-A.ach")
	c.must(os.WriteFile(path, nil, 0o600))
	c.endOfDay(c.engine(nil))
	c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled")
	if text, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(text, []byte("101")) {
		t.Errorf("the file holds %q, %v", text, err)
	}
}
