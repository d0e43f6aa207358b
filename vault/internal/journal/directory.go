package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"nightdrop/shared/durable"
	"nightdrop/shared/frame"
)

// Sizes of a directory's files.
const (
	segmentBytes = 16 << 20 // a segment is ended by the message that brings it to this size
	// DefaultLimit is how much a directory holds before its oldest segments go.
	DefaultLimit = 8 << 30
	MinLimit     = 4 * segmentBytes // of what a directory may hold
)

// Errors of a directory.
var (
	// ErrInUse is returned when another process has the directory.
	ErrInUse = errors.New("another process uses the journal's directory: stop that vault, or give this one a directory of its own")
	// ErrDamaged is returned when a segment has a whole message after one that is not: no torn write leaves that.
	ErrDamaged = errors.New("the journal's directory is damaged: keep it as it is, and give the vault an empty one; the vault fills it again")
)

// Directory is a second place on a disk, where there is no channel: a directory for each generation, generation-N, of segments
// NNNNNNNN.seg, which are messages in their order, each after its length (4 bytes, big endian). Every message is synced before Append
// returns. What a crash tore off is cut when the directory is opened.
type Directory struct {
	path  string
	limit int64
	lock  *os.File

	mu      sync.Mutex
	open    *segment          // the last of a generation, begun by this process; nil: the next message begins one
	of      uint64            // the generation of open
	newest  map[uint64][]byte // by generation: what was found and what was appended since
	trouble error             // what the last Append failed with
}

var _ Place = (*Directory)(nil)

// segment is a file that grows.
type segment struct {
	file  *os.File
	bytes int64 // that are durable
}

// OpenDirectory takes path, which must be there, for this process. limit bounds it in bytes, at least 64 MiB; 0 is DefaultLimit.
func OpenDirectory(path string, limit int64) (*Directory, error) {
	if limit == 0 {
		limit = DefaultLimit
	}
	if limit < MinLimit {
		return nil, fmt.Errorf("journal of %d bytes: it needs at least %d", limit, MinLimit)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("journal's directory: %w", err)
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close() // nothing was written
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%s: %w", path, ErrInUse)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return &Directory{path: path, limit: limit, lock: lock, newest: map[uint64][]byte{}}, nil
}

// Close implements Place.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.end(), d.lock.Close())
}

// end closes the segment under way; the next message begins another.
func (d *Directory) end() (err error) {
	if d.open != nil {
		err = d.open.file.Close()
		d.open = nil
	}
	return err
}

// Ready implements Place.
func (d *Directory) Ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.trouble != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, d.trouble)
	}
	return nil
}

// Newest implements Place. When a generation is first asked for, what a crash tore off its last segment is cut.
func (d *Directory) Newest(_ context.Context, generation uint64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	newest, err := d.find(generation)
	return bytes.Clone(newest), err
}

// find gives the newest message of a generation. Once this process appends to it, memory knows better than the disk, which may show a
// message that it could not sync.
func (d *Directory) find(generation uint64) ([]byte, error) {
	if newest, known := d.newest[generation]; known {
		return newest, nil
	}
	numbers, err := d.segments(generation)
	if err != nil {
		return nil, err
	}
	for _, number := range slices.Backward(numbers) {
		newest, err := repair(d.segmentPath(generation, number))
		if err != nil {
			return nil, err
		}
		if newest != nil {
			d.newest[generation] = newest
			return newest, nil
		}
	}
	return nil, nil
}

// Append implements Place. After an error a new segment begins: nobody can tell what the disk has of the one before.
func (d *Directory) Append(_ context.Context, generation uint64, message []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	before, err := d.find(generation)
	if err != nil {
		return err
	}
	d.newest[generation] = before
	if d.trouble = d.append(generation, message); d.trouble != nil {
		return errors.Join(d.trouble, d.abandon())
	}
	d.newest[generation] = bytes.Clone(message)
	return nil
}

func (d *Directory) append(generation uint64, message []byte) error {
	if d.of != generation || d.open != nil && d.open.bytes >= segmentBytes {
		if err := d.end(); err != nil {
			return err
		}
	}
	if d.open == nil {
		if err := d.begin(generation); err != nil {
			return err
		}
	}
	frame := frame.Append(nil, message)
	if _, err := d.open.file.Write(frame); err != nil {
		return err
	}
	if err := d.open.file.Sync(); err != nil {
		return err
	}
	d.open.bytes += int64(len(frame))
	return nil
}

// abandon ends a segment that could not be written, as far as it can behind its last durable message: what is after that may be in memory
// only, and the next process must not take it for durable.
func (d *Directory) abandon() error {
	if d.open == nil {
		return nil
	}
	err := d.open.file.Truncate(d.open.bytes)
	return errors.Join(err, d.end())
}

