package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/note"
	"nightdrop/vault/internal/audit"
)

func newAuditVerifyCommand(g *global, c console) *cobra.Command {
	var verifier string
	cmd := &cobra.Command{
		Use:   "verify DIR --verifier VKEY",
		Short: "Verify an exported log, anywhere, from its files alone",
		Long: `Verify an exported log from its files alone: the checkpoint's signature, every record, every hash of the tree, and every sealed entry
against its record. It needs no vault and no secret. Exit code 7 when anything does not verify.

Sealed entries may be left out by whoever exported, in whole bundles before an index that log.json names: they are counted, and nobody signs
that they were left out and not lost. Whether a wrapped log key is the right one, only its auditor finds out.`,
		Example: "  vault audit verify /media/auditor/log --verifier vault.example.com+1a2b3c4d+AbC...",
		Args:    arguments(cobra.ExactArgs(1)),
		RunE: func(_ *cobra.Command, args []string) error {
			key, err := note.ParseVerifier(verifier)
			if err != nil {
				return fmt.Errorf("%w: --verifier is the vault's one-line key, pinned by you and not taken from the log: %w", errUsage, err)
			}
			progress, done := bar(c.errOut, "verifying")
			report, err := audit.Verify(args[0], key, func(done, total int64) {
				if progress != nil {
					progress(int(done), int(total))
				}
			})
			done()
			if err != nil && !errors.Is(err, audit.ErrIntegrity) {
				return err
			}
			return errors.Join(g.print(c.out, report, func(w io.Writer) { printReport(w, report) }), err)
		},
	}
	cmd.Flags().StringVar(&verifier, "verifier", "", "the vault's verifier key")
	g.readingFlags(cmd)
	return cmd
}

func printReport(w io.Writer, r audit.Report) {
	row(w, "log", r.Origin)
	row(w, "entries", r.Size)
	row(w, "verified", r.Verified)
	if r.Absent > 0 {
		row(w, "left out", r.Absent, "sealed entries, as log.json says; their records and hashes are here")
	}
	row(w, "wrapped keys", r.Wraps)
	row(w, "root", r.Root)
	row(w, "problems", r.Count)
	for _, p := range r.Problems {
		row(w, fmt.Sprintf("  entry %d", p.Index), p.File, p.What)
	}
}
