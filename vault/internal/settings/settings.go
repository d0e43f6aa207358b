// Package settings is vault.toml: its keys with their defaults, the commented reference that init
// writes, the check of all that a daemon cannot run with, and the names of the files in a vault's
// directory. It reads files and queries the host about them; it neither dials nor writes, and
// starts nothing.
package settings

import (
	_ "embed" // the reference configuration
	"errors"
	"path/filepath"
	"strings"
	"time"

	"nightdrop/shared/config"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/acquirer/iso8583"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/journal"
	"nightdrop/vault/internal/keyring"
)

// Files of a vault's directory beside the key ring's.
const (
	File        = "vault.toml"
	LedgerFile  = "ledger.db"
	ChannelSeed = "channel.nkey"
)

// Reference is the commented configuration that init writes, and the reference of every key.
//
//go:embed vault.toml
var Reference []byte

// Settings is vault.toml. Paths in it are relative to the vault's directory.
type Settings struct {
	// Dir is the vault's directory, absolute; it is no key of the file.
	Dir string `toml:"-"`

	Socket            string          `toml:"socket"`
	Relays            []note.Verifier `toml:"relays"`
	DirectoryLifetime config.Duration `toml:"directory_lifetime"`
	StopGrace         config.Duration `toml:"stop_grace"`
	Channel           Channel         `toml:"channel"`
	Acquirer          Acquirer        `toml:"acquirer"`
	Journal           Journal         `toml:"journal"`
	Bank              Bank            `toml:"bank"`
	Batches           Batches         `toml:"batches"`
	Keys              Keys            `toml:"keys"`
	Limits            Limits          `toml:"limits"`
}

// Channel is how the vault reaches the relay's channel.
type Channel struct {
	URL  string `toml:"url"`
	Seed string `toml:"seed"`
	CA   string `toml:"ca"`
	Cert string `toml:"cert"`
	Key  string `toml:"key"`
}

// Acquirer is how the vault reaches the acquirer's host, and how patient it is with it.
type Acquirer struct {
	Address        string          `toml:"address"`
	Dialect        string          `toml:"dialect"`
	Terminals      []string        `toml:"terminals"`
	Outstanding    int             `toml:"outstanding"`
	AnswerTimeout  config.Duration `toml:"answer_timeout"`
	ConnectTimeout config.Duration `toml:"connect_timeout"`
	EchoInterval   config.Duration `toml:"echo_interval"`
	ReversalRetry  config.Duration `toml:"reversal_retry"`
	RepeatEvery    config.Duration `toml:"repeat_every"`
	RepeatFor      config.Duration `toml:"repeat_for"`
	Silences       int             `toml:"silences"`
	OrderWait      config.Duration `toml:"order_wait"`
	Reconciliation book.Way        `toml:"reconciliation"`
	TLS            TLS             `toml:"tls"`
}

// TLS secures the line to the acquirer's host.
type TLS struct {
	Enabled    bool   `toml:"enabled"`
	ServerName string `toml:"server_name"`
	CA         string `toml:"ca"`
	Cert       string `toml:"cert"`
	Key        string `toml:"key"`
}

// Keys are how long sealing keys are made ahead and how long code keys live.
type Keys struct {
	Ahead    config.Duration `toml:"ahead"`
	CodeLife config.Duration `toml:"code_life"`
}

// Limits bound what the vault does at once; 0 is a default.
type Limits struct {
	Workers          int `toml:"workers"`
	ResultsPerSecond int `toml:"results_per_second"`
	PaymentsPerDay   int `toml:"payments_per_day"`

	DiskReserve int64 `toml:"disk_reserve"`
}

// Load reads the configuration of the vault in dir.
func Load(dir string) (Settings, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Settings{}, err
	}
	s := Settings{
		Dir: dir, Socket: "vault.sock", DirectoryLifetime: config.Duration(48 * time.Hour), StopGrace: config.Duration(10 * time.Second),
		Channel: Channel{Seed: ChannelSeed},
		Acquirer: Acquirer{Terminals: []string{"ND000001"}, Outstanding: 64, ReversalRetry: config.Duration(5 * time.Second),
			RepeatEvery: config.Duration(5 * time.Minute), RepeatFor: config.Duration(24 * time.Hour), Silences: 10,
			Reconciliation: book.ByTotals, OrderWait: config.Duration(time.Hour)},
		Journal: Journal{Place: OnChannel, MaxBytes: journal.DefaultLimit},
		Bank:    Bank{Cutoff: "16:45", Zone: "America/New_York", LeadDays: 1},
		Keys:    Keys{Ahead: config.Duration(48 * time.Hour), CodeLife: config.Duration(6 * time.Hour)},
	}
	if err := config.Load(filepath.Join(dir, File), &s); err != nil {
		return s, err
	}
	for _, path := range []*string{&s.Socket, &s.Channel.Seed, &s.Channel.CA, &s.Channel.Cert, &s.Channel.Key,
		&s.Acquirer.Dialect, &s.Journal.Directory, &s.Bank.Outbox, &s.Acquirer.TLS.CA, &s.Acquirer.TLS.Cert, &s.Acquirer.TLS.Key} {
		if *path != "" && !filepath.IsAbs(*path) {
			*path = filepath.Join(dir, *path)
		}
	}
	return s, nil
}

