package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"nightdrop/vault/internal/daemon"
	"nightdrop/vault/internal/keyring"
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
	created, err := daemon.Create(opts.dir, keyring.CreateOptions{Name: opts.name, Shares: opts.shares, Threshold: opts.threshold, Now: c.now},
		func(shares []keyring.Share) error { return writeShares(paths, shares, c.errOut) })
	if err != nil {
		return initialised{}, err
	}
	return initialised{Vault: opts.name, Verifier: created.Verifier.String(), ChannelKey: created.ChannelKey, Shares: paths}, nil
}
