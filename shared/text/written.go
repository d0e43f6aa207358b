package text

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// ErrNotWritten is returned when a command's output could not be written, as onto a full disk.
var ErrNotWritten = errors.New("the output could not be written")

// Output passes on what a command prints and remembers that it could not: a command that ends well
// has printed what it did. It is safe for concurrent use.
type Output struct {
	mu  sync.Mutex
	to  io.Writer
	err error
}

// NewOutput returns an Output that writes to a writer.
func NewOutput(to io.Writer) *Output { return &Output{to: to} }

// To is the writer below.
func (o *Output) To() io.Writer { return o.to }

// Write implements io.Writer. After an error it writes nothing more, so that no line in the middle
// is left out.
func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err != nil {
		return 0, o.err
	}
	n, err := o.to.Write(p)
	if err != nil {
		o.err = fmt.Errorf("%w: %w", ErrNotWritten, err)
	}
	return n, o.err
}

// Delivered returns nil once all that was written is where it was to go: on the disk, where that is
// a file.
func (o *Output) Delivered() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	file, ok := o.to.(*os.File)
	if o.err != nil || !ok {
		return o.err
	}
	info, err := file.Stat()
	if err == nil && info.Mode().IsRegular() {
		err = file.Sync()
	}
	if err != nil {
		o.err = fmt.Errorf("%w: %w", ErrNotWritten, err)
	}
	return o.err
}

// Result returns what a command returned, or else that its output could not be written.
func (o *Output) Result(err error) error {
	if err != nil {
		return err
	}
	return o.Delivered()
}
