package host

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// ErrLocked is returned when another process has the book open for writing.
var ErrLocked = errors.New("another simulator has this book open; stop it or name another file with --book")

// maxGroup bounds how many operations share one fsync.
const maxGroup = 512

// book is the host's memory: lines of JSON in a file, fsynced in groups before any answer, read back at the start.
type book struct {
	file   *os.File
	tasks  chan task
	failed chan error // one value: the file could not be written; nothing is taken after it

	mu      sync.Mutex // guards account between the writer and readers
	account *account
}

// task is one operation: decide looks at the account and returns the line to book; done runs once that line is on disk.
type task struct {
	decide func(*account) line
	done   func()
}

// openBook opens or creates the book at path, takes its lock and reads it. A last line without a newline was never answered: a crash
// cut it short, and it is removed.
func openBook(path string) (*book, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open book: %w", err)
	}
	b := &book{file: f, tasks: make(chan task, maxGroup), failed: make(chan error, 1)}
	if err := b.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return b, nil
}

func (b *book) load() error {
	if err := unix.Flock(int(b.file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		if errors.Is(err, unix.EWOULDBLOCK) {
			return ErrLocked
		}
		return fmt.Errorf("lock book: %w", err)
	}
	account, whole, err := readLines(b.file)
	if err != nil {
		return err
	}
	if err := b.file.Truncate(whole); err != nil {
		return fmt.Errorf("cut the book's torn end: %w", err)
	}
	if _, err := b.file.Seek(whole, io.SeekStart); err != nil {
		return fmt.Errorf("open book: %w", err)
	}
	b.account = account
	return nil
}

// readLines folds the whole lines of r and returns how many bytes they are.
func readLines(r io.Reader) (a *account, whole int64, err error) {
	a = newAccount()
	lines := bufio.NewReader(r)
	for n := 1; ; n++ {
		text, err := lines.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return a, whole, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read book: %w", err)
		}
		var l line
		if err := json.Unmarshal(text, &l); err != nil {
			return nil, 0, fmt.Errorf("read book: line %d is not one that the simulator wrote: %w", n, err)
		}
		a.apply(l)
		whole += int64(len(text))
	}
}

// ReadBook reads the book at path without locking or changing it; a simulator may be writing to it.
func ReadBook(path string) (Statement, error) {
	f, err := os.Open(path)
	if err != nil {
		return Statement{}, fmt.Errorf("open book: %w", err)
	}
	defer func() { _ = f.Close() }()
	a, _, err := readLines(f)
	if err != nil {
		return Statement{}, err
	}
	return a.statement(), nil
}

// run takes tasks until the channel is closed. Those that wait are decided in order, written together, made durable by one fsync,
// and then done.
func (b *book) run() {
	for first := range b.tasks {
		group := b.gather(first)
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		err := b.decide(group, encoder)
		if err == nil {
			_, err = b.file.Write(text.Bytes())
		}
		if err == nil {
			err = b.file.Sync()
		}
		if err != nil {
			b.failed <- fmt.Errorf("write book: %w", err)
			return
		}
		// A crash here means: booked and not answered. The asker does not know, and reverses.
		for _, t := range group {
			t.done()
		}
	}
}

func (b *book) gather(first task) []task {
	group := []task{first}
	for len(group) < maxGroup {
		select {
		case t, open := <-b.tasks:
			if !open {
				return group
			}
			group = append(group, t)
		default:
			return group
		}
	}
	return group
}

func (b *book) decide(group []task, encoder *json.Encoder) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, t := range group {
		l := t.decide(b.account)
		b.account.apply(l)
		if err := encoder.Encode(l); err != nil {
			return err
		}
	}
	return nil
}

// statement returns what the book tells now, what is being written included.
func (b *book) statement() Statement {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.account.statement()
}
