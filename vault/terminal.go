package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// hiddenTerminal is a terminal that shows nothing of what is typed, for secrets. It is for one
// goroutine.
type hiddenTerminal struct {
	fd     int
	before unix.Termios
}

const (
	// quiet is how long nothing more must come before what was pasted is taken to be over:
	// terminals write a paste within milliseconds, and one through a slow line in pieces.
	quiet = 300 * time.Millisecond
	// maxDrain bounds the wait for a paste to be over: somebody may lean on a key.
	maxDrain = 5 * time.Second
	// lookAround is how often a wait for input looks whether it was broken off.
	lookAround = 100 * time.Millisecond
)

// hide takes a terminal and stops its echo. Call show afterwards.
func hide(file *os.File) (*hiddenTerminal, error) {
	t := &hiddenTerminal{fd: int(file.Fd())}
	state, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	t.before = *state
	state.Lflag &^= unix.ECHO | unix.ECHOE | unix.ECHOK | unix.ECHONL
	state.Lflag |= unix.ICANON | unix.ISIG
	state.Iflag |= unix.ICRNL
	if err := unix.IoctlSetTermios(t.fd, unix.TCSETS, state); err != nil {
		return nil, fmt.Errorf("prepare the terminal: %w", err)
	}
	return t, nil
}

// show throws away what was not read and restores the terminal.
func (t *hiddenTerminal) show() {
	t.drain()
	// TCSETSF throws away what came since, in the same step as the echo comes back.
	// it may be gone: nobody reads it
	_ = unix.IoctlSetTermios(t.fd, unix.TCSETSF, &t.before)
}

// drain throws away what was typed or pasted and not read, until nothing more comes.
func (t *hiddenTerminal) drain() {
	for end := time.Now().Add(maxDrain); time.Now().Before(end); {
		if unix.IoctlSetInt(t.fd, unix.TCFLSH, unix.TCIFLUSH) != nil {
			return
		}
		if more, err := t.poll(quiet, false); err != nil || !more {
			return
		}
	}
}

// poll waits for input: for a whole line or, in raw mode, for a byte.
func (t *hiddenTerminal) poll(wait time.Duration, whole bool) (bool, error) {
	if !whole {
		restore, err := t.raw()
		if err != nil {
			return false, err
		}
		defer restore()
	}
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(t.fd), Events: unix.POLLIN}}, int(wait.Milliseconds()))
	if errors.Is(err, unix.EINTR) {
		return !whole, nil // a read would block
	}
	return n > 0, err
}

// raw has half a line count as input, as a paste without a newline at its end leaves it.
func (t *hiddenTerminal) raw() (restore func(), err error) {
	state, err := unix.IoctlGetTermios(t.fd, unix.TCGETS)
	if err != nil {
		return nil, err
	}
	raw := *state
	raw.Lflag &^= unix.ICANON
	if err := unix.IoctlSetTermios(t.fd, unix.TCSETS, &raw); err != nil {
		return nil, err
	}
	return func() { _ = unix.IoctlSetTermios(t.fd, unix.TCSETS, state) }, nil // as above
}

// line reads a line without its end and white space around it. It ends with ctx's error, and with
// io.EOF where the terminal is gone. The caller clears the line.
func (t *hiddenTerminal) line(ctx context.Context) ([]byte, error) {
	buffer := make([]byte, maxShareBytes) // the kernel gives at most 4,095 bytes of a line
	for ctx.Err() == nil {
		ready, err := t.poll(lookAround, true)
		if err != nil {
			return nil, err
		}
		if !ready {
			continue
		}
		n, err := unix.Read(t.fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case err != nil:
			return nil, err
		case n == 0:
			return nil, io.EOF
		}
		return bytes.TrimSpace(buffer[:n]), nil
	}
	return nil, ctx.Err()
}
