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
	segmentBytes = 16 << 20 // a segment is ended by the message that brings it to this size
	// DefaultLimit is how much a directory holds before its oldest segments go.
	DefaultLimit = 8 << 30
	MinLimit     = 4 * segmentBytes // of what a directory may hold
)

// ErrInUse is returned when another process has the directory.
var ErrInUse = errors.New("another process uses the journal's directory: stop that vault, or give this one a directory of its own")

// Directory is a second place on a disk: a directory for each generation, generation-N, of segments
// NNNNNNNN.seg, which are messages in their order, each after its length (4 bytes, big endian).
// Every message is synced before Append returns. Each process begins a segment of its own, and what
// a crash tore off the end of an earlier one stays there: nothing that is not known to be torn is
// ever cut.
type Directory struct {
	path  string
	limit int64
	lock  *os.File

	mu sync.Mutex
	// the last of a generation, begun by this process; nil: the next message begins one
	open   *segment
	of     uint64         // the generation of open
	newest map[uint64]end // by generation: what was found and what was appended since
	// segments that were found damaged, and the generation's directory of each
	damaged map[string]string
	known   map[string]int64 // segments and how long they were when Room was asked
	trouble error            // what the last Append failed with
}

// end is a generation's newest message.
type end struct {
	message []byte
	damage  error // of the segment that it is in, or of later ones
	ours    bool  // this process appended to it, or tried
}

var _ Place = (*Directory)(nil)

// segment is a file that grows.
type segment struct {
	file  *os.File
	path  string
	bytes int64 // that are durable
}

// OpenDirectory takes path, which must be there, for this process. limit bounds it in bytes, at
// least 64 MiB; 0 is DefaultLimit.
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
	return &Directory{path: path, limit: limit, lock: lock, newest: map[uint64]end{}, damaged: map[string]string{}, known: map[string]int64{}}, nil
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

// Newest implements Place.
func (d *Directory) Newest(_ context.Context, generation uint64) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	newest, err := d.find(generation)
	if err != nil {
		return nil, err
	}
	return bytes.Clone(newest.message), newest.damage
}

// find gives the newest message of a generation. Once this process appends to it, memory knows
// better than the disk, which may show a message that it could not sync. Before that the disk is
// read at each look: what somebody puts back there is seen.
func (d *Directory) find(generation uint64) (newest end, err error) {
	if newest, known := d.newest[generation]; known && newest.ours {
		return newest, nil
	}
	if err := d.sweep(generation); err != nil {
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

// scanAll reads a segment, which is made durable: a process that was killed may not have come to
// that.
func (d *Directory) scanAll(generation uint64, path string) (scanned, error) {
	if err := syncPath(path); err != nil {
		return scanned{}, err
	}
	delete(d.damaged, path) // what is there now counts: a sound copy may have been put back
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

// Oldest implements Place.
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

// pageMessages is how many messages of a segment are read at once.
const pageMessages = 256

// Page implements Place. The cursor's part is a segment's number, its offset one in that file.
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

// pageAt finds the segment of a cursor, the first at or behind it, and how much of it is durable, 0
// for all; at is nil behind the last.
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
	if d.open != nil && d.open.path == path {
		if limit = d.open.bytes; limit == 0 {
			return "", 0, nil, nil
		}
	}
	return path, limit, at, nil
}

// SetAside implements Place: a damaged segment gets the name NNNNNNNN.seg.damaged, and is read no
// more.
func (d *Directory) SetAside(_ context.Context, generation uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var all []error
	for path, dir := range d.damaged {
		if dir != d.generationPath(generation) {
			continue
		}
		if d.open != nil && d.open.path == path {
			all = append(all, d.end())
		}
		delete(d.known, path)
		err := asideOf(path)
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

// asideOf renames a damaged segment, over nothing that is there.
func asideOf(path string) error {
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

// Append implements Place. After an error a new segment begins: nobody can know what the disk has
// of the one before.
func (d *Directory) Append(_ context.Context, generation uint64, message []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	newest, err := d.find(generation)
	if err != nil {
		return err
	}
	newest.ours = true
	d.newest[generation] = newest
	if d.trouble = d.append(generation, message); d.trouble != nil {
		return errors.Join(d.trouble, d.abandon())
	}
	d.newest[generation] = end{message: bytes.Clone(message), ours: true}
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

// abandon ends a segment that could not be written, as far as it can behind its last durable
// message: what is after that may be in memory only, and the next process must not take it for
// durable. One without any message goes.
func (d *Directory) abandon() error {
	if d.open == nil {
		return nil
	}
	path, empty := d.open.path, d.open.bytes == 0
	err := errors.Join(d.open.file.Truncate(d.open.bytes), d.end())
	if empty {
		err = errors.Join(err, os.Remove(path))
	}
	return err
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
	path := d.segmentPath(generation, number)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(durable.SyncDir(dir), durable.SyncDir(d.path)); err != nil {
		return errors.Join(err, file.Close(), os.Remove(path))
	}
	d.open, d.of = &segment{file: file, path: path}, generation
	return nil
}

// syncPath makes a file durable, whoever wrote it.
func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
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

// Room implements Place. A segment that is gone or shorter than it was is a loss; what memory knew
// of the directory counts no more then.
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
	for path, bytes := range d.known {
		if left, there := now[path]; !there || left < bytes {
			room.Shrunk = true
		}
	}
	if d.open != nil {
		if left, there := now[d.open.path]; !there || left < d.open.bytes {
			room.Shrunk = true
		}
	}
	d.known = now
	if room.Shrunk {
		clear(d.newest)
		return room, d.end()
	}
	return room, nil
}

// makeRoom removes the oldest segments until another fits. The newest of all stays: it says how far
// the log has come.
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
		delete(d.known, s.path)
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

// sweep removes the empty segments of a generation, which hold nothing: earlier builds left one at
// each try to write to a full disk.
func (d *Directory) sweep(generation uint64) error {
	numbers, err := d.segments(generation)
	if err != nil {
		return err
	}
	for _, number := range numbers {
		path := d.segmentPath(generation, number)
		info, err := os.Lstat(path)
		if err == nil && info.Mode().IsRegular() && info.Size() == 0 && (d.open == nil || d.open.path != path) && d.known[path] == 0 {
			err = os.Remove(path)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// numbered reads the number in a name between prefix and suffix.
func numbered(name, prefix, suffix string) (uint64, bool) {
	digits, before := strings.CutPrefix(name, prefix)
	digits, after := strings.CutSuffix(digits, suffix)
	n, err := strconv.ParseUint(digits, 10, 64)
	return n, before && after && err == nil
}
