package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/auditor"
)

// pinnedHelp is what --verifier takes.
const pinnedHelp = "the vault's verifier key, or @FILE with it: pinned by you"

// pinned reads the vault's key that an auditor has pinned; where is what it must not be taken from.
func pinned(given, where string) (note.Verifier, error) {
	line, err := command.Line(given, "verifier")
	if err != nil {
		return note.Verifier{}, fmt.Errorf("%w: --verifier: %w", command.ErrUsage, err)
	}
	key, err := note.ParseVerifier(line)
	if err != nil {
		return key, fmt.Errorf("%w: --verifier is the vault's one-line key, pinned by you and not taken from %s: %w", command.ErrUsage, where, err)
	}
	return key, nil
}

type auditVerifyOptions struct {
	verifier string
	earlier  []string // files
}

func newAuditVerifyCommand(g *global, c console) *cobra.Command {
	var opts auditVerifyOptions
	cmd := &cobra.Command{
		Use:   "verify DIR --verifier VKEY",
		Short: "Verify an exported log, anywhere, from its files alone",
		Long: `Verify an exported log from its files alone: the checkpoint's signature, every record, every hash of the tree, and every sealed entry
against its record. It needs no vault and no secret. Exit code 7 when anything does not verify. The page for people, summary.html, is checked by
the vault's signature at its end; of one without a signature, as older builds wrote it, the report says that nothing covers it.

Give --earlier what was seen of the log before: a checkpoint of an earlier export, one that a relay gave (GET /v1/log/checkpoint), the proof of
a result, or the log.json in which a storefront keeps what it saw. The log must begin with each of them.

Sealed entries may be left out by whoever exported, in whole bundles before an index that log.json names: they are counted, and nobody signs
that they were left out and not lost. Whether a wrapped log key is the right one, only its auditor finds out.`,
		Example: `  vault audit verify /media/auditor/log --verifier vault.example.com+1a2b3c4d+AbC...
  vault audit verify /media/auditor/log --verifier vault.example.com+1a2b... --earlier october/checkpoint --earlier relay.note --earlier outbox/log.json`,
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			key, err := pinned(opts.verifier, "the log")
			if err != nil {
				return err
			}
			options, err := auditor.Sources{Vault: key, Statements: opts.earlier, Read: readGiven}.Earlier()
			if err != nil {
				return err
			}
			progress, done := bar(c.errOut, "verifying")
			options.Progress = func(done, total int64) { progress(int(done), int(total)) }
			report, err := audit.Verify(cmd.Context(), args[0], key, options)
			done()
			if err != nil && !errors.Is(err, audit.ErrIntegrity) {
				return err
			}
			return errors.Join(g.print(c.out, report, func(w io.Writer) { printReport(w, report) }), err)
		},
	}
	cmd.Flags().StringVar(&opts.verifier, "verifier", "", pinnedHelp)
	cmd.Flags().StringArrayVar(&opts.earlier, "earlier", nil, "file with checkpoints that were seen before (again for more)")
	g.readingFlags(cmd)
	return cmd
}

func printReport(w io.Writer, r audit.Report) {
	command.Row(w, "log", r.Origin)
	command.Row(w, "entries", r.Size)
	command.Row(w, "verified", r.Verified)
	if r.Absent > 0 {
		command.Row(w, "left out", r.Absent, "sealed entries, as log.json says; their records and hashes are here")
	}
	if r.Earlier > 0 {
		command.Row(w, "begins with", r.Earlier, "earlier checkpoints")
	}
	command.Row(w, "wrapped keys", r.Wraps)
	switch r.Summary {
	case audit.SummarySigned:
		command.Row(w, "page", "summary.html is as the vault signed it")
	case audit.SummaryUnsigned:
		command.Row(w, "page", "nothing covers summary.html: anybody may have written it")
	}
	command.Row(w, "root", r.Root)
	command.Row(w, "problems", r.Count)
	for _, p := range r.Problems {
		at := "  log"
		if p.Index >= 0 {
			at = fmt.Sprintf("  entry %d", p.Index)
		}
		command.Row(w, at, p.File, p.What)
	}
}