// maxAnswerTimeout keeps the first result within an hour (specification 4): a request may wait half
// an hour for a line.
const maxAnswerTimeout = 5 * time.Minute

// Check joins every config.Problem that a daemon cannot run with at now, and what is wrong with the
// key ring's files.
func (s Settings) Check(now time.Time) error {
	found := config.NewProblems(s.Path())
	wrong := func(key, what string) { found.Add(key, "is not set as it must be", what) }
	if s.Channel.URL == "" {
		wrong("channel.url", "where the relay's channel listens, tls://host:port")
	}
	s.Acquirer.check(wrong)
	s.Journal.check(wrong)
	s.Bank.check(wrong)
	s.Batches.check(wrong)
	if s.Limits.Workers < 0 || s.Limits.ResultsPerSecond < 0 || s.Limits.PaymentsPerDay < 0 || s.Limits.DiskReserve < 0 {
		wrong("limits", "0 or more")
	}
	if s.DirectoryLifetime.Std() < 2*time.Hour || s.DirectoryLifetime.Std() > 14*24*time.Hour {
		wrong("directory_lifetime", "2h to 336h")
	}
	if s.Keys.Ahead < s.DirectoryLifetime {
		wrong("keys.ahead", "at least directory_lifetime: a sender may have nothing newer")
	}
	s.checkFiles(found, now)
	return errors.Join(found.Err(), keyring.Check(s.Dir, s.RingOptions()))
}

// Path is where the configuration stands.
func (s Settings) Path() string { return filepath.Join(s.Dir, File) }

// RingOptions are the configured options of the key ring.
func (s Settings) RingOptions() keyring.Options {
	return keyring.Options{Ahead: s.Keys.Ahead.Std(), CodeLife: s.Keys.CodeLife.Std()}
}

// check calls wrong for each key that a daemon cannot run with, with what it should be.
func (a Acquirer) check(wrong func(key, what string)) {
	if a.Address == "" {
		wrong("acquirer.address", "where the acquirer's host listens, host:port")
	}
	if _, err := a.LoadDialect(); err != nil {
		wrong("acquirer.dialect", err.Error())
	}
	if a.Reconciliation != book.ByTotals && a.Reconciliation != book.ByListing && a.Reconciliation != book.ByWord {
		wrong("acquirer.reconciliation", `"0500", "listing" or "none"`)
	}
	if len(a.Terminals) == 0 {
		wrong("acquirer.terminals", "at least one terminal name that the acquirer gave")
	}
	for _, name := range a.Terminals {
		if !validTerminal(name) {
			wrong("acquirer.terminals", "each is 1 to 8 of A-Z0-9")
		}
	}
	if a.Outstanding < 1 || a.Outstanding > 1024 {
		wrong("acquirer.outstanding", "1 to 1024")
	}
	a.checkRepeating(wrong)
	if a.AnswerTimeout.Std() > maxAnswerTimeout {
		wrong("acquirer.answer_timeout", "at most 5m: a storefront is owed a first result within an hour")
	}
}

// Limits of repeating: an order's first result is due within an hour, and what a week of repeating
// did not bring, a person clears up.
const (
	maxOrderWait = time.Hour
	maxRepeatFor = 7 * 24 * time.Hour
	maxSilences  = 10_000
)

// checkRepeating checks how reversals and captures are repeated, and how long orders wait.
func (a Acquirer) checkRepeating(wrong func(key, what string)) {
	if a.ReversalRetry <= 0 {
		wrong("acquirer.reversal_retry", "above 0, as 5s")
	}
	if a.RepeatEvery <= 0 || a.RepeatEvery.Std() > maxOrderWait {
		wrong("acquirer.repeat_every", "above 0 and at most 1h")
	}
	if a.RepeatFor <= 0 || a.RepeatFor.Std() > maxRepeatFor {
		wrong("acquirer.repeat_for", "above 0 and at most 168h: after it a person decides")
	}
	if a.Silences < 1 || a.Silences > maxSilences {
		wrong("acquirer.silences", "1 to 10000")
	}
	if a.OrderWait <= 0 || a.OrderWait.Std() > maxOrderWait {
		wrong("acquirer.order_wait", "above 0 and at most 1h: a storefront is owed a first result within an hour")
	}
}

// LoadDialect reads the dialect of the acquirer's host; nil is the one that the client ships.
func (a Acquirer) LoadDialect() (*iso8583.Dialect, error) {
	if a.Dialect == "" {
		return nil, nil
	}
	return iso8583.LoadDialect(a.Dialect)
}

// validTerminal checks ISO 8583 field 41 as this vault uses it.
func validTerminal(name string) bool {
	other := func(c rune) bool { return (c < '0' || c > '9') && (c < 'A' || c > 'Z') }
	return len(name) >= 1 && len(name) <= 8 && !strings.ContainsFunc(name, other)
}
