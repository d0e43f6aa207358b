package spill

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"nightdrop/vault/internal/quickjson"
)

// records is a file of values that only grows and has no name, so that nothing of it remains. One
// goroutine appends, another reads what was flushed before.
//
// A record is the place of an earlier record, or 0 (4 bytes), the length of the value (4 bytes,
// both little endian), the value, and zeros up to a multiple of 16 bytes. A place is counted in
// these, from 1.
type records[V any] struct {
	form    Form[V]
	file    *os.File
	end     int64  // of the file
	buffer  []byte // to be written there
	block   []byte // read last, from blockAt on
	blockAt int64
}

// Form is how values are written: functions that append a value and that read one.
type Form[V any] struct {
	Append func(dst []byte, v *V) ([]byte, error)
	Read   func(text string, v *V) error // v may keep parts of text
}

// JSON is for values that are few.
func JSON[V any]() Form[V] {
	return Form[V]{quickjson.Append[V], func(text string, v *V) error { return quickjson.Unmarshal([]byte(text), v) }}
}

const (
	recordHead = 8
	recordUnit = 16
	// bytes that places can name, with room for what is being written
	maxRecords  = 1<<32*recordUnit - 1<<30
	aheadBytes  = 4 << 10   // that are read together
	flushBytes  = 64 << 10  // that are written together
	stretchSize = 256 << 10 // of what is decoded together
	stretchRoom = 4 << 10   // of it for the last record
)

func newRecords[V any](f Form[V]) (*records[V], error) {
	file, err := os.CreateTemp("", "nightdrop-replay-*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("a file for what does not fit into memory: %w", err)
	}
	if err := os.Remove(file.Name()); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &records[V]{form: f, file: file, end: recordUnit}, nil // so that no place is 0
}

func (r *records[V]) close() error { return r.file.Close() }

// append adds a record and returns its place, where it can be read after a flush.
func (r *records[V]) append(earlier uint32, v *V) (place uint32, err error) {
	at := r.end + int64(len(r.buffer))
	r.buffer = binary.LittleEndian.AppendUint32(r.buffer, earlier)
	length := len(r.buffer)
	if r.buffer, err = r.form.Append(append(r.buffer, 0, 0, 0, 0), v); err != nil {
		return 0, err
	}
	binary.LittleEndian.PutUint32(r.buffer[length:], uint32(len(r.buffer)-length-4))
	for len(r.buffer)%recordUnit != 0 {
		r.buffer = append(r.buffer, 0)
	}
	if len(r.buffer) >= flushBytes {
		err = r.flush()
	}
	return uint32(at / recordUnit), err
}

func (r *records[V]) flush() error {
	if r.end > maxRecords {
		return errors.New("more payments or bags than a replay can hold: replay in parts, each --from the state that the one before saved (--state)")
	}
	n, err := r.file.WriteAt(r.buffer, r.end)
	r.end += int64(n)
	r.buffer = r.buffer[:0]
	return err
}

// read reads the value of the record at a place into v, and returns the place of the earlier one.
func (r *records[V]) read(place uint32, v *V) (earlier uint32, err error) {
	at := int64(place) * recordUnit
	head, err := r.peek(at, recordHead)
	if err != nil {
		return 0, err
	}
	earlier, length := binary.LittleEndian.Uint32(head), int(binary.LittleEndian.Uint32(head[4:]))
	record, err := r.peek(at, recordHead+length)
	if err != nil {
		return 0, err
	}
	return earlier, r.form.Read(string(record[recordHead:]), v)
}

// peek returns n bytes of the file. It reads ahead, as what is read together was mostly written
// together, but never past what was there then.
func (r *records[V]) peek(at int64, n int) ([]byte, error) {
	if at < r.blockAt || at+int64(n) > r.blockAt+int64(len(r.block)) {
		if want := max(n, aheadBytes); cap(r.block) < want {
			r.block = make([]byte, want)
		}
		read, err := r.file.ReadAt(r.block[:cap(r.block)], at)
		if err != nil && !errors.Is(err, io.EOF) || read < n {
			r.block = r.block[:0]
			return nil, errors.Join(err, io.ErrUnexpectedEOF)
		}
		r.block, r.blockAt = r.block[:read], at
	}
	return r.block[at-r.blockAt:][:n], nil
}

// stretch is some records on their way.
type stretch[V any] struct {
	raw    []byte
	places []uint32
	ends   []int // of the records in raw
	values []V
	err    error
	ready  chan struct{}
}

// each calls fn with every record that was flushed, in order, decoded side by side. A value is fn's
// until it returns.
func (r *records[V]) each(fn func(place uint32, v *V) error) error {
	var decoding errgroup.Group
	decoding.SetLimit(runtime.GOMAXPROCS(0))
	defer func() { _ = decoding.Wait() }()
	var reader sync.WaitGroup
	defer reader.Wait() // before decoding.Wait: it begins what that waits for
	stop := make(chan struct{})
	defer close(stop)
	stretches := make(chan *stretch[V], runtime.GOMAXPROCS(0))
	var reading error
	reader.Go(func() {
		defer close(stretches)
		reading = r.stretches(func(s *stretch[V]) bool {
			select {
			case stretches <- s:
				decoding.Go(func() error { s.decode(r.form.Read); return nil })
				return true
			case <-stop:
				return false
			}
		})
	})
	for s := range stretches {
		<-s.ready
		if s.err != nil {
			return s.err
		}
		for i := range s.values {
			if err := fn(s.places[i], &s.values[i]); err != nil {
				return err
			}
		}
	}
	return reading
}

// stretches cuts the file into stretches of whole records, as long as send takes them.
func (r *records[V]) stretches(send func(*stretch[V]) bool) error {
	in := bufio.NewReader(io.NewSectionReader(r.file, recordUnit, r.end-recordUnit))
	for at := int64(recordUnit); at < r.end; {
		s := &stretch[V]{raw: make([]byte, 0, stretchSize), ready: make(chan struct{})}
		for at < r.end && len(s.raw) < stretchSize-stretchRoom {
			var head [recordHead]byte
			if _, err := io.ReadFull(in, head[:]); err != nil {
				return err
			}
			length := int(binary.LittleEndian.Uint32(head[4:]))
			whole := (recordHead + length + recordUnit - 1) / recordUnit * recordUnit
			from := len(s.raw)
			s.raw = slices.Grow(s.raw, whole-recordHead)[:from+whole-recordHead]
			if _, err := io.ReadFull(in, s.raw[from:]); err != nil {
				return err
			}
			s.raw = s.raw[:from+length]
			s.places, s.ends = append(s.places, uint32(at/recordUnit)), append(s.ends, len(s.raw))
			at += int64(whole)
		}
		if !send(s) {
			return nil
		}
	}
	return nil
}

func (s *stretch[V]) decode(read func(string, *V) error) {
	defer close(s.ready)
	s.values = make([]V, len(s.ends))
	text, from := string(s.raw), 0
	for i, end := range s.ends {
		if s.err = read(text[from:end], &s.values[i]); s.err != nil {
			return
		}
		from = end
	}
}
