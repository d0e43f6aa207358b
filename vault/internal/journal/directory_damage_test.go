package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestFlippedLengthIsNoTornAppend: after a flipped bit in the length of any of twenty messages, the
// directory is damaged, and neither reading nor appending removes a byte of the file.
func TestFlippedLengthIsNoTornAppend(t *testing.T) {
	const messages = 20
	one := message(t, 1, 1000)
	framed := 4 + len(one)
	for _, at := range []int{0, 1, messages / 2, messages - 1} {
		for bit := range 32 {
			t.Run(fmt.Sprintf("message %d bit %d", at, bit), func(t *testing.T) {
				d := newDirectory(t)
				p := d.open()
				for range messages {
					must(t, p.Append(t.Context(), 1, one))
				}
				must(t, p.Close())
				path := filepath.Join(d.path, "generation-1", "00000001.seg")
				data, err := os.ReadFile(path)
				must(t, err)
				data[at*framed+bit/8] ^= 1 << (bit % 8)
				must(t, os.WriteFile(path, data, 0o600))
				p = d.open()
				if _, err := p.Newest(t.Context(), 1); !errors.Is(err, ErrDamaged) {
					t.Errorf("it says %v", err)
				}
				_ = p.Append(t.Context(), 1, one) // in any case what was there stays
				must(t, p.Close())
				if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, data) {
					t.Errorf("%d bytes of %d are left, %v", len(now), len(data), err)
				}
			})
		}
	}
}

// TestEmptySegmentsGo: 10,000 that an earlier build left on a full disk are gone after one check,
// and soon.
func TestEmptySegmentsGo(t *testing.T) {
	const empty = 10_000
	d := newDirectory(t)
	p := d.open()
	first := message(t, 1, 0)
	must(t, p.Append(t.Context(), 1, first))
	must(t, p.Close())
	dir := filepath.Join(d.path, "generation-1")
	for n := range empty {
		must(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%08d.seg", n+2)), nil, 0o600))
	}
	p = d.open()
	began := time.Now()
	if got, err := p.Newest(t.Context(), 1); err != nil || !bytes.Equal(got, first) {
		t.Errorf("newest: %d bytes, %v", len(got), err)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("a look took %s", took)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("%d files are left, %v", len(left), err)
	}
	must(t, p.Append(t.Context(), 1, first))
}

// TestFailedAppendLeavesNoSegment: each try on a full disk begins a segment, and removes it.
func TestFailedAppendLeavesNoSegment(t *testing.T) {
	d := newDirectory(t)
	p := d.open().(*Directory)
	for range 20 {
		must(t, p.beginSegment(1))
		must(t, p.current.file.Close()) // what is written to it fails
		if err := p.Append(t.Context(), 1, message(t, 1, 0)); err == nil {
			t.Fatal("a write to a dead disk succeeded")
		}
	}
	if left, err := os.ReadDir(filepath.Join(d.path, "generation-1")); err != nil || len(left) != 0 {
		t.Errorf("%d segments are left, %v", len(left), err)
	}
}
