package broker_test

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"

	"nightdrop/shared/channel/broker/brokertest"
	"nightdrop/shared/waittest"
)

// lockedBuffer is a buffer that a logger of several goroutines writes to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// TestStrangersFillNoLog: connections that are refused, for they speak no TLS or have no key of
// ours, make some dozens of lines an hour.
func TestStrangersFillNoLog(t *testing.T) {
	s := brokertest.New(t)
	log := &lockedBuffer{}
	s.Config.Logger = slog.New(slog.NewTextHandler(log, nil))
	s.Start()
	for range 300 {
		plain, err := net.Dial("tcp", s.Config.Listen)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = plain.Write([]byte("no TLS at all\r\n")) // what comes of it is the broker's to tell
		_ = plain.Close()
	}
	for i := range 300 {
		// a stranger's
		conn, err := tls.Dial("tcp", s.Config.Listen, &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "CONNECT {\"verbose\":false,\"nkey\":\"U%c%c\",\"sig\":\"x\"}\r\nPING\r\n", 'A'+i%26, 'A'+i/26)
		_, _ = conn.Read(make([]byte, 8192)) // INFO
		_ = conn.Close()
	}
	waittest.For(t, "the broker to tell of strangers", func() bool {
		return strings.Contains(log.String(), "authentication error")
	})
	if n := strings.Count(log.String(), "\n"); n > 90 { // with as many kinds as are kept
		t.Errorf("%d log lines tell of 600 strangers:\n%.2000s", n, log.String())
	}
}
