package daemon

import (
	"regexp"
	"strings"
	"testing"

	"nightdrop/shared/config"
)

// TestTheExampleExplainsEveryKey reads the reference with every commented key switched on.
func TestTheExampleExplainsEveryKey(t *testing.T) {
	text := regexp.MustCompile(`(?m)^# (\[|[a-z_]+ = )`).ReplaceAllString(reference, "$1")
	text = strings.ReplaceAll(text, "vault.example.com+0a1b2c3d+AReplaceThisLine", "vault.example+b99b1e1d+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop")
	var read Settings
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
