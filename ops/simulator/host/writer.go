package host

import (
	"bytes"
	"encoding/json"
	"errors"
	"sync"

	"nightdrop/ops/simulator/book"
)

// ErrCrash is returned when the host has crashed because its adversary says so: what was booked is
// on disk and not answered. It may be started again on its book.
var ErrCrash = errors.New("the host has crashed as its adversary decided; start it again on its book")

// maxGroup bounds how many operations share one fsync.
const maxGroup = 512

// writer is the host's memory: its account in a book, written in groups before any answer.
type writer struct {
	book   *book.Book
	tasks  chan task
	failed chan error // one value: why nothing is taken any more

	mu      sync.Mutex // guards account between the writer and readers
	account *account
}

// task is one operation: decide looks at the account and returns the line to book; done runs once
// that line is on disk, unless the host crashes just then.
type task struct {
	decide func(*account) line
	done   func()
	crash  bool
}

// openWriter opens or creates the book at path; saw is called for every line in it.
func openWriter(path string, noSync bool, saw func(line)) (*writer, error) {
	w := &writer{tasks: make(chan task, maxGroup), failed: make(chan error, 1), account: newAccount()}
	b, err := book.Open(path, noSync, func(text []byte) error { return w.account.read(text, saw) })
	if err != nil {
		return nil, err
	}
	w.book = b
	return w, nil
}

// ReadBook reads the book at path without locking or changing it; a simulator may be writing to it.
func ReadBook(path string) (Statement, error) {
	a := newAccount()
	if err := book.Read(path, func(text []byte) error { return a.read(text, func(line) {}) }); err != nil {
		return Statement{}, err
	}
	return a.statement(), nil
}

// run takes tasks until the channel is closed. Those that wait are decided in order, written
// together, made durable by one fsync, and then done.
func (w *writer) run() {
	for first := range w.tasks {
		group := w.gather(first)
		text, err := w.decide(group)
		if err == nil {
			err = w.book.Append(text)
		}
		for _, t := range group {
			if err == nil && t.crash {
				err = ErrCrash
			}
		}
		if err != nil {
			w.failed <- err
			return
		}
		// A crash here means: booked and not answered. The asker does not know, and reverses or
		// repeats.
		for _, t := range group {
			t.done()
		}
	}
}

func (w *writer) gather(first task) []task {
	group := []task{first}
	for len(group) < maxGroup {
		select {
		case t, open := <-w.tasks:
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

func (w *writer) decide(group []task) ([]byte, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	for _, t := range group {
		l := t.decide(w.account)
		if err := w.account.apply(l); err != nil {
			return nil, err
		}
		if err := encoder.Encode(l); err != nil {
			return nil, err
		}
	}
	return text.Bytes(), nil
}

// statement returns what the book holds now, what is being written included.
func (w *writer) statement() Statement {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.account.statement()
}
