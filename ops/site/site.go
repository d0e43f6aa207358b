package site

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"nightdrop/ops/authority"
	"nightdrop/shared/config"
	"nightdrop/shared/durable"
)

// Options say what kind of site to put up.
type Options struct {
	Dir           string        // a fresh directory; made if it is not there
	Bin           string        // directory of the four binaries
	AnswerTimeout time.Duration // of the vault for the acquirer's host; default 3 s
	LateAfter     time.Duration // when the simulator answers late; default twice AnswerTimeout
	ReversalRetry time.Duration // default 500 ms
	// how long reversals and captures are repeated before a person decides; default 20 s
	RepeatFor time.Duration
	Acquirer  []string // further lines of the vault's [acquirer] settings
	// envelopes a second that the relay takes from one merchant and one address; default 100,000
	Rate          int
	EnvelopeBytes int64 // size of the ENVELOPES stream; default 2 GiB
	NoRepeats     bool  // the relay remembers no receipts: what is posted again travels again
	ChannelBytes  int64 // size of all streams; default four times that
	MinFree       int64 // room that must stay free on the channel's volume; default the relay's
	// how long after it took a settlement file the bank answers it; default at once
	BankAfter time.Duration
	// PEM file of the authorities that the vault trusts for the acquirer's host; default the site's
	AcquirerCA string
	// seed by which the acquirer's host misbehaves; default 0, it does not
	Adversary uint64
	Totals    string // how the acquirer's host answers a 0500; default the simulator's
	Mishaps   string // how often it misbehaves, NAME=RATE,...; default the simulator's
	VaultSees string // address under which the vault reaches relay and simulator; default 127.0.0.1
	// the vault's journal is in the channel and in journal/; default in the channel alone
	BothJournals bool
	// name of an auditor who may open the log before the first payment; default nobody
	Auditor string
	// custodians vouch for the vault's clock whenever they unlock: a site that is stopped for days
	// needs it
	ConfirmClock bool
	// command that runs the vault's daemon, such as ip netns exec NAME; default none
	VaultPrefix []string

	// called at each step of a start and a stop; default nothing
	Progress func(format string, args ...any)
}

// Site is a whole Nightdrop in one directory:
//
//	tls/          a certificate authority made on the spot
//	relay/        the relay's key, configuration, head file and embedded channel
//	vault/        the vault's directory, outbox/ of settlement files included; its shares are in custodian-1 to custodian-3
//	journal/      where the vault keeps its log a second time, with BothJournals
//	simulator/    the acquirer host's book, and the bank's
//	returns/      the bank's answers
//	shops/NAME/   each merchant's identity, outbox and sales
//	auditor/      the auditor's key, with Auditor
//	logs/         what the processes wrote
//	site.json     what the next start needs
//
// Its methods are not safe for concurrent use, but Run is.
type Site struct {
	Options
	Relay     *Process
	Vault     *Process
	Simulator *Process
	Verifier  string // the vault's vkey

	relayKey  string // vkey
	vaultNkey string // public
	ports     ports
	lock      *os.File // held while the process runs
}

// ports stay the same when a process is started again.
type ports struct{ Relay, Admin, Channel, Host int }

const (
	vaultName = "vault.nightdrop.example"
	relayName = "relay-one"
	shares    = 3
	threshold = 2
)

// maxSocketPath is Linux's limit of a unix socket's path (sockaddr_un).
const maxSocketPath = 107

// New makes keys, certificates and configuration in o.Dir, which may hold no site. Nothing runs
// yet.
func New(ctx context.Context, o Options) (*Site, error) {
	s := &Site{Options: o.withDefaults()}
	if err := s.absolute(); err != nil {
		return nil, err
	}
	if socket := s.Path("vault", "vault.sock"); len(socket) > maxSocketPath {
		return nil, fmt.Errorf("the path of the vault's socket, %s, would be longer than %d bytes: choose a directory with a shorter path",
			socket, maxSocketPath)
	}
	for _, dir := range []string{"relay", "simulator", "returns", "shops", "logs", "journal"} {
		if err := os.MkdirAll(s.Path(dir), 0o700); err != nil {
			return nil, err
		}
	}
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	if err := durable.Absent(s.Path(stateFile)); err != nil {
		return nil, err
	}
	s.Progress("a certificate authority, keys and settings are made")
	if err := s.certify(); err != nil {
		return nil, err
	}
	if err := s.makeKeys(ctx); err != nil {
		return nil, err
	}
	if err := os.Mkdir(s.BankOutbox(), 0o700); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := s.configure(); err != nil {
		return nil, err
	}
	return s, s.save()
}

func (o Options) withDefaults() Options {
	o.AnswerTimeout = cmp.Or(o.AnswerTimeout, 3*time.Second)
	o.LateAfter = cmp.Or(o.LateAfter, 2*o.AnswerTimeout)
	o.ReversalRetry = cmp.Or(o.ReversalRetry, 500*time.Millisecond)
	o.RepeatFor = cmp.Or(o.RepeatFor, 20*time.Second)
	o.Rate = cmp.Or(o.Rate, 100_000)
	o.EnvelopeBytes = cmp.Or(o.EnvelopeBytes, 2<<30)
	o.ChannelBytes = cmp.Or(o.ChannelBytes, 4*o.EnvelopeBytes)
	o.VaultSees = cmp.Or(o.VaultSees, "127.0.0.1")
	if o.Progress == nil {
		o.Progress = func(string, ...any) {}
	}
	return o
}

