package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// TestALongUnlockIsNotSilentInAPipe: a daemon that rebuilds its ledger for longer than 5 seconds
// has the command line say how far it is, on standard error, where there is no terminal.
func TestALongUnlockIsNotSilentInAPipe(t *testing.T) {
	dir := t.TempDir()
	if err := durable.Create(filepath.Join(dir, settings.File), settings.Reference); err != nil {
		t.Fatal(err)
	}
	share := filepath.Join(dir, "share")
	if err := os.WriteFile(share, []byte("share\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "vault.sock"))
	if err != nil {
		t.Fatal(err)
	}
	answer := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _ = command.JSON(w, v) }
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", answer(control.Status{Locked: true, Rebuilding: &control.Rebuilding{Done: 12345, Total: 50000}}))
	mux.HandleFunc("POST /unlock/check", answer(control.CheckedShare{Number: 1, Threshold: 1}))
	mux.HandleFunc("POST /unlock", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(5500 * time.Millisecond)
		_ = command.JSON(w, control.Unlocked{Vault: "vault.example", Clock: "steady"})
	})
	daemon := &http.Server{Handler: mux, ReadHeaderTimeout: time.Second}
	go daemon.Serve(listener)
	defer daemon.Close()

	cmd := exec.CommandContext(t.Context(), "vault", "unlock", "--dir", dir, "--share", share)
	var said strings.Builder
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil || string(out) != "vault.example unlocked; clock steady\n" {
		t.Errorf("%v: %q", err, out)
	}
	if want := "unlocking: 12,345 of 50,000, for 5s so far\n"; said.String() != want {
		t.Errorf("it says %q, want %q", &said, want)
	}
}
