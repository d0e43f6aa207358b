package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"nightdrop/shared/channel"
	"nightdrop/shared/durable"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settings"
)

type initOptions struct {
	dir       string
	name      string
	shares    int
	threshold int
	sharesTo  []string
	onOwnDisk bool
}

// initialised is what init made.
type initialised struct {
	Vault      string   `json:"vault"`
	Verifier   string   `json:"verifier"`   // the one line that everybody pins
	ChannelKey string   `json:"channelKey"` // public nkey, for the relay's configuration
	Shares     []string `json:"shares"`     // files
}

func newInitCommand(g *global, c console) *cobra.Command {
	var opts initOptions
	cmd := &cobra.Command{
		Use:   "init --name NAME --shares N --threshold K --shares-to DIR,DIR,...",
		Short: "Make a vault: keys, shares, empty ledger, configuration",
		Long: `Make a vault in a new directory and print the one line that everybody pins: its verifier key.

The key that everything else is sealed under is shared among N custodians, any K of whom unlock the vault. Each share is
written to a directory of its own (a custodian's stick), mode 0600, and is nowhere else: no share, no vault. The public line
of the vault's channel key goes to channel.nkey.pub, for the relay's configuration. Nothing is ever overwritten.

A share that lies on the disk of the vault protects nothing, for whoever takes the disk has both. So the directories must be there, for
one that is missing is a stick that is not mounted, and be on other disks than the vault's; where two are on one disk that is said.
For training and tests on one machine --shares-on-own-disk lifts both, and makes the directories.`,
		Example: `  vault init --dir /var/lib/nightdrop --name vault.example.com --shares 3 --threshold 2 --shares-to /media/a,/media/b,/media/c
  vault init --dir try --name try.example.com --shares 1 --threshold 1 --shares-to custodian --shares-on-own-disk`,
		Args: arguments(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			opts.dir = g.dir
			if opts.dir == "" {
				return fmt.Errorf("%w: give the new vault's directory with --dir", errUsage)
			}
			made, err := runInit(opts, c)
			if err != nil {
				return err
			}
			for _, path := range made.Shares {
				fmt.Fprintf(c.errOut, "share written: %s\n", path)
			}
			fmt.Fprintf(c.errOut, "next: set channel.url, relays and acquirer.address in %s, then `vault serve`\n", filepath.Join(opts.dir, settings.File))
			fmt.Fprintln(c.errOut, "then, before the first payment: `vault audit auditor add`, for an auditor reads from then on only")
			return g.print(c.out, made, func(w io.Writer) { fmt.Fprintln(w, made.Verifier) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.name, "name", "", "the vault's name: a DNS name in lower case; for ever")
	flags.IntVar(&opts.shares, "shares", 0, "how many custodians get a share")
	flags.IntVar(&opts.threshold, "threshold", 0, "how many of them unlock the vault")
	flags.StringSliceVar(&opts.sharesTo, "shares-to", nil, "a directory for each share, on another disk than the vault's")
	flags.BoolVar(&opts.onOwnDisk, "shares-on-own-disk", false, "for training: let shares lie on the vault's disk, and make their directories")
	g.readingFlags(cmd)
	return cmd
}

func runInit(opts initOptions, c console) (initialised, error) {
	paths, err := opts.shareFiles(c.errOut)
	if err != nil {
		return initialised{}, err
	}
	shares, verifier, err := keyring.Create(opts.dir, keyring.CreateOptions{Name: opts.name, Shares: opts.shares, Threshold: opts.threshold, Now: c.now})
	if err != nil {
		return initialised{}, err
	}
	defer func() {
		for _, share := range shares {
			share.Clear()
		}
	}()
	made := initialised{Vault: opts.name, Verifier: verifier.String(), Shares: paths}
	made.ChannelKey, err = opts.fill(c, shares)
	if err == nil {
		// Last, so that no share is out of a vault that is not whole.
		err = writeShares(paths, shares, c.errOut)
	}
	if err != nil {
		return initialised{}, fmt.Errorf("the vault is not whole, remove %s and any share of it, then run init again: %w", opts.dir, err)
	}
	return made, nil
}

// fill makes what a vault's directory holds beside the keys, and returns the channel's public key.
func (o initOptions) fill(c console, shares []keyring.Share) (channelKey string, err error) {
	if err := durable.Create(filepath.Join(o.dir, settings.File), settings.Reference); err != nil {
		return "", err
	}
	seed, channelKey, err := channel.GenerateNkey()
	if err != nil {
		return "", err
	}
	defer clear(seed)
	if err := durable.Create(filepath.Join(o.dir, settings.ChannelSeed), seed); err != nil {
		return "", err
	}
	if err := durable.Create(filepath.Join(o.dir, settings.ChannelSeed+".pub"), []byte(channelKey+"\n")); err != nil {
		return "", err
	}
	ring, err := keyring.Open(o.dir, keyring.Options{Now: c.now})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, ring.Close()) }()
	if err := ring.Unlock(shares[:o.threshold]); err != nil {
		return "", err
	}
	return channelKey, ledger.Create(filepath.Join(o.dir, settings.LedgerFile), ring, ledger.Options{Now: c.now})
}
