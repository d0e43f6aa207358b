package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// terminal is a pseudo-terminal: the test is the person and the screen.
type terminal struct {
	*os.File
	program *os.File // the other end
	mu      sync.Mutex
	screen  bytes.Buffer
}

func newTerminal(t *testing.T) *terminal {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	must(err)
	must(unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	must(err)
	p := &terminal{File: os.NewFile(uintptr(fd), "person")}
	t.Cleanup(func() { _ = p.Close() })
	p.program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(err)
	t.Cleanup(func() { _ = p.program.Close() })
	go func() {
		buffer := make([]byte, 4096)
		for {
			n, err := p.Read(buffer)
			p.mu.Lock()
			p.screen.Write(buffer[:n])
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return p
}

func (p *terminal) seen() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.screen.String()
}

// left is what the next program on the terminal would read.
func (p *terminal) left(t *testing.T) string {
	t.Helper()
	fd := int(p.program.Fd())
	state, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	if state.Lflag&unix.ECHO == 0 || state.Lflag&unix.ICANON == 0 {
		t.Errorf("the terminal was left without echo or lines: %#x", state.Lflag)
	}
	raw := *state
	raw.Lflag &^= unix.ICANON
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 0, 5
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, &raw); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 8192)
	n, err := unix.Read(fd, buffer)
	if err != nil {
		t.Fatal(err)
	}
	return string(buffer[:n])
}

// unlockAt starts unlock as a shell would, on a terminal.
func unlockAt(t *testing.T, p *terminal, dir string) (wait func() int) {
	t.Helper()
	cmd := exec.Command("vault", "unlock", "--dir", dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = p.program, p.program, p.program
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it may have ended
	return func() int {
		t.Helper()
		defer func() {
			if t.Failed() {
				t.Logf("the screen: %q", p.seen())
			}
		}()
		err := waittest.Receive(t, "unlock to end", ended)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return exit.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		return 0
	}
}

func (p *terminal) await(t *testing.T, text string, times int) {
	t.Helper()
	waittest.For(t, "the screen to show "+text, func() bool { return strings.Count(p.seen(), text) >= times })
}

func (p *terminal) paste(t *testing.T, text string) {
	t.Helper()
	if _, err := p.WriteString(text); err != nil {
		t.Fatal(err)
	}
}

// served is a vault of 2 of 3 shares whose daemon runs, locked.
func served(t *testing.T) (s *site, shares []string) {
	t.Helper()
	s = newSite(t)
	daemon := exec.Command("vault", "serve", "--dir", s.dir)
	s.must(daemon.Start())
	t.Cleanup(func() {
		_ = daemon.Process.Signal(syscall.SIGTERM) // it may be gone
		_ = daemon.Wait()
	})
	client := control.NewClient(filepath.Join(s.dir, "vault.sock"), "")
	waittest.For(t, "the daemon", func() bool {
		_, err := client.Status(t.Context())
		return err == nil
	})
	for _, path := range s.shares {
		line, err := readShare(path)
		s.must(err)
		shares = append(shares, string(line))
	}
	return s, shares
}

// mistyped is a share with one character wrong.
func mistyped(share string) string {
	at := len(share) - 20
	return share[:at] + string(rune('0'+(share[at]-'0'+1)%8)) + share[at+1:]
}

// TestAMistypedShareIsAskedForAgain: by its number; what was given before stands; and a vault is
// unlocked at the end.
func TestAMistypedShareIsAskedForAgain(t *testing.T) {
	s, shares := served(t)
	p := newTerminal(t)
	wait := unlockAt(t, p, s.dir)
	for _, step := range []struct {
		prompt string
		times  int
		typed  string
	}{
		{"share 1 of 2: ", 1, mistyped(shares[0])},
		{"give share 1 again", 1, ""},
		{"share 1 of 2: ", 2, shares[0]},
		{"share 2 of 2: ", 1, mistyped(shares[1])},
		{"give share 2 again", 1, ""},
		{"share 2 of 2: ", 2, shares[0]}, // the first once more
		{"number 1 was given already", 1, ""},
		{"share 2 of 2: ", 3, "nonsense"},
		{"share 2 of 2: ", 4, shares[2]},
	} {
		p.await(t, step.prompt, step.times)
		if step.typed != "" {
			p.paste(t, step.typed+"\n")
		}
	}
	if code := wait(); code != 0 {
		t.Errorf("exit %d; the screen: %q", code, p.seen())
	}
	p.await(t, "vault.example.com unlocked", 1)
	if left := p.left(t); left != "" {
		t.Errorf("%q is left", left)
	}
	for _, share := range shares {
		if strings.Contains(p.seen(), share[len(share)-30:]) {
			t.Error("a share was shown")
		}
	}
}

// TestWhatIsPastedReachesNoShell: several lines at once, the first of them bad, or more than are
// asked for, or none asked for at all.
func TestWhatIsPastedReachesNoShell(t *testing.T) {
	s, shares := served(t)
	all := strings.Join(shares, "\n") + "\nhalf a line of " + shares[0]
	t.Run("the first is bad", func(t *testing.T) {
		p := newTerminal(t)
		wait := unlockAt(t, p, s.dir)
		p.await(t, "share 1 of 2: ", 1)
		p.paste(t, mistyped(shares[0])+"\n"+all)
		p.await(t, "share 1 of 2: ", 2)
		p.paste(t, "\x03") // they give up
		if code := wait(); code == 0 {
			t.Errorf("unlocked; the screen: %q", p.seen())
		}
		if left := p.left(t); left != "" {
			t.Errorf("%d bytes are left to the shell", len(left))
		}
	})
	t.Run("no daemon", func(t *testing.T) {
		p := newTerminal(t)
		dir := filepath.Join(t.TempDir(), "v")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, settings.File), settings.Reference, 0o600); err != nil {
			t.Fatal(err)
		}
		p.paste(t, all) // pasted with the command
		if code := unlockAt(t, p, dir)(); code != 8 {
			t.Errorf("exit %d; the screen: %q", code, p.seen())
		}
		if left := p.left(t); left != "" {
			t.Errorf("%d bytes are left to the shell", len(left))
		}
	})
	t.Run("more than are asked for", func(t *testing.T) {
		p := newTerminal(t)
		wait := unlockAt(t, p, s.dir)
		p.await(t, "share 1 of 2: ", 1)
		p.paste(t, all)
		if code := wait(); code != 0 {
			t.Errorf("exit %d; the screen: %q", code, p.seen())
		}
		p.await(t, "vault.example.com unlocked", 1)
		if left := p.left(t); left != "" {
			t.Errorf("%d bytes are left to the shell", len(left))
		}
	})
}
