// Package volume reports how much room there is on the file system on which a directory lies, when
// a reserve of it is touched, and on which devices it is.
package volume

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Room is what a file system holds, in bytes.
type Room struct {
	Free int64 // what an ordinary user may still write
	Size int64 // of the whole
}

// Look returns the room on the file system of dir.
func Look(dir string) (Room, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return Room{}, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return Room{Free: int64(s.Bavail) * s.Bsize, Size: int64(s.Blocks) * s.Bsize}, nil
}

// Reserve is room that must stay free. Once it was touched, a quarter more must be free before it
// counts as whole again, so that what comes and goes at its edge begins and ends nothing. The zero
// value is whole. It is not safe for concurrent use.
type Reserve struct{ touched bool }

// Needs returns how many bytes must be free now, of a reserve of least bytes.
func (r *Reserve) Needs(least int64) int64 {
	if r.touched {
		return least + least/4
	}
	return least
}

// Touched takes in how many bytes are free and reports whether the reserve is touched.
func (r *Reserve) Touched(free, least int64) bool {
	r.touched = free < r.Needs(least)
	return r.touched
}
