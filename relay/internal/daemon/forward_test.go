package daemon

import (
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// scarce is a listener of a process that has, at first, as many files open as it may.
type scarce struct {
	net.Listener
	failures atomic.Int32
}

func (s *scarce) Accept() (net.Conn, error) {
	if s.failures.Add(-1) >= 0 {
		return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
	}
	return s.Listener.Accept()
}

// TestTheForwarderOutlivesAScarcityOfFiles: whoever uses up the relay's files for a moment does not
// keep the vault away for ever.
func TestTheForwarderOutlivesAScarcityOfFiles(t *testing.T) {
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	broker, outer := listen(), &scarce{Listener: listen()}
	outer.failures.Store(3)
	go func() {
		if c, err := broker.Accept(); err == nil {
			_, _ = io.WriteString(c, "INFO")
			_ = c.Close()
		}
	}()
	f := &forwarder{listener: outer, broker: broker.Addr().String(), logger: slog.New(slog.DiscardHandler), ended: make(chan struct{})}
	f.passing.Go(f.accept)
	c, err := net.DialTimeout("tcp", outer.Addr().String(), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(5 * time.Second)) // a failure shows in what is read
	if said, err := io.ReadAll(c); string(said) != "INFO" {
		t.Errorf("the broker's word was %q, %v", said, err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	f.end()
}
