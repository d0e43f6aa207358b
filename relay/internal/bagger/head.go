package bagger

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/strictjson"
)

// ErrHeadLocked is returned when another process has the head file: a relay's name has one process.
var ErrHeadLocked = errors.New("another relay uses this head file; stop it, or give this one a name and head file of its own")

// headBytes is the size of the head file: one disk sector, which is written whole or not at all.
const headBytes = 512

// record is the head file's content: one line of JSON, padded with spaces. It names the last bag
// that was acked with all before it.
type record struct {
	Run    string `json:"run"`
	Number uint64 `json:"number"`
	Digest string `json:"digest"`
	Sum    string `json:"sum"` // hex SHA-256 of the other three, a space between: shows damage
}

func (r record) sum() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d %s", r.Run, r.Number, r.Digest))
	return hex.EncodeToString(sum[:])
}

// Head is the relay's only memory across restarts: its last acked bag, which the first bag of the
// next run names in `after`. It is written at every ack and synced every few bags.
//
// A crash of the process loses nothing, since the page cache outlives it. A power cut loses what
// was not synced, which Allow keeps within the window that the bags declare. Losing the file
// altogether restarts the chain, which the vault reports.
type Head struct {
	logger *slog.Logger
	last   *envelope.BagRef // of the earlier run; nil where there is none

	mu      sync.Mutex
	changed *sync.Cond
	file    *os.File // nil after Close
	written uint64   // number of the bag last written, of this run
	synced  uint64   // number of the bag that a power cut would leave
	syncing bool
	broken  bool // writing or syncing failed: no promise is kept any more, and bags go on
}

// OpenHead opens or creates the head file at path and locks it; [ErrHeadLocked] if another process
// holds it. A damaged file is copied aside and the chain restarts without `after`: a relay that did
// not start would be worse, and the vault reports it anyway. That, and a missing file, are logged.
func OpenHead(path string, now func() time.Time, logger *slog.Logger) (*Head, error) {
	file, err := durable.OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("open the head file: %w", err)
	}
	h := &Head{logger: logger, file: file}
	h.changed = sync.NewCond(&h.mu)
	if err := h.load(path, now); err != nil {
		_ = file.Close()
		return nil, err
	}
	return h, nil
}

func (h *Head) load(path string, now func() time.Time) error {
	if err := unix.Flock(int(h.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return fmt.Errorf("%s: %w", path, ErrHeadLocked)
		}
		return fmt.Errorf("lock the head file: %w", err)
	}
	data, err := io.ReadAll(io.LimitReader(h.file, headBytes+1))
	if err != nil {
		return fmt.Errorf("read the head file: %w", err)
	}
	if len(data) == 0 {
		h.logger.Warn("the head file names no bag, as no ack of this relay is known: this run begins a new chain, which the vault reports "+
			"where more bags of this relay came ever than may be in flight at once", "file", path)
		return nil
	}
	if h.last, err = parseHead(data); err == nil {
		return h.file.Sync() // what was just read may still be in the page cache only
	}
	return h.beginAnew(path, now, err)
}

// beginAnew keeps a damaged head file under another name; once that is durable it empties the head.
func (h *Head) beginAnew(path string, now func() time.Time, damage error) error {
	aside := fmt.Sprintf("%s.damaged-%s", path, now().UTC().Format("20060102T150405.000000000Z"))
	kept, err := durable.Begin(aside, durable.Private)
	if err != nil {
		return fmt.Errorf("keep the damaged head file: %w", err)
	}
	if _, err := io.Copy(kept, io.NewSectionReader(h.file, 0, math.MaxInt64)); err != nil {
		return fmt.Errorf("keep the damaged head file: %w", errors.Join(err, kept.Discard()))
	}
	if err := kept.Create(); err != nil {
		return fmt.Errorf("keep the damaged head file: %w", err)
	}
	// A crash here leaves the damaged file, of which the next start keeps another copy.
	h.logger.Error("the head file is damaged: this run begins a new chain, which the vault will report as a restart without after; a copy of the damaged file is kept",
		"file", path, "kept", aside, "error", damage)
	if err := h.file.Truncate(0); err != nil {
		return fmt.Errorf("empty the damaged head file: %w", err)
	}
	return nil
}

func parseHead(data []byte) (*envelope.BagRef, error) {
	if len(data) != headBytes {
		return nil, fmt.Errorf("its length is not %d bytes", headBytes)
	}
	var r record
	if err := strictjson.Unmarshal(bytes.TrimRight(data, " \n"), &r); err != nil {
		return nil, err
	}
	if r.Sum != r.sum() || r.Number == 0 {
		return nil, errors.New("its checksum does not match its content")
	}
	return &envelope.BagRef{Run: r.Run, Number: r.Number, Digest: r.Digest}, nil
}

// Last returns the last acked bag of the earlier run, or nil.
func (h *Head) Last() *envelope.BagRef { return h.last }

// Advance writes ref, whose numbers grow, as the last acked bag, without waiting for the disk. A
// failed write is logged and costs no more than a power cut.
func (h *Head) Advance(ref envelope.BagRef) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file == nil {
		return
	}
	r := record{Run: ref.Run, Number: ref.Number, Digest: ref.Digest}
	r.Sum = r.sum()
	line, err := strictjson.Marshal(r)
	if err == nil {
		line = append(line, bytes.Repeat([]byte{' '}, headBytes-len(line)-1)...)
		_, err = h.file.WriteAt(append(line, '\n'), 0)
	}
	if err != nil {
		h.fail(err)
		return
	}
	h.written = ref.Number
	h.broken = false
}

// Allow waits until bag number may leave: until a power cut would leave a head at most window bags
// behind it. It starts syncing at half of that, so that it seldom waits.
func (h *Head) Allow(number uint64, window int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if number > h.synced+uint64(window)/2 && h.written > h.synced {
		h.sync()
	}
	for number > h.synced+uint64(window) && h.written > h.synced && !h.broken && h.file != nil {
		h.sync()
		h.changed.Wait()
	}
}

// sync syncs in the background unless that is under way. h.mu is held.
func (h *Head) sync() {
	if h.syncing || h.file == nil {
		return
	}
	h.syncing = true
	file, target := h.file, h.written
	go func() {
		err := unix.Fdatasync(int(file.Fd()))
		h.mu.Lock()
		defer h.mu.Unlock()
		h.syncing = false
		if err != nil {
			h.fail(err)
		} else {
			h.synced = max(h.synced, target)
		}
		h.changed.Broadcast()
	}()
}

func (h *Head) fail(err error) {
	if !h.broken {
		h.logger.Error("the head file cannot be written: if the relay stops now, the vault will report a restart of the chain", "error", err)
	}
	h.broken = true
	h.changed.Broadcast()
}

// Close syncs the head and unlocks it. Advance and Allow then do nothing.
func (h *Head) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	for h.syncing {
		h.changed.Wait()
	}
	if h.file == nil {
		return nil
	}
	file := h.file
	h.file = nil
	h.changed.Broadcast()
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("close the head file: %w", err)
	}
	return nil
}
