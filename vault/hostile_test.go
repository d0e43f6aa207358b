package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// daemonProcess is a daemon that runs as a program of its own.
type daemonProcess struct {
	*control.Client
	process *exec.Cmd
	gone    chan struct{} // closed at its end
	mu      sync.Mutex
	log     bytes.Buffer
	shares  [][]byte
}

func (d *daemonProcess) Write(p []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.Write(p)
}

func (d *daemonProcess) text() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.log.String()
}

// serveFrom makes a vault with its channel at the site's address, and starts its daemon, locked.
func serveFrom(t *testing.T, site *brokertest.Site, address string) *daemonProcess {
	t.Helper()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	if out, err := exec.Command("vault", "init", "--dir", in("v"), "--name", "vault.example.com", "--shares", "3", "--threshold", "2",
		"--shares-to", strings.Join([]string{in("a"), in("b"), in("c")}, ","), "--shares-on-own-disk").CombinedOutput(); err != nil {
		t.Fatalf("init: %v: %s", err, out)
	}
	d := &daemonProcess{gone: make(chan struct{}), Client: control.NewClient(in("v/vault.sock"), "")}
	for _, custodian := range []string{"a", "b"} {
		found, err := filepath.Glob(in(custodian + "/*"))
		if err != nil || len(found) != 1 {
			t.Fatalf("share of %s: %v, %v", custodian, found, err)
		}
		share, err := readShare(found[0])
		if err != nil {
			t.Fatal(err)
		}
		d.shares = append(d.shares, share)
	}
	written, err := os.ReadFile(in("v/" + settings.File))
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(written), `url = ""`, fmt.Sprintf("url = %q", "tls://"+address), 1)
	text = strings.Replace(text, `ca = ""`, fmt.Sprintf("ca = %q", site.File("broker.pem")), 1)
	text = strings.Replace(text, `address = ""`, `address = "127.0.0.1:9"`, 1)
	if err := os.WriteFile(in("v/"+settings.File), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := os.ReadFile(in("v/channel.nkey.pub"))
	if err != nil {
		t.Fatal(err)
	}
	site.Config.VaultNkey = strings.TrimSpace(string(public))
	d.process = exec.Command("vault", "serve", "--dir", in("v"))
	d.process.Stderr = d
	if err := d.process.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = d.process.Wait() // its log tells
		close(d.gone)
	}()
	t.Cleanup(func() {
		_ = d.process.Process.Signal(syscall.SIGTERM) // it may be gone
		waittest.Receive(t, "the daemon to stop", d.gone)
	})
	return d
}

// lives fails the test where the daemon has ended.
func (d *daemonProcess) lives(t *testing.T) bool {
	t.Helper()
	select {
	case <-d.gone:
		t.Fatalf("the vault is gone: %.3000s", d.text())
	default:
	}
	return true
}

// peak is the most memory that the daemon had at any time, in 10^6 bytes.
func (d *daemonProcess) peak(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if text, found := strings.CutPrefix(line, "VmHWM:"); found {
			kilobytes, err := strconv.Atoi(strings.Fields(text)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kilobytes * 1024 / 1_000_000
		}
	}
	t.Fatal("the process's memory is not told")
	return 0
}

// TestUnlockedVaultOutlivesAHostileBroker: whoever owns the relay's host says what they like to the
// unlocked vault, which stays unlocked, keeps its memory in bounds, dials nobody else, and works
// with an honest broker as soon as there is one.
func TestUnlockedVaultOutlivesAHostileBroker(t *testing.T) {
	canary, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer canary.Close()
	var dialled atomic.Int64
	go func() {
		for {
			conn, err := canary.Accept()
			if err != nil {
				return
			}
			dialled.Add(1)
			_ = conn.Close()
		}
	}()
	attacks := []string{
		"MSG x 1 9223372036854775807\r\n", "MSG x 1 99999999999\r\n", "HMSG x 1 99999999999 99999999999\r\n", "-ERR 'go away'\r\n",
		strings.Repeat("INFO {\"a\":\""+strings.Repeat("a", 30_000)+"\"}\r\n", 2000), strings.Repeat("INFO {", 10_000_000),
		strings.Repeat("-ERR 'Permissions Violation for Publish to \"x\"'\r\n", 500_000), strings.Repeat("PING\r\n", 1_000_000),
	}
	site := brokertest.New(t)
	h := site.Hostile(func(p *brokertest.Peer) {
		if p.Greet(fmt.Sprintf(`,"connect_urls":[%q]`, canary.Addr())) == nil {
			_ = p.Say(attacks[(p.Number-1)%int64(len(attacks))])
		}
		_, _ = p.Next("nothing that a client says") // until it hangs up
	})
	d := serveFrom(t, site, h.Address)
	waittest.For(t, "the daemon", func() bool {
		_, err := d.Status(t.Context())
		return err == nil && d.lives(t)
	})
	if _, err := d.Unlock(t.Context(), d.shares, control.UnlockOptions{}); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "every attack", func() bool { return h.Accepted.Load() > int64(len(attacks)) && d.lives(t) })
	status, err := d.Status(t.Context())
	if err != nil || status.Locked {
		t.Fatalf("status %+v, %v", status, err)
	}
	if !strings.Contains(d.text(), "broker "+h.Address) {
		t.Errorf("the log does not name the broker: %.2000s", d.text())
	}
	if n := strings.Count(d.text(), "\n"); n > 100 {
		t.Errorf("%d log lines", n)
	}
	if peak := d.peak(t); peak > 400 {
		t.Errorf("the vault took %d MB", peak)
	}
	if n := dialled.Load(); n != 0 {
		t.Errorf("an address that only the broker named was dialled %d times", n)
	}
	h.Close()
	site.Start()
	waittest.For(t, "the honest broker", func() bool {
		status, err := d.Status(t.Context())
		return err == nil && status.Channel == "connected" && d.lives(t)
	})
}
