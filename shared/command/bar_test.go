package command

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

// TestWorkIsNeverSilent: where there is no terminal a line comes every 5 seconds, also of work that
// does not say how far it is; work that takes less says nothing.
func TestWorkIsNeverSilent(t *testing.T) {
	for _, c := range []struct {
		name string
		work func(b *Bar)
		want string
	}{
		{"quick", func(b *Bar) { b.Set(1, 2); time.Sleep(4 * time.Second) }, ""},
		{"counted", func(b *Bar) {
			for range 3 {
				time.Sleep(4 * time.Second)
				b.Add(1500, 6000)
			}
		}, "working: 1,500 of 6,000, for 5s so far\nworking: 3,000 of 6,000, for 10s so far\n"},
		{"without an end", func(b *Bar) { b.Set(1234567, -1); time.Sleep(6 * time.Second) }, "working: 1,234,567, for 5s so far\n"},
		{"it says nothing itself", func(*Bar) { time.Sleep(11 * time.Second) }, "working: for 5s so far\nworking: for 10s so far\n"},
		{"closed", func(b *Bar) { b.Close(); time.Sleep(time.Minute) }, ""},
	} {
		synctest.Test(t, func(t *testing.T) {
			var out bytes.Buffer
			bar := NewBar(&out, "working")
			c.work(bar)
			bar.Close()
			if out.String() != c.want {
				t.Errorf("%s: %q, want %q", c.name, &out, c.want)
			}
		})
	}
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		bar := NewByteBar(&out, "scanning")
		bar.Set(3<<20, 1<<30)
		time.Sleep(6 * time.Second)
		bar.Close()
		if want := "scanning: 3.0 MiB of 1.0 GiB, for 5s so far\n"; out.String() != want {
			t.Errorf("%q, want %q", &out, want)
		}
	})
}

// TestABarOnATerminal appears after a second, also where nobody says how far the work is, and is
// gone at the end.
func TestABarOnATerminal(t *testing.T) {
	master, terminal := pseudoTerminal(t)
	bar := NewBar(terminal, "working")
	buffer := make([]byte, 4096)
	n, err := master.Read(buffer)
	shown := string(buffer[:n])
	if err != nil || !strings.Contains(shown, "working") || strings.Contains(shown, "\n") || time.Since(bar.began) < showAfter {
		t.Errorf("after %s: %q, %v", time.Since(bar.began), shown, err)
	}
	bar.Set(1, 4)
	time.Sleep(200 * time.Millisecond)
	bar.Set(2, 4)
	bar.Close()
	if err := terminal.Close(); err != nil {
		t.Fatal(err)
	}
	rest, _ := io.ReadAll(master) // until the terminal is gone, which is an error
	if !strings.Contains(string(rest), "50%") || strings.Contains(string(rest), "\n") {
		t.Errorf("half of it: %q", rest)
	}
}

// pseudoTerminal returns both ends of a terminal.
func pseudoTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	fd := int(master.Fd())
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile("/dev/pts/"+strconv.Itoa(number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = terminal.Close(), master.Close() })
	return master, terminal
}
