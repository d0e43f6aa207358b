// Package book keeps a simulator's memory: a file of one JSON object a line, only ever appended to,
// made durable before anything is said on its strength, and read back at the start.
package book

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"nightdrop/shared/durable"
)

// ErrLocked is returned when another process has the book open for writing.
var ErrLocked = errors.New("another simulator has this book open; stop it or name another file")

// Book is an open book. One goroutine may use it at a time.
type Book struct {
	file   *os.File
	noSync bool
}

// Open opens or creates the book at path, takes its lock and gives every whole line to apply, in
// order. A last line without a newline was never acted on: a crash cut it short, and it is removed.
// noSync leaves out the fsyncs, for simulations in which processes die and machines do not.
func Open(path string, noSync bool, apply func(line []byte) error) (*Book, error) {
	f, err := durable.OpenFile(path)
	if err != nil {
		return nil, fmt.Errorf("open book: %w", err)
	}
	b := &Book{file: f, noSync: noSync}
	if err := b.load(apply); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return b, nil
}

func (b *Book) load(apply func([]byte) error) error {
	if err := unix.Flock(int(b.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrLocked
		}
		return fmt.Errorf("lock book: %w", err)
	}
	whole, err := readLines(b.file, apply)
	if err != nil {
		return err
	}
	if err := b.file.Truncate(whole); err != nil {
		return fmt.Errorf("cut the book's torn end: %w", err)
	}
	if _, err := b.file.Seek(whole, io.SeekStart); err != nil {
		return fmt.Errorf("open book: %w", err)
	}
	return nil
}

// readLines gives the whole lines of r to apply and returns how many bytes they are.
func readLines(r io.Reader, apply func([]byte) error) (whole int64, err error) {
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return whole, nil
		}
		if err != nil {
			return 0, fmt.Errorf("read book: %w", err)
		}
		if err := apply(text); err != nil {
			return 0, fmt.Errorf("read book: line %d is not one that this simulator writes: %w", n, err)
		}
		whole += int64(len(text))
	}
}

// Append writes whole lines and makes them durable. After an error nothing is known of them: the
// book must be opened again.
func (b *Book) Append(lines []byte) error {
	if _, err := b.file.Write(lines); err != nil {
		return fmt.Errorf("write book: %w", err)
	}
	if b.noSync {
		return nil
	}
	if err := b.file.Sync(); err != nil {
		return fmt.Errorf("write book: %w", err)
	}
	return nil
}

// Close closes the file and so releases its lock.
func (b *Book) Close() error { return b.file.Close() }

// Read gives every whole line of the book at path to apply, without locking or changing it; a
// simulator may be writing to it.
func Read(path string, apply func(line []byte) error) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open book: %w", err)
	}
	defer func() { _ = f.Close() }()
	_, err = readLines(f, apply)
	return err
}
