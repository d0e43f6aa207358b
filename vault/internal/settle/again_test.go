package settle

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"nightdrop/vault/internal/book"
)

// TestFileThatTheOutboxLost: the same bytes are put there once more for as long as the accounts are
// kept, whatever became of entries since, and never another file.
func TestFileThatTheOutboxLost(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	for _, amount := range []int64{100, amountReturned, 300} { // the second is returned
		c.send(c.shop.BankSale(amount))
	}
	c.endOfDay(c.engine(nil))
	name, text, _ := c.theFile()
	path := filepath.Join(c.outbox, name)
	e := c.engine(nil)
	if _, err := e.FileAgain(t.Context(), name, person()); !errors.Is(err, ErrConflict) {
		t.Errorf("while it is there: %v", err)
	}
	c.must(os.WriteFile(path, text[:len(text)/2], 0o600))
	if _, err := e.FileAgain(t.Context(), name, person()); !errors.Is(err, ErrFileThere) {
		t.Errorf("with another in its place: %v", err)
	}
	c.must(os.Remove(path))
	_, err := e.FileAgain(t.Context(), name, person())
	c.must(err)
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, text) {
		t.Errorf("it is another file: %d bytes of %d, %v", len(again), len(text), err)
	}
	if n := len(c.events(book.FileMadeAgain{}.Kind())); n != 1 {
		t.Errorf("the log tells of it %d times", n)
	}
	answer, entries := c.bankAnswers()
	_, err = e.ImportAnswers(t.Context(), answer, bytes.NewReader(entries), person())
	c.must(err)
	if c.count(book.StageReturned) != 1 {
		t.Fatalf("%d returned", c.count(book.StageReturned))
	}
	c.must(os.RemoveAll(path)) // where the bank left it
	_, err = e.FileAgain(t.Context(), name, person())
	c.must(err)
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(again, text) {
		t.Errorf("after a return it is another file: %d bytes of %d, %v", len(again), len(text), err)
	}
	c.must(os.Remove(path))
	c.pass(8 * 24 * time.Hour)
	if _, err := e.FileAgain(t.Context(), name, person()); !errors.Is(err, ErrConflict) {
		t.Errorf("once the accounts are gone: %v", err)
	}
	if left, err := os.ReadDir(c.outbox); err != nil || len(left) > 1 { // what was staged
		t.Errorf("the outbox holds %v, %v", left, err)
	}
}
