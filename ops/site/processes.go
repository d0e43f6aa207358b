package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// readyLimit is how long a process may take to be ready on a busy machine, recovery after a crash included.
const readyLimit = 60 * time.Second

func (s *Site) start(name string, args ...string) (*Process, error) {
	command := append([]string{filepath.Join(s.Bin, name)}, args...)
	if name == "vault" {
		command = append(slices.Clone(s.VaultPrefix), command...)
	}
	return start(name, s.Dir, s.Path("logs", name+".log"), command)
}

// StartSimulator starts the acquirer host and the bank, and returns when it listens.
func (s *Site) StartSimulator(ctx context.Context) (err error) {
	address := s.Path("simulator", "address")
	if err := os.Remove(address); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	args := []string{"serve", "--listen", fmt.Sprintf("%s:%d", s.VaultSees, s.ports.host), "--book", s.Book(),
		"--late-after", s.LateAfter.String(), "--address-file", address,
		"--tls-cert", s.Path("tls", "simulator.pem"), "--tls-key", s.Path("tls", "simulator.key"), "--tls-client-ca", s.CA(),
		"--bank-outbox", s.BankOutbox(), "--bank-returns", s.Returns(), "--bank-book", s.BankBook(), "--bank-returns-after", s.BankAfter.String()}
	if s.Totals != "" {
		args = append(args, "--totals", s.Totals)
	}
	if s.Adversary != 0 {
		args = append(args, "--adversary", strconv.FormatUint(s.Adversary, 10))
		if s.Mishaps != "" {
			args = append(args, "--adversary-rates", s.Mishaps)
		}
	}
	if s.Simulator, err = s.start("simulator", args...); err != nil {
		return err
	}
	return s.Simulator.await(ctx, readyLimit, func() error { _, err := os.Stat(address); return err })
}

// StartRelay starts the relay. It listens when StartRelay returns, but is ready only when a vault has spoken.
func (s *Site) StartRelay(ctx context.Context) (err error) {
	if s.Relay, err = s.start("relay", "serve", "--config", s.Path("relay", "relay.toml")); err != nil {
		return err
	}
	return s.Relay.await(ctx, readyLimit, func() error { return s.admin(ctx, "/healthz") })
}

// AwaitRelay waits until the relay takes envelopes: it has a directory and its channel works.
func (s *Site) AwaitRelay(ctx context.Context) error {
	return s.Relay.await(ctx, readyLimit, func() error { return s.admin(ctx, "/readyz") })
}

func (s *Site) admin(ctx context.Context, path string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.Admin()+path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", path, response.Status)
	}
	return nil
}

// StartVault starts the daemon, which is locked.
func (s *Site) StartVault(ctx context.Context) (err error) {
	if s.Vault, err = s.start("vault", "serve", "--dir", s.Path("vault")); err != nil {
		return err
	}
	return s.Vault.await(ctx, readyLimit, func() error { _, err := s.Status(ctx); return err })
}

// Unlock gives the vault two of the three shares, by number.
func (s *Site) Unlock(ctx context.Context, one, other int) error {
	_, err := s.VaultRun(ctx, "unlock", "--share", s.share(one), "--share", s.share(other))
	return err
}

func (s *Site) share(number int) string {
	return s.Path(fmt.Sprintf("custodian-%d", number), fmt.Sprintf("%s-share-%d", vaultName, number))
}

// Status is `vault status`.
func (s *Site) Status(ctx context.Context) (map[string]any, error) {
	out, err := s.VaultRun(ctx, "status", "--json")
	if err != nil {
		return nil, err
	}
	var status map[string]any
	return status, json.Unmarshal([]byte(out), &status)
}

// Enrol makes a merchant's identity and enrols it at the vault, with a company that settlement files name.
func (s *Site) Enrol(ctx context.Context, merchant string, currencies ...string) error {
	if err := os.MkdirAll(filepath.Dir(s.Identity(merchant)), 0o700); err != nil {
		return err
	}
	lines, err := s.Run(ctx, "storefront", "keygen", "--merchant", merchant, "--out", s.Identity(merchant))
	if err != nil {
		return err
	}
	keys := map[string]string{}
	for line := range strings.Lines(lines) {
		what, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		keys[what] = value
	}
	_, err = s.VaultRun(ctx, "merchant", "add", merchant, "--name", merchant, "--verifier", keys["verifier"], "--reply-key", keys["reply-key"],
		"--currency", strings.Join(currencies, ","), "--company-name", company(merchant), "--company-id", companyID(merchant))
	return err
}

// Permit changes a merchant's policy by the flags of `vault merchant policy`.
func (s *Site) Permit(ctx context.Context, merchant string, flags ...string) error {
	_, err := s.VaultRun(ctx, append([]string{"merchant", "policy", merchant}, flags...)...)
	return err
}

// company is a merchant's name in a settlement file, at most 16 characters.
func company(merchant string) string {
	name := strings.ToUpper(merchant)
	return name[:min(len(name), 16)]
}

// companyID is 10 digits that a bank might have given a merchant.
func companyID(merchant string) string {
	return fmt.Sprintf("1%09d", crc32.ChecksumIEEE([]byte(merchant))%1_000_000_000)
}

// Start starts simulator, relay and vault, and unlocks the vault with the first two shares.
func (s *Site) Start(ctx context.Context) error {
	for _, step := range []func(context.Context) error{s.StartSimulator, s.StartRelay, s.StartVault} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return s.Unlock(ctx, 1, 2)
}

// Stop stops what runs, the vault first, and tells what did not end well.
func (s *Site) Stop() error {
	var all []error
	for _, p := range []*Process{s.Vault, s.Relay, s.Simulator} {
		if p != nil && p.Running() {
			all = append(all, p.Stop())
		}
	}
	return errors.Join(all...)
}

// AwaitMerchant waits until the relay has heard from the vault that the merchant is enrolled.
func (s *Site) AwaitMerchant(ctx context.Context, merchant string) error {
	return s.Relay.await(ctx, readyLimit, func() error {
		_, err := s.ShopRun(ctx, merchant, "results")
		return err
	})
}
