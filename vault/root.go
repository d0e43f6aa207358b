package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// console is where a command reads and writes, and its clock.
type console struct {
	in          io.Reader
	out, errOut io.Writer
	now         func() time.Time
}

// global are the flags of every command.
type global struct {
	dir    string // the vault's directory
	reason string // what for, in the log
	json   bool
}

// dirVariable names the vault's directory where --dir does not.
const dirVariable = "NIGHTDROP_VAULT_DIR"

// run runs one command line and returns its exit code.
func run(ctx context.Context, args []string, c console) int {
	return exitCode(command.Run(ctx, args, c.out, c.errOut, func(out io.Writer) *cobra.Command {
		c.out = out
		return newRootCommand(c)
	}))
}

func newRootCommand(c console) *cobra.Command {
	g := &global{}
	root := command.Root("vault", "The offline vault of Nightdrop: daemon and operators' command line", exitHelp)
	root.SetIn(c.in)
	flags := root.PersistentFlags()
	flags.StringVar(&g.dir, "dir", os.Getenv(dirVariable), "the vault's directory (or "+dirVariable+")")
	root.AddCommand(
		hardened(newInitCommand(g, c)), newServeCommand(g, c), hardened(newUnlockCommand(g, c)), newLockCommand(g, c), newStatusCommand(g, c), command.NewVersion("vault"),
		newInspectCommand(c), newCheckCommand(g, c), newCheckConfigCommand(g, c),
		command.Group("merchant", "Merchants: add, list, show, suspend, resume, policy",
			newMerchantAddCommand(g, c), newMerchantUpdateCommand(g, c), newMerchantListCommand(g, c), newMerchantShowCommand(g, c), newMerchantSuspendCommand(g, c), newMerchantResumeCommand(g, c),
			newMerchantPolicyCommand(g, c)),
		command.Group("directory", "The signed list of sealing keys: show, publish", newDirectoryShowCommand(g, c), newDirectoryPublishCommand(g, c)),
		command.Group("key", "Sealing keys: list", newKeyListCommand(g, c)),
		command.Group("batch", "Batches: list, show, close, settle, adjust, compare, report",
			newBatchListCommand(g, c), newBatchShowCommand(g, c), newBatchCloseCommand(g, c), newBatchSettleCommand(g, c), newBatchAdjustCommand(g, c), newBatchCompareCommand(g, c),
			newBatchReportCommand(g, c)),
		command.Group("payment", "Payments: list, show, resolve, resend", newPaymentListCommand(g, c), newPaymentShowCommand(g, c), newPaymentResolveCommand(g, c),
			newPaymentResendCommand(g, c)),
		command.Group("results", "Results for merchants: resend", newResultsResendCommand(g, c)),
		command.Group("findings", "Integrity findings: list, show, acknowledge", newFindingsListCommand(g, c), newFindingsShowCommand(g, c),
			newFindingsAcknowledgeCommand(g, c)),
		command.Group("returns", "Files of the bank: import", newReturnsImportCommand(g, c)),
		command.Group("audit", "The sealed log: export, auditor, opening, verify, replay, prove", newAuditExportCommand(g, c), hardened(newAuditAuditorCommand(g, c)),
			newAuditOpeningCommand(g, c), newAuditVerifyCommand(g, c), hardened(newAuditReplayCommand(g, c)), newAuditProveCommand(g, c)),
	)
	g.completeAll(root)
	return root
}

// readingFlags gives a reading command its --json.
func (g *global) readingFlags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&g.json, "json", false, "print JSON")
}

// actingFlags gives an acting command its --reason and --json.
func (g *global) actingFlags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&g.reason, "reason", "", "what for: stands in the log for ever (at most 200 bytes)")
	g.readingFlags(cmd)
}

// client connects to the daemon of the vault's directory.
func (g *global) client() (*control.Client, error) {
	s, err := g.settings()
	if err != nil {
		return nil, err
	}
	return control.NewClient(s.Socket, g.reason), nil
}

// settings reads the vault's configuration.
func (g *global) settings() (settings.Settings, error) {
	if g.dir == "" {
		return settings.Settings{}, fmt.Errorf("%w: give the vault's directory with --dir or %s", command.ErrUsage, dirVariable)
	}
	s, err := settings.Load(g.dir)
	if errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("there is no vault in %s (make one with `vault init`): %w", g.dir, err)
	}
	return s, err
}
