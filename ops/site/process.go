package site

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// Process is one running program of the site. Its output goes to a log file that its restarts
// append to.
type Process struct {
	Name string
	Log  string // path

	cmd  *exec.Cmd
	done chan struct{}
	err  error // of Wait, once done is closed
}

// start runs a program in dir.
func start(name, dir, log string, command []string) (*Process, error) {
	file, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()                              // the child has its own
	cmd := exec.Command(command[0], command[1:]...) //nolint:gosec // the site's own binaries
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, file, file
	// The child does not outlive whoever put up the site, and a terminal's ^C reaches only us, who
	// stop it in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{Name: name, Log: log, cmd: cmd, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Pid is the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Running reports whether the process has not ended.
func (p *Process) Running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// Kill is kill -9; it returns when the process is gone.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Signal sends a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }

// stopGrace is how long a graceful stop may take.
const stopGrace = 20 * time.Second

// Stop asks the process to end, and waits. It fails if the process did not end well by itself.
func (p *Process) Stop() error {
	if !p.Running() {
		return p.ended()
	}
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.done:
		return p.ended()
	case <-time.After(stopGrace):
		p.Kill()
		return fmt.Errorf("%s did not stop within %s: see %s", p.Name, stopGrace, p.Log)
	}
}

func (p *Process) ended() error {
	if p.err != nil {
		return fmt.Errorf("%s ended: %w (see %s)", p.Name, p.err, p.Log)
	}
	return nil
}

// tailLines is how much of a log is shown where its program failed.
const tailLines = 20

// Tail is the end of the log.
func (p *Process) Tail() string { return Tail(p.Log) }

// Tail is the end of a log file, empty where there is none.
func Tail(path string) string {
	text, _ := os.ReadFile(path)
	all := strings.SplitAfter(string(text), "\n")
	return strings.Join(all[max(0, len(all)-tailLines-1):], "")
}

// pollPause is how often a condition is looked at.
const pollPause = 20 * time.Millisecond

// await polls until ready returns nil, the process ends, or the time is up.
func (p *Process) await(ctx context.Context, limit time.Duration, ready func() error) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-p.done:
			return errors.Join(fmt.Errorf("%s ended before it was ready (see %s)", p.Name, p.Log), p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s: %w (see %s)", p.Name, limit, err, p.Log)
		case <-time.After(pollPause):
		}
	}
}
