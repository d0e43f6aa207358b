package journal

import (
	"bytes"
	"context"
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
	segmentBytes = 16 << 20 // the size from which a segment is full
	// DefaultLimit is how much a directory holds before it drops its oldest segments.
	DefaultLimit = 8 << 30
	MinLimit     = 4 * segmentBytes // of a directory's limit
)

// ErrInUse is returned when another process has the directory.
var ErrInUse = errors.New("another process uses the journal's directory: stop that vault, or give this one a directory of its own")

// Directory is a second place on a disk: a directory for each generation, generation-N, of segments
// NNNNNNNN.seg, which are messages in order, each after its length (4 bytes, big endian). Every
// message is synced before Append returns. Each process begins a new segment, and a message torn by
// a crash stays at the end of an earlier one: nothing is ever cut that is not known to be torn.
type Directory struct {
	path  string
	limit int64
	lock  *os.File

	mu                sync.Mutex
	current           *segment          // begun by this process; nil: the next message begins one
	currentGeneration uint64            // the generation of open
	newest            map[uint64]latest // by generation
	// damaged segments and their generation's directories
	damaged map[string]string
	sizes   map[string]int64 // segments and how long they were when Room was asked
	lastErr error            // what the last Append failed with
}

type latest struct {
	message []byte
	damage  error // of the segment that it is in, or of later ones
	ours    bool  // this process appended to the generation, or tried
}

var _ Place = (*Directory)(nil)

// segment is a file that grows.
type segment struct {
	file  *os.File
	path  string
	bytes int64 // that are durable
}

// OpenDirectory opens path, which must exist, for this process alone. limit bounds it in bytes, at
// least [MinLimit]; 0 is [DefaultLimit].
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
	return &Directory{path: path, limit: limit, lock: lock, newest: map[uint64]latest{}, damaged: map[string]string{}, sizes: map[string]int64{}}, nil
}

// Close implements [Place].
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return errors.Join(d.closeCurrent(), d.lock.Close())
}

// closeCurrent closes the current segment; the next message begins another.
func (d *Directory) closeCurrent() (err error) {
	if d.current != nil {
		err = d.current.file.Close()
		d.current = nil
	}
	return err
}

// Ready implements [Place].
func (d *Directory) Ready() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.lastErr != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, d.lastErr)
	}
	return nil
}

// Newest implements [Place].
func (d *Directory) Newest(_ context.Context, generation uint64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	newest, err := d.latestOf(generation)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(newest.message), newest.damage
}

// latestOf returns the newest message of a generation. Once this process has appended to it, that
// is in memory, as the disk may show a message that could not be synced. Before that the disk is
// read each time, so that restored segments are seen.
func (d *Directory) latestOf(generation uint64) (newest latest, err error) {
	if newest, known := d.newest[generation]; known && newest.ours {
		return newest, nil
	}
	if err := d.removeEmpty(generation); err != nil {
		return newest, err
	}
	numbers, err := d.segments(generation)
	if err != nil {
		return newest, err
	}
	for _, number := range slices.Backward(numbers) {
		path := d.segmentPath(generation, number)
		found, err := d.scanAll(generation, path)
		if err != nil {
			return newest, err
		}
		if found.damaged {
			newest.damage = fmt.Errorf("%w: %s holds what was altered after it was written", ErrDamaged, path)
		}
		if n := len(found.messages); n > 0 {
			newest.message = found.messages[n-1]
			break
		}
	}
	return newest, nil
}

// scanAll syncs and reads a segment: a killed process may not have synced it.
func (d *Directory) scanAll(generation uint64, path string) (scanned, error) {
	if err := syncPath(path); err != nil {
		return scanned{}, err
	}
	delete(d.damaged, path) // an intact copy may have been restored
	data, err := readSegment(path, 0)
	if errors.Is(err, ErrDamaged) {
		d.damaged[path] = d.generationPath(generation)
		return scanned{damaged: true}, nil
	}
	if err != nil {
		return scanned{}, err
	}
	found := scan(data, 0, len(data))
	if found.damaged {
		d.damaged[path] = d.generationPath(generation)
	}
	return found, nil
}

