package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nightdrop/shared/text"
	"nightdrop/vault/internal/control"
)

type unlockOptions struct {
	shares       []string // files
	confirmClock bool
	rebuild      bool
	newest       bool // the ledger is
}

// maxShareBytes bounds a share file: a share is one line.
const maxShareBytes = 4096

func newUnlockCommand(g *global, c console) *cobra.Command {
	var opts unlockOptions
	cmd := &cobra.Command{
		Use:   "unlock [--share FILE]...",
		Short: "Give the custodians' shares and open the vault",
		Long: `Give the custodians' shares and open the vault. Shares are read from files, or, where none is named, one a line from a prompt or
standard input until the vault has enough.

Where the vault was off for long, or its clock jumped, it destroys no key until custodians vouch for the clock with
--confirm-clock; on an unlocked vault that checks their shares and confirms the clock.

Where the mark of how far the ledger had come (ledger.db.high-water) cannot be read, the journal shows whether the ledger is the
newest; without a journal custodians vouch for it with --confirm-ledger, where no copy was put in its place.

A ledger of an older build is rebuilt from its own log first; vault status says how far that has come. The file before is kept
beside it as ledger.db.v2-TIME: it holds what the ledger holds, so treat it like the ledger, and remove it after a week of work.
With --rebuild a ledger of the current format is rebuilt too: the cure where records or indexes are not what the log makes them.`,
		Example: "  vault unlock --dir /var/lib/nightdrop --share /media/a/vault.example.com-share-1 --share /media/b/vault.example.com-share-2",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			client, err := g.client()
			if err != nil {
				return err
			}
			unlocked, err := runUnlock(cmd.Context(), opts, client, c)
			if err != nil {
				return err
			}
			return g.print(c.out, unlocked, func(w io.Writer) {
				state := "unlocked"
				if unlocked.Already {
					state = "is unlocked already"
				}
				fmt.Fprintf(w, "%s %s; clock %s\n", unlocked.Vault, state, unlocked.Clock)
				if r := unlocked.Rebuilt; r != nil {
					fmt.Fprintf(w, "the ledger (%s, %d entries) was rebuilt from its log; the file before is %s\n", r.Format, r.Entries, r.Kept)
				}
			})
		},
	}
	cmd.Flags().StringArrayVar(&opts.shares, "share", nil, "file of a custodian's share; repeat it for each")
	cmd.Flags().BoolVar(&opts.confirmClock, "confirm-clock", false, "the custodians vouch for the vault's clock")
	cmd.Flags().BoolVar(&opts.newest, "confirm-ledger", false, "the custodians vouch that the ledger is the newest one")
	cmd.Flags().BoolVar(&opts.rebuild, "rebuild", false, "rebuild the ledger from its log first, though its format is the current one")
	g.actingFlags(cmd)
	return cmd
}

func runUnlock(ctx context.Context, opts unlockOptions, client *control.Client, c console) (control.Unlocked, error) {
	shares, err := opts.read(ctx, client, c)
	defer func() {
		for _, share := range shares {
			clear(share)
		}
	}()
	if err != nil {
		return control.Unlocked{}, err
	}
	return client.Unlock(ctx, shares, control.UnlockOptions{ConfirmClock: opts.confirmClock, ConfirmLedger: opts.newest, Rebuild: opts.rebuild})
}

func (o unlockOptions) read(ctx context.Context, client *control.Client, c console) (shares [][]byte, err error) {
	for _, path := range o.shares {
		share, err := readShare(path)
		if err != nil {
			return shares, err
		}
		shares = append(shares, share)
	}
	if len(shares) > 0 {
		return shares, nil
	}
	if file, ok := c.in.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		status, err := client.Status(ctx)
		if err != nil {
			return nil, err
		}
		return promptShares(file, c.errOut, status.Threshold)
	}
	scanner := bufio.NewScanner(text.NewReader(io.LimitReader(c.in, 64*maxShareBytes)))
	for scanner.Scan() {
		if line := bytes.TrimSpace(scanner.Bytes()); len(line) > 0 {
			shares = append(shares, bytes.Clone(line))
		}
	}
	if len(shares) == 0 && scanner.Err() == nil {
		return nil, fmt.Errorf("%w: no share: name files with --share, or give one a line on standard input", errUsage)
	}
	return shares, scanner.Err()
}

func readShare(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read share: %w", err)
	}
	defer f.Close()
	share, err := io.ReadAll(io.LimitReader(f, maxShareBytes))
	if err != nil {
		return nil, fmt.Errorf("read share: %w", err)
	}
	return bytes.TrimSpace(text.WithoutMark(share)), nil
}

// promptShares asks for each share without echo.
func promptShares(terminal *os.File, errOut io.Writer, needed int) (shares [][]byte, err error) {
	for i := range needed {
		fmt.Fprintf(errOut, "share %d of %d: ", i+1, needed)
		share, err := term.ReadPassword(int(terminal.Fd()))
		fmt.Fprintln(errOut)
		if err != nil {
			return shares, fmt.Errorf("read share: %w", err)
		}
		shares = append(shares, bytes.TrimSpace(share))
	}
	return shares, nil
}
