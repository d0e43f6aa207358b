package site

import (
	"cmp"
	"fmt"
	"os"
	"strings"
)

// configure writes the two configuration files.
func (s *Site) configure() error {
	if err := os.WriteFile(s.Path("relay", "relay.toml"), []byte(s.relayConfig()), 0o600); err != nil {
		return err
	}
	return os.WriteFile(s.Path("vault", "vault.toml"), []byte(s.vaultConfig()), 0o600)
}

func (s *Site) vaultConfig() string {
	return lines(
		fmt.Sprintf("relays = [%q]", s.relayKey),
		"[channel]",
		fmt.Sprintf("url = %q", fmt.Sprintf("tls://%s:%d", s.VaultSees, s.ports.Channel)),
		fmt.Sprintf("ca = %q", s.CA()),
		fmt.Sprintf("cert = %q", s.Path("tls", "vault.pem")),
		fmt.Sprintf("key = %q", s.Path("tls", "vault.key")),
		"[journal]",
		s.journal(),
		"[acquirer]",
		fmt.Sprintf("address = %q", fmt.Sprintf("%s:%d", s.VaultSees, s.ports.Host)),
		fmt.Sprintf("answer_timeout = %q", s.AnswerTimeout),
		fmt.Sprintf("reversal_retry = %q", s.ReversalRetry),
		fmt.Sprintf("repeat_for = %q", s.RepeatFor),
		strings.Join(s.Acquirer, "\n"),
		"[acquirer.tls]",
		"enabled = true",
		fmt.Sprintf("server_name = %q", "simulator"),
		fmt.Sprintf("ca = %q", cmp.Or(s.AcquirerCA, s.CA())),
		fmt.Sprintf("cert = %q", s.Path("tls", "vault.pem")),
		fmt.Sprintf("key = %q", s.Path("tls", "vault.key")),
		"[bank]", // names and numbers that no bank has
		fmt.Sprintf("outbox = %q", s.BankOutbox()),
		fmt.Sprintf("immediate_destination = %q", bankRouting),
		fmt.Sprintf("destination_name = %q", "FIRST BANK OF NOWHERE"),
		fmt.Sprintf("immediate_origin = %q", "1987654321"),
		fmt.Sprintf("origin_name = %q", "NIGHTDROP SITE"),
		fmt.Sprintf("odfi = %q", bankRouting[:8]),
	)
}

func (s *Site) journal() string {
	if !s.BothJournals {
		return `place = "channel"`
	}
	return fmt.Sprintf("place = \"both\"\ndirectory = %q", s.Path("journal"))
}

// bankRouting is the routing number of the bank that takes the files: eight digits and the check
// digit.
const bankRouting = "123456780"

func lines(all ...string) string { return strings.Join(all, "\n") + "\n" }

func (s *Site) relayConfig() string {
	repeats := 65536 // the relay's default
	if s.NoRepeats {
		repeats = 0
	}
	return lines(
		fmt.Sprintf("key_file = %q", s.Path("relay", "relay.key")),
		fmt.Sprintf("vault = %q", s.Verifier),
		fmt.Sprintf("origin = %q", s.Origin()),
		fmt.Sprintf("listen = %q", fmt.Sprintf("127.0.0.1:%d", s.ports.Relay)),
		fmt.Sprintf("cert = %q", s.Path("tls", "relay.pem")),
		fmt.Sprintf("key = %q", s.Path("tls", "relay.key")),
		fmt.Sprintf("admin = %q", fmt.Sprintf("127.0.0.1:%d", s.ports.Admin)),
		"[limits]",
		fmt.Sprintf("address_rate = %d.0", s.Rate),
		fmt.Sprintf("address_burst = %d", s.Rate),
		fmt.Sprintf("merchant_rate = %d.0", s.Rate),
		fmt.Sprintf("merchant_burst = %d", s.Rate),
		fmt.Sprintf("repeats = %d", repeats),
		"[channel.embedded]",
		fmt.Sprintf("dir = %q", s.Path("relay", "channel")),
		fmt.Sprintf("listen = %q", fmt.Sprintf("%s:%d", s.VaultSees, s.ports.Channel)),
		fmt.Sprintf("cert = %q", s.Path("tls", "channel.pem")),
		fmt.Sprintf("key = %q", s.Path("tls", "channel.key")),
		fmt.Sprintf("client_ca = %q", s.CA()),
		fmt.Sprintf("vault_nkey = %q", s.vaultNkey),
		fmt.Sprintf("envelope_bytes = %d", s.EnvelopeBytes),
		fmt.Sprintf("max_bytes = %d", s.ChannelBytes),
		fmt.Sprintf("min_free = %d", s.MinFree),
	)
}
