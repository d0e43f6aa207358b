package main

import (
	"net"
	"testing"
	"time"

	"nightdrop/shared/channel"
)

// TestAStrangerDoesNotKeepTheVaultAway opens more silent connections to the embedded channel than
// the broker takes, again and again, from an address that is not the vault's.
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
	s.eventually("the vault to get in", v.Connected)
	if time.Since(began) > 4*time.Second { // the broker drops who is silent after five
		t.Error("the vault got in only when the stranger was dropped")
	}
	close(stop)
	<-done
	s.check(s.finish())
}