// begin makes the next segment, and room for it.
func (d *Directory) begin(generation uint64) error {
	dir := d.generationPath(generation)
	if err := durable.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	if err := d.makeRoom(); err != nil {
		return err
	}
	numbers, err := d.segments(generation)
	if err != nil {
		return err
	}
	number := uint64(1)
	if len(numbers) > 0 {
		number = numbers[len(numbers)-1] + 1
	}
	file, err := os.OpenFile(d.segmentPath(generation, number), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(durable.SyncDir(dir), durable.SyncDir(d.path)); err != nil {
		return errors.Join(err, file.Close())
	}
	d.open, d.of = &segment{file: file}, generation
	return nil
}

// stored is a segment as it lies in the directory.
type stored struct {
	path  string
	bytes int64
}

// all lists the segments of all generations, oldest first.
func (d *Directory) all() (all []stored, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var generations []uint64
	for _, e := range entries {
		if n, ok := numbered(e.Name(), generationPrefix, ""); ok && e.IsDir() {
			generations = append(generations, n)
		}
	}
	slices.Sort(generations)
	for _, g := range generations {
		numbers, err := d.segments(g)
		if err != nil {
			return nil, err
		}
		for _, n := range numbers {
			path := d.segmentPath(g, n)
			info, err := os.Stat(path)
			if err != nil {
				return nil, err
			}
			all = append(all, stored{path: path, bytes: info.Size()})
		}
	}
	return all, nil
}

// Room implements Place.
func (d *Directory) Room(context.Context) (used, limit int64, err error) {
	all, err := d.all()
	for _, s := range all {
		used += s.bytes
	}
	return used, d.limit, err
}

// makeRoom removes the oldest segments until another fits. The newest of all stays: it tells how far the log has come.
func (d *Directory) makeRoom() error {
	all, err := d.all()
	if err != nil {
		return err
	}
	used := int64(segmentBytes + frame.HeaderBytes + MaxBytes)
	for _, s := range all {
		used += s.bytes
	}
	for _, s := range all[:max(len(all)-1, 0)] {
		if used <= d.limit {
			return nil
		}
		if err := os.Remove(s.path); err != nil {
			return err
		}
		used -= s.bytes
	}
	return nil
}

const (
	generationPrefix = "generation-"
	segmentSuffix    = ".seg"
)

func (d *Directory) generationPath(generation uint64) string {
	return filepath.Join(d.path, generationPrefix+strconv.FormatUint(generation, 10))
}

func (d *Directory) segmentPath(generation, number uint64) string {
	return filepath.Join(d.generationPath(generation), fmt.Sprintf("%08d%s", number, segmentSuffix))
}

// segments lists the numbers of a generation's segments in their order.
func (d *Directory) segments(generation uint64) (numbers []uint64, err error) {
	entries, err := os.ReadDir(d.generationPath(generation))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if n, ok := numbered(e.Name(), "", segmentSuffix); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

// numbered reads the number in a name between prefix and suffix.
func numbered(name, prefix, suffix string) (uint64, bool) {
	digits, before := strings.CutPrefix(name, prefix)
	digits, after := strings.CutSuffix(digits, suffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, before && after && err == nil
}

// repair cuts what a crash tore off a segment and returns its last message, nil where it has none. A torn write is the last: a whole
// message after it is ErrDamaged.
func repair(path string) (newest []byte, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	whole := 0
	for rest := data; len(rest) > 0; {
		message, next, err := cutFrame(rest)
		if err != nil || !sound(message) {
			break
		}
		newest, rest = message, next
		whole = len(data) - len(rest)
	}
	if torn := data[whole:]; len(torn) > 0 && !isTorn(torn) {
		return nil, fmt.Errorf("%s at %d: %w", path, whole, ErrDamaged)
	}
	return newest, cut(path, int64(whole))
}

// sound tells whether a frame is a message as it was written; who wrote it is asked elsewhere.
func sound(message []byte) bool {
	signed, body, err := cutFrame(message)
	return err == nil && holds(signed, body)
}

// isTorn tells whether what is left of a segment may be one write that did not come through: it has no end, or is all that there is, or was
// never written at all.
func isTorn(torn []byte) bool {
	if len(torn) < frame.HeaderBytes || len(bytes.TrimLeft(torn, "\x00")) == 0 {
		return true
	}
	return uint64(len(torn)-frame.HeaderBytes) <= uint64(binary.BigEndian.Uint32(torn))
}

// cut ends a file at size and makes what is before durable: a process that was killed may not have come to that.
func cut(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Sync(), f.Close())
}
