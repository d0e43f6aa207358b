package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

const (
	// daemonWait is how long an unlock waits for a daemon that is starting.
	daemonWait = 5 * time.Second
	// rebuildLook is how often an unlock asks how far the rebuilding of the ledger is.
	rebuildLook = time.Second
)

type unlockOptions struct {
	shares       []string // files
	confirmClock bool
	rebuild      bool
	newest       bool // the ledger is
}

// asked is what the unlock is asked for beyond opening the vault.
func (o unlockOptions) asked() control.UnlockOptions {
	return control.UnlockOptions{ConfirmClock: o.confirmClock, ConfirmLedger: o.newest, Rebuild: o.rebuild}
}

func newUnlockCommand(g *global, c console) *cobra.Command {
	var opts unlockOptions
	cmd := &cobra.Command{
		Use:   "unlock [--share FILE]...",
		Short: "Give the custodians' shares and open the vault",
		Long: `Give the custodians' shares and open the vault. Shares are read from files, or, where none is named, one a line from a prompt or
standard input until the vault has enough.

Each share is checked by itself, and a wrong one is named: at the prompt it is asked for again, by its number, and those given before
stand; of files and lines all wrong ones are named. What is pasted at the prompt beyond that is thrown away, shown to nobody and
left to no other program.

A share file that others than its owner may read or write is refused. Sticks with FAT or exFAT have no modes of their own: mount them with
umask=077, or give the share on standard input.

Where the vault was off for long, or its clock jumped, it destroys no key until custodians vouch for the clock with
--confirm-clock; on an unlocked vault that checks their shares and confirms the clock.

Where the mark of how far the ledger had come (ledger.db.high-water) cannot be read, the journal shows whether the ledger is the
newest; without a journal custodians vouch for it with --confirm-ledger, where no copy was put in its place. So they do where a place of
the journal holds less than was journalled there: until then the vault takes no bag, sends nothing and destroys no key of a stored
account; afterwards the place is filled again. Ask the acquirer first whether it knows of later payments than this ledger.

A ledger of an older build is rebuilt from its own log first; unlock and vault status say how far that has come. The file before is kept
beside it as ledger.db.v2-TIME: it holds what the ledger holds, so treat it like the ledger, and remove it after a week of work.
With --rebuild a ledger of the current format is rebuilt too: the cure where records or indexes are not what the log makes them.`,
		Example: `  vault unlock --dir /var/lib/nightdrop --share /media/a/vault.example.com-share-1 --share /media/b/vault.example.com-share-2
  cat /media/a/vault.example.com-share-1 /media/b/vault.example.com-share-2 | vault unlock`,
		Args: command.NoArguments,
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
				if unlocked.LedgerConfirmed {
					fmt.Fprintln(w, "the ledger is confirmed; what the journal lacks is sent again")
				}
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

func runUnlock(ctx context.Context, opts unlockOptions, client *control.Client, c console) (unlocked control.Unlocked, err error) {
	if file, ok := c.in.(*os.File); ok && len(opts.shares) == 0 && term.IsTerminal(int(file.Fd())) {
		return promptAndUnlock(ctx, opts, client, file, c.errOut)
	}
	var shares []givenShare
	defer func() { clearShares(shares) }()
	if len(opts.shares) > 0 {
		shares, err = readShareFiles(opts.shares)
	} else {
		shares, err = readShareLines(c.in)
	}
	if err != nil {
		return control.Unlocked{}, err
	}
	if err := client.Await(ctx, daemonWait); err != nil {
		return control.Unlocked{}, err
	}
	if err := checkGiven(ctx, client, shares); err != nil {
		return control.Unlocked{}, err
	}
	return unlockAndShow(ctx, client, shares, opts, c.errOut)
}

// unlockAndShow unlocks, and shows how far the rebuilding of a ledger is, which the daemon's status
// says.
func unlockAndShow(ctx context.Context, client *control.Client, shares []givenShare, opts unlockOptions, errOut io.Writer) (control.Unlocked, error) {
	progress, done := bar(errOut, "unlocking")
	defer done()
	asking, stop := context.WithCancel(ctx)
	var asked sync.WaitGroup
	asked.Go(func() {
		for ticker := time.NewTicker(rebuildLook); ; {
			select {
			case <-asking.Done():
				ticker.Stop()
				return
			case <-ticker.C:
			}
			if s, err := client.Status(asking); err == nil && s.Rebuilding != nil {
				progress(int(s.Rebuilding.Done), int(s.Rebuilding.Total))
			}
		}
	})
	defer asked.Wait()
	defer stop()
	return client.Unlock(ctx, linesOf(shares), opts.asked())
}

// promptAndUnlock asks for the shares. From before the first question until the answer to the last
// is known, nothing that is typed or pasted is shown, and what nobody read of it is thrown away: a
// shell would keep it in its history.
func promptAndUnlock(ctx context.Context, opts unlockOptions, client *control.Client, file *os.File, errOut io.Writer) (control.Unlocked, error) {
	terminal, err := hide(file)
	if err != nil {
		return control.Unlocked{}, err
	}
	defer terminal.show()
	if err := client.Await(ctx, daemonWait); err != nil {
		return control.Unlocked{}, err
	}
	status, err := client.Status(ctx)
	if err != nil {
		return control.Unlocked{}, err
	}
	shares, err := promptShares(ctx, client, terminal, errOut, status.Threshold)
	defer clearShares(shares)
	if err != nil {
		return control.Unlocked{}, err
	}
	return unlockAndShow(ctx, client, shares, opts, errOut)
}
