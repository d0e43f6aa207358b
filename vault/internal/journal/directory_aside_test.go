package journal

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestWhatIsDamagedIsSetAside: a damaged segment keeps all its bytes under another, free name, and
// what is appended then is read without it.
func TestWhatIsDamagedIsSetAside(t *testing.T) {
	d := newDirectory(t)
	dir := filepath.Join(d.path, "generation-1")
	path := filepath.Join(dir, "00000001.seg")
	p := d.open()
	must(t, p.Append(t.Context(), 1, message(t, 1, 0)))
	must(t, p.Append(t.Context(), 1, message(t, 1, 10)))
	must(t, p.Close())
	data, err := os.ReadFile(path)
	must(t, err)
	data[0] ^= 0x40
	must(t, os.WriteFile(path, data, 0o600))
	must(t, os.WriteFile(path+".damaged", []byte("an earlier one"), 0o600))
	p = d.open()
	_, _ = p.Newest(t.Context(), 1)
	must(t, p.SetAside(t.Context(), 1))
	if kept, err := os.ReadFile(path + ".damaged-1"); err != nil || !bytes.Equal(kept, data) {
		t.Errorf("set aside: %d bytes of %d, %v", len(kept), len(data), err)
	}
	if kept, err := os.ReadFile(path + ".damaged"); err != nil || string(kept) != "an earlier one" {
		t.Errorf("the one before: %q, %v", kept, err)
	}
	next := message(t, 1, 20)
	must(t, p.Append(t.Context(), 1, next))
	if got, err := p.Newest(t.Context(), 1); err != nil || !bytes.Equal(got, next) {
		t.Errorf("newest: %d bytes, %v", len(got), err)
	}
	if all := pages(t, p, 1); len(all) != 1 {
		t.Errorf("%d messages", len(all))
	}
}
