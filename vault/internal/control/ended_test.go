package control

import (
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
)

// TestAVaultThatEndsBeforeItAnswers: whoever asked it is sent to its log, and not told to start it
// again before that is read.
func TestAVaultThatEndsBeforeItAnswers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "vault.sock")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	go func() {
		for {
			conn, err := socket.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 1024))
			_ = conn.Close()
		}
	}()
	err = NewClient(path, "").Lock(t.Context())
	told, ok := errors.AsType[*Error](err)
	if !ok || told.Code != CodeUnavailable || !strings.Contains(told.Detail, "its log says why") || !strings.Contains(told.Detail, path) {
		t.Errorf("Lock: %v", err)
	}
}
