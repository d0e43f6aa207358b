package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/text"
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
	out := text.NewOutput(c.out)
	c.out = out
	root := newRootCommand(c)
	root.SetArgs(args)
	err := out.Told(root.ExecuteContext(ctx))
	if err != nil {
		fmt.Fprintf(c.errOut, "vault: %v\n", err)
	}
	return exitCode(err)
}

func newRootCommand(c console) *cobra.Command {
	g := &global{}
	root := group("vault", "The offline vault of Nightdrop: daemon and operators' command line")
	root.Long = "The offline vault of Nightdrop: daemon and operators' command line.\n\n" + exitHelp
	root.SilenceErrors, root.SilenceUsage = true, true
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetIn(c.in)
	root.SetOut(c.out)
	root.SetErr(c.errOut)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w (see %s --help)", errUsage, err, cmd.CommandPath())
	})
	flags := root.PersistentFlags()
	flags.StringVar(&g.dir, "dir", os.Getenv(dirVariable), "the vault's directory (or "+dirVariable+")")
	root.AddCommand(
		hardened(newInitCommand(g, c)), newServeCommand(g, c), hardened(newUnlockCommand(g, c)), newLockCommand(g, c), newStatusCommand(g, c), newVersionCommand(g, c),
		newInspectCommand(c), newCheckCommand(g, c), newCheckConfigCommand(g, c),
		group("merchant", "Merchants: add, list, show, suspend, resume, policy",
			newMerchantAddCommand(g, c), newMerchantListCommand(g, c), newMerchantShowCommand(g, c), newMerchantSuspendCommand(g, c), newMerchantResumeCommand(g, c),
			newMerchantPolicyCommand(g, c)),
		group("directory", "The signed list of sealing keys: show, publish", newDirectoryShowCommand(g, c), newDirectoryPublishCommand(g, c)),
		group("key", "Sealing keys: list", newKeyListCommand(g, c)),
		group("batch", "Batches: list, show, close, settle, adjust, compare, report",
			newBatchListCommand(g, c), newBatchShowCommand(g, c), newBatchCloseCommand(g, c), newBatchSettleCommand(g, c), newBatchAdjustCommand(g, c), newBatchCompareCommand(g, c),
			newBatchReportCommand(g, c)),
		group("payment", "Payments: list, show, resolve, resend", newPaymentListCommand(g, c), newPaymentShowCommand(g, c), newPaymentResolveCommand(g, c),
			newPaymentResendCommand(g, c)),
		group("results", "Results for merchants: resend", newResultsResendCommand(g, c)),
		group("findings", "Integrity findings: list, show, acknowledge", newFindingsListCommand(g, c), newFindingsShowCommand(g, c),
			newFindingsAcknowledgeCommand(g, c)),
		group("returns", "Files of the bank: import", newReturnsImportCommand(g, c)),
		group("audit", "The sealed log: export, auditor, opening, verify, replay, prove", newAuditExportCommand(g, c), hardened(newAuditAuditorCommand(g, c)),
			newAuditOpeningCommand(g, c), newAuditVerifyCommand(g, c), hardened(newAuditReplayCommand(g, c)), newAuditProveCommand(g, c)),
	)
	return root
}

// group is a command that only holds others.
func group(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs, RunE: func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		hint := ""
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			hint = "; did you mean " + strings.Join(near, " or ") + "?"
		}
		return fmt.Errorf("%w: %s has no command %q%s", errUsage, cmd.CommandPath(), args[0], hint)
	}}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(commands...)
	return cmd
}

// arguments is cobra's check with our exit code.
func arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return fmt.Errorf("%w: %w (see %s --help)", errUsage, err, cmd.CommandPath())
		}
		return nil
	}
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
		return settings.Settings{}, fmt.Errorf("%w: give the vault's directory with --dir or %s", errUsage, dirVariable)
	}
	s, err := settings.Load(g.dir)
	if errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("there is no vault in %s (make one with `vault init`): %w", g.dir, err)
	}
	return s, err
}
