package main

import (
	"context"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"nightdrop/shared/config"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"relay": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
		stop()
		os.Exit(code)
	}})
}

func TestScripts(t *testing.T) {
	scripts, err := os.ReadDir("testdata/script")
	if err != nil || len(scripts) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			return certify(env.WorkDir)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits CODE COMMAND...: the command ends with exactly this exit code.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits CODE COMMAND...")
				}
				err := ts.Exec(args[1], args[2:]...)
				code := "0"
				if err != nil {
					code = strings.TrimPrefix(err.Error(), "exit status ")
				}
				if code != args[0] {
					ts.Fatalf("exit code %s, want %s", code, args[0])
				}
			},
		},
	})
}

// TestTheExampleExplainsEveryKey reads the reference with every commented key switched on.
func TestTheExampleExplainsEveryKey(t *testing.T) {
	text := regexp.MustCompile(`(?m)^# (\[|[a-z_]+ = )`).ReplaceAllString(string(reference), "$1")
	text = strings.ReplaceAll(text, "vault.example.com+0a1b2c3d+AReplaceThisLine", "vault.example+b99b1e1d+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
	var read settings
	if err := config.Parse("relay.example.toml", []byte(text), &read); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"key_file", "vault", "min_serial", "origin", "listen", "cert", "key", "plain_http", "admin", "head_file", "stop_grace",
		"log_level", "address_rate", "address_burst", "merchant_rate", "merchant_burst", "tracked", "connections", "address_connections",
		"in_flight", "address_in_flight", "merchant_in_flight", "repeats", "merchant_bytes", "long_polls", "merchant_long_polls", "ack_wait", "window",
		"proxy_from", "dir", "client_ca", "vault_nkey", "courier_nkey", "monitor_nkey", "max_bytes", "envelope_bytes", "result_bytes", "min_free", "url", "seed", "ca"} {
		if !regexp.MustCompile(`(?m)^` + key + ` = `).MatchString(text) {
			t.Errorf("the example does not explain %s", key)
		}
	}
}
