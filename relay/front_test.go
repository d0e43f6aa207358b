package main

import (
	"io"
	"log/slog"
	"net"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"nightdrop/shared/channel"
)

// TestAStrangerDoesNotKeepTheVaultAway opens more silent connections to the embedded channel than the broker takes, again and again,
// from an address that is not the vault's.
func TestAStrangerDoesNotKeepTheVaultAway(t *testing.T) {
	s := newSite(t)
	s.serve()
	stranger := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		var held []net.Conn
		defer func() {
			for _, c := range held {
				_ = c.Close()
			}
		}()
		for range 600 {
			c, err := stranger.Dial("tcp", s.addresses["channel"])
			if err == nil {
				held = append(held, c)
			}
			if len(held) > 300 {
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		}
		<-stop
	}()
	time.Sleep(300 * time.Millisecond) // it has opened all that it gets
	v, err := channel.DialVault(t.Context(), channel.Options{URL: "tls://" + s.addresses["channel"], Seed: s.file("vault.nkey"), CA: s.file("tls.pem")})
	s.check(err)
	defer v.Close()
	began := time.Now()
	for !v.Connected() && time.Since(began) < 4*time.Second { // the broker drops who is silent after five
		time.Sleep(10 * time.Millisecond)
	}
	if !v.Connected() {
		t.Error("the vault does not get in")
	}
	close(stop)
	<-done
	s.check(s.finish())
}

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

// TestTheFrontOutlivesAScarcityOfFiles: whoever uses up the relay's files for a moment does not keep the vault away for ever.
func TestTheFrontOutlivesAScarcityOfFiles(t *testing.T) {
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
	f := &front{listener: outer, broker: broker.Addr().String(), logger: slog.New(slog.DiscardHandler), ended: make(chan struct{})}
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