func (s *Site) absolute() (err error) {
	for _, path := range []*string{&s.Dir, &s.Bin} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	return nil
}

// Path is a path below the site's directory.
func (s *Site) Path(parts ...string) string {
	return filepath.Join(append([]string{s.Dir}, parts...)...)
}

// Origin is the relay's public origin.
func (s *Site) Origin() string { return fmt.Sprintf("https://127.0.0.1:%d", s.ports.Relay) }

// Admin is the origin of the relay's admin listener.
func (s *Site) Admin() string { return fmt.Sprintf("http://127.0.0.1:%d", s.ports.Admin) }

// CA is the PEM file of the site's certificate authority.
func (s *Site) CA() string { return s.Path("tls", "ca.pem") }

// Book is the simulator's book.
func (s *Site) Book() string { return s.Path("simulator", "book") }

// BankOutbox is where the vault writes settlement files. They hold account numbers, and nobody
// else's account may read them.
func (s *Site) BankOutbox() string { return s.Path("vault", "outbox") }

// Returns is where the bank writes its answers.
func (s *Site) Returns() string { return s.Path("returns") }

// BankBook is the bank's book.
func (s *Site) BankBook() string { return s.Path("simulator", "bank") }

// Identity is a merchant's key file.
func (s *Site) Identity(merchant string) string { return s.Path("shops", merchant, "storefront.key") }

// Outbox is a merchant's outbox.
func (s *Site) Outbox(merchant string) string { return s.Path("shops", merchant, "outbox") }

// maxConnections is how many connections a client of the site keeps alive.
const maxConnections = 256

// HTTPClient is a client that trusts the site's authority, by TLS 1.3.
func (s *Site) HTTPClient() (*http.Client, error) {
	authorities, err := config.Authorities(s.CA())
	if err != nil {
		return nil, err
	}
	return &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: maxConnections,
		TLSClientConfig: &tls.Config{RootCAs: authorities, MinVersion: tls.VersionTLS13}}}, nil
}

func (s *Site) certify() error {
	tests, err := authority.Open(s.Path("tls"))
	if err != nil {
		return err
	}
	for _, name := range []string{"relay", "channel", "vault", "simulator"} {
		if _, err := tests.Issue(name, s.VaultSees); err != nil {
			return err
		}
	}
	return nil
}

func (s *Site) makeKeys(ctx context.Context) error {
	custodians := make([]string, shares)
	for i := range custodians {
		custodians[i] = s.Path(fmt.Sprintf("custodian-%d", i+1))
	}
	vkey, err := s.Run(ctx, "vault", "init", "--dir", s.Path("vault"), "--name", vaultName, "--shares", fmt.Sprint(shares),
		"--threshold", fmt.Sprint(threshold), "--shares-to", strings.Join(custodians, ","), "--shares-on-own-disk")
	if err != nil {
		return err
	}
	s.Verifier = strings.TrimSpace(vkey)
	public, err := os.ReadFile(s.Path("vault", "channel.nkey.pub"))
	if err != nil {
		return err
	}
	s.vaultNkey = strings.TrimSpace(string(public))
	vkey, err = s.Run(ctx, "relay", "keygen", "--name", relayName, "--out", s.Path("relay", "relay.key"))
	s.relayKey = strings.TrimSpace(vkey)
	if err != nil {
		return err
	}
	return s.ports.choose()
}

// Ports are chosen below those that the kernel gives to outgoing connections (ip_local_port_range
// begins at 32768), so that nobody takes one while its process is being restarted.
const (
	lowestPort  = 20_000
	highestPort = 32_000
	portTries   = 1_000
)

// choose finds four different ports that are free on every address of the machine.
func (p *ports) choose() error {
	wanted := []*int{&p.Relay, &p.Admin, &p.Channel, &p.Host}
	for range portTries {
		if len(wanted) == 0 {
			return nil
		}
		port := lowestPort + rand.IntN(highestPort-lowestPort) //nolint:gosec // any free port will do
		l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
		if err != nil {
			continue
		}
		defer l.Close() // held until all are chosen
		*wanted[0], wanted = port, wanted[1:]
	}
	return fmt.Errorf("no four free ports between %d and %d", lowestPort, highestPort)
}

// Run runs one of the binaries to its end and returns its standard output. The error holds what it
// said, and wraps *exec.ExitError.
func (s *Site) Run(ctx context.Context, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Bin, program), args...) //nolint:gosec // the site's own binaries
	cmd.Dir = s.Dir
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		verb := program
		if len(args) > 0 {
			verb += " " + args[0]
		}
		return out.String(), fmt.Errorf("%s: %w: %s", verb, err, strings.TrimSpace(complaint.String()))
	}
	return out.String(), nil
}

// VaultRun runs a `vault` command against the site's daemon.
func (s *Site) VaultRun(ctx context.Context, args ...string) (string, error) {
	return s.Run(ctx, "vault", append(args, "--dir", s.Path("vault"))...)
}

// ShopRun runs a `storefront` command as one of the site's merchants.
func (s *Site) ShopRun(ctx context.Context, merchant string, args ...string) (string, error) {
	return s.Run(ctx, "storefront", append(args, "--identity", s.Identity(merchant), "--vault", s.Verifier, "--relay", s.Origin(),
		"--ca", s.CA(), "--outbox", s.Outbox(merchant))...)
}