// Oldest implements [Place].
func (d *Directory) Oldest(_ context.Context, generation uint64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	numbers, err := d.segments(generation)
	for _, number := range numbers {
		message, err := oldestIn(d.segmentPath(generation, number))
		if message != nil || err != nil {
			return message, err
		}
	}
	return nil, err
}

const pageMessages = 256

// Page implements [Place]. The cursor's part is a segment's number, its offset one in that file.
func (d *Directory) Page(_ context.Context, generation uint64, from Cursor) ([][]byte, *Cursor, error) {
	path, limit, at, err := d.pageAt(generation, from)
	if err != nil || at == nil {
		return nil, nil, err
	}
	data, err := readSegment(path, limit)
	if err != nil && !errors.Is(err, ErrDamaged) {
		return nil, nil, err
	}
	found := scan(data, int(min(at.Offset, uint64(len(data)))), pageMessages)
	if found.damaged || err != nil {
		d.mu.Lock()
		d.damaged[path] = d.generationPath(generation)
		d.mu.Unlock()
	}
	if len(found.messages) == pageMessages {
		return found.messages, &Cursor{Part: at.Part, Offset: uint64(found.end)}, nil
	}
	return found.messages, &Cursor{Part: at.Part + 1}, nil
}

// pageAt returns the segment at or after a cursor, and how much of it is durable, 0 for all; at is
// nil after the last.
func (d *Directory) pageAt(generation uint64, from Cursor) (path string, limit int64, at *Cursor, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	numbers, err := d.segments(generation)
	if err != nil {
		return "", 0, nil, err
	}
	i, same := slices.BinarySearch(numbers, from.Part)
	if i == len(numbers) {
		return "", 0, nil, nil
	}
	at = &Cursor{Part: numbers[i]}
	if same {
		at.Offset = from.Offset
	}
	path = d.segmentPath(generation, numbers[i])
	if d.current != nil && d.current.path == path {
		if limit = d.current.bytes; limit == 0 {
			return "", 0, nil, nil
		}
	}
	return path, limit, at, nil
}

// SetAside implements [Place]: a damaged segment is renamed NNNNNNNN.seg.damaged, and no longer
// read.
func (d *Directory) SetAside(_ context.Context, generation uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []error
	for path, dir := range d.damaged {
		if dir != d.generationPath(generation) {
			continue
		}
		if d.current != nil && d.current.path == path {
			all = append(all, d.closeCurrent())
		}
		delete(d.sizes, path)
		err := renameAside(path)
		if err == nil {
			err = durable.SyncDir(dir)
		}
		if err == nil {
			delete(d.damaged, path)
		}
		all = append(all, err)
	}
	delete(d.newest, generation)
	return errors.Join(all...)
}

