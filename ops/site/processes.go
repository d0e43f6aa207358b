package site

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// readyLimit is how long a process may take to be ready on a busy machine, recovery after a crash
// included.
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
	args := []string{"serve", "--listen", fmt.Sprintf("%s:%d", s.VaultSees, s.ports.Host), "--book", s.Book(),
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

// StartRelay starts the relay. It listens when StartRelay returns, but is ready only when a vault
// has spoken.
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
	args := []string{"unlock", "--share", s.share(one), "--share", s.share(other)}
	if s.ConfirmClock {
		args = append(args, "--confirm-clock")
	}
	_, err := s.VaultRun(ctx, args...)
	return err
}

func (s *Site) share(number int) string {
	return s.Path(fmt.Sprintf("custodian-%d", number), fmt.Sprintf("%s-share-%d", vaultName, number))
}

// Shares are the files of all the custodians' shares.
func (s *Site) Shares() (files []string) {
	for number := range shares {
		files = append(files, s.share(number+1))
	}
	return files
}

// Processes are the programs that were started, in the order in which they are stopped.
func (s *Site) Processes() (all []*Process) {
	for _, p := range []*Process{s.Vault, s.Relay, s.Simulator} {
		if p != nil {
			all = append(all, p)
		}
	}
	return all
}

// Status is `vault status`.
func (s *Site) Status(ctx context.Context) (status map[string]any, err error) {
	err = s.runJSON(ctx, &status, "vault", "status", "--json", "--dir", s.Path("vault"))
	return status, err
}

// Start starts simulator, relay and vault, and unlocks the vault with the first two shares.
func (s *Site) Start(ctx context.Context) error {
	if err := s.StartSimulator(ctx); err != nil {
		return err
	}
	s.Progress("simulator, acquirer and bank: pid %d", s.Simulator.Pid())
	if err := s.StartRelay(ctx); err != nil {
		return err
	}
	s.Progress("relay: pid %d, %s", s.Relay.Pid(), s.Origin())
	if err := s.StartVault(ctx); err != nil {
		return err
	}
	s.Progress("vault: pid %d, locked", s.Vault.Pid())
	if err := s.Unlock(ctx, 1, 2); err != nil {
		return err
	}
	s.Progress("vault: unlocked by the shares in custodian-1 and custodian-2")
	return nil
}

// Ended waits until one of the programs ends, and returns it, or nil when ctx is done first.
func (s *Site) Ended(ctx context.Context) *Process {
	select {
	case <-ctx.Done():
		return nil
	case <-s.Simulator.done:
		return s.Simulator
	case <-s.Relay.done:
		return s.Relay
	case <-s.Vault.done:
		return s.Vault
	}
}

// Stop stops what runs, the vault first, and says what did not end well.
func (s *Site) Stop() error {
	var all []error
	for _, p := range s.Processes() {
		if p.Running() {
			all = append(all, p.Stop())
			s.Progress("%s: stopped", p.Name)
		}
	}
	return errors.Join(all...)
}
