package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/channel"
	"nightdrop/shared/durable"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
)

type initOptions struct {
	dir       string
	name      string
	shares    int
	threshold int
	sharesTo  []string
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
of the vault's channel key goes to channel.nkey.pub, for the relay's configuration. Nothing is ever overwritten.`,
		Example: "  vault init --dir /var/lib/nightdrop --name vault.example.com --shares 3 --threshold 2 --shares-to /media/a,/media/b,/media/c",
		Args:    arguments(cobra.NoArgs),
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
			fmt.Fprintf(c.errOut, "next: set channel.url, relays and acquirer.address in %s, then `vault serve`\n", filepath.Join(opts.dir, settingsFile))
			return g.print(c.out, made, func(w io.Writer) { fmt.Fprintln(w, made.Verifier) })
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.name, "name", "", "the vault's name: a DNS name in lower case; for ever")
	flags.IntVar(&opts.shares, "shares", 0, "how many custodians get a share")
	flags.IntVar(&opts.threshold, "threshold", 0, "how many of them unlock the vault")
	flags.StringSliceVar(&opts.sharesTo, "shares-to", nil, "a directory for each share, outside the vault's own")
	g.readingFlags(cmd)
	return cmd
}

func runInit(opts initOptions, c console) (initialised, error) {
	paths, err := opts.shareFiles()
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
		err = writeShares(paths, shares)
	}
	if err != nil {
		return initialised{}, fmt.Errorf("the vault is not whole, remove %s and any share of it, then run init again: %w", opts.dir, err)
	}
	return made, nil
}

// shareFiles checks where the shares go and names their files. It makes the directories that are not there.
func (o initOptions) shareFiles() ([]string, error) {
	if o.name == "" || o.shares < 1 || o.threshold < 1 || o.threshold > o.shares {
		return nil, fmt.Errorf("%w: --name, --shares N and --threshold K from 1 to N are needed", errUsage)
	}
	if len(o.sharesTo) != o.shares {
		return nil, fmt.Errorf("%w: --shares-to names %d directories for %d shares; give each custodian a directory", errUsage, len(o.sharesTo), o.shares)
	}
	own, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	own = resolved(own)
	seen := map[string]bool{}
	var paths []string
	for i, dir := range o.sharesTo {
		dir, err := filepath.Abs(strings.TrimSpace(dir))
		if err != nil {
			return nil, err
		}
		real := resolved(dir)
		if inside(real, own) {
			return nil, fmt.Errorf("%w: %s is inside the vault's directory: shares there would unlock their own copy", errUsage, dir)
		}
		if seen[real] {
			return nil, fmt.Errorf("%w: %s is named twice: each share has a directory of its own", errUsage, dir)
		}
		seen[real] = true
		path := filepath.Join(dir, fmt.Sprintf("%s-share-%d", o.name, i+1))
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%s: %w: a share is never overwritten", path, os.ErrExist)
		}
		if err := durable.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("share directory: %w", err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

// inside tells whether path is dir or below it; both are resolved.
func inside(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, dir+string(filepath.Separator))
}

// resolved follows symbolic links as far as the path is there.
func resolved(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolved(parent), filepath.Base(path))
	}
	return path
}

// fill makes what a vault's directory holds beside the keys, and returns the channel's public key.
func (o initOptions) fill(c console, shares []keyring.Share) (channelKey string, err error) {
	if err := durable.Create(filepath.Join(o.dir, settingsFile), reference); err != nil {
		return "", err
	}
	seed, channelKey, err := channel.GenerateNkey()
	if err != nil {
		return "", err
	}
	defer clear(seed)
	if err := durable.Create(filepath.Join(o.dir, channelSeed), seed); err != nil {
		return "", err
	}
	if err := durable.Create(filepath.Join(o.dir, channelSeed+".pub"), []byte(channelKey+"\n")); err != nil {
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
	return channelKey, ledger.Create(filepath.Join(o.dir, ledgerFile), ring, ledger.Options{Now: c.now})
}

func writeShares(paths []string, shares []keyring.Share) error {
	for i, path := range paths {
		line := append(shares[i].Encode(), '\n')
		err := durable.Create(path, line)
		clear(line)
		if err != nil {
			return err
		}
	}
	return nil
}