// renameAside renames a damaged segment, and never overwrites.
func renameAside(path string) error {
	for n := 0; ; n++ {
		aside := path + ".damaged"
		if n > 0 {
			aside += "-" + strconv.Itoa(n)
		}
		_, err := os.Lstat(aside)
		if err == nil {
			continue
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := os.Rename(path, aside); !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil // it is gone
	}
}

// Append implements [Place]. After an error a new segment begins, as it is unknown what the disk
// has of the one before.
func (d *Directory) Append(_ context.Context, generation uint64, message []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	newest, err := d.latestOf(generation)
	if err != nil {
		return err
	}
	newest.ours = true
	d.newest[generation] = newest
	if d.lastErr = d.append(generation, message); d.lastErr != nil {
		return errors.Join(d.lastErr, d.abandon())
	}
	d.newest[generation] = latest{message: bytes.Clone(message), ours: true}
	return nil
}

func (d *Directory) append(generation uint64, message []byte) error {
	if d.currentGeneration != generation || d.current != nil && d.current.bytes >= segmentBytes {
		if err := d.closeCurrent(); err != nil {
			return err
		}
	}
	if d.current == nil {
		if err := d.beginSegment(generation); err != nil {
			return err
		}
	}
	frame := frame.Append(nil, message)
	if _, err := d.current.file.Write(frame); err != nil {
		return err
	}
	if err := d.current.file.Sync(); err != nil {
		return err
	}
	d.current.bytes += int64(len(frame))
	return nil
}

// abandon ends a segment that could not be written and truncates it to its last durable message:
// what is after that may be in memory only, and must not look durable to the next process. It
// removes an empty one.
func (d *Directory) abandon() error {
	if d.current == nil {
		return nil
	}
	path, empty := d.current.path, d.current.bytes == 0
	err := errors.Join(d.current.file.Truncate(d.current.bytes), d.closeCurrent())
	if empty {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// beginSegment creates the next segment, and makes room for it.
func (d *Directory) beginSegment(generation uint64) error {
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
	path := d.segmentPath(generation, number)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(durable.SyncDir(dir), durable.SyncDir(d.path)); err != nil {
		return errors.Join(err, file.Close(), os.Remove(path))
	}
	d.current, d.currentGeneration = &segment{file: file, path: path}, generation
	return nil
}

// syncPath syncs a file.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

type segmentInfo struct {
	path  string
	bytes int64
}

// all lists the segments of all generations, oldest first.
func (d *Directory) all() (all []segmentInfo, err error) {
	entries, err := os.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var generations []uint64
	for _, e := range entries {
		if n, ok := parseNumber(e.Name(), generationPrefix, ""); ok && e.IsDir() {
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
			all = append(all, segmentInfo{path: path, bytes: info.Size()})
		}
	}
	return all, nil
}

// Room implements [Place]. A segment that is missing or shorter than before is a loss; then what is
// in memory no longer counts.
func (d *Directory) Room(context.Context) (Room, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	all, err := d.all()
	if err != nil {
		return Room{}, err
	}
	room := Room{Limit: d.limit, Step: maxSegment}
	now := map[string]int64{}
	for _, s := range all {
		room.Used += s.bytes
		now[s.path] = s.bytes
	}
	for path, bytes := range d.sizes {
		if left, there := now[path]; !there || left < bytes {
			room.Shrunk = true
		}
	}
	if d.current != nil {
		if left, there := now[d.current.path]; !there || left < d.current.bytes {
			room.Shrunk = true
		}
	}
	d.sizes = now
	if room.Shrunk {
		clear(d.newest)
		return room, d.closeCurrent()
	}
	return room, nil
}

// makeRoom removes the oldest segments until another fits, but never the newest of all, which shows
// how far the log has come.
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
		delete(d.sizes, s.path)
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

// segments lists the numbers of a generation's segments in order.
func (d *Directory) segments(generation uint64) (numbers []uint64, err error) {
	entries, err := os.ReadDir(d.generationPath(generation))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if n, ok := parseNumber(e.Name(), "", segmentSuffix); ok {
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	return numbers, err
}

// removeEmpty removes a generation's empty segments: earlier builds left one at each write to a
// full disk.
func (d *Directory) removeEmpty(generation uint64) error {
	numbers, err := d.segments(generation)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		path := d.segmentPath(generation, number)
		info, err := os.Lstat(path)
		if err == nil && info.Mode().IsRegular() && info.Size() == 0 && (d.current == nil || d.current.path != path) && d.sizes[path] == 0 {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// parseNumber parses the number between prefix and suffix.
func parseNumber(name, prefix, suffix string) (uint64, bool) {
	digits, before := strings.CutPrefix(name, prefix)
	digits, after := strings.CutSuffix(digits, suffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, before && after && err == nil
}
