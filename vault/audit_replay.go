package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime/debug"
	"slices"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/auditor"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/replay"
	"nightdrop/vault/internal/report"
)

// replayOptions say where an auditor's replay gets what it needs.
type replayOptions struct {
	verifier   string
	identity   string
	from, save string
	statements []string // files of notes
	files      []string // settlement files
	csv, html  string   // new files for a report
	span       report.Span
	owner      *keyring.Auditor
}

func (o *replayOptions) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.verifier, "verifier", "", pinnedHelp)
	cmd.Flags().StringVar(&o.identity, "identity", "", "the auditor's own key file")
	cmd.Flags().StringVar(&o.from, "from", "", "state to begin from: the vault's opening, or what an earlier replay with this key saved")
}

func newAuditReplayCommand(g *global, c console) *cobra.Command {
	var opts replayOptions
	cmd := &cobra.Command{
		Use:   "replay DIR --verifier VKEY --identity FILE",
		Short: "Do the sums of an exported log again, anywhere, with an auditor's key",
		Long: `Do the sums of an exported log again, on a machine with nothing but this program: open the entries of the auditor's time, verify each
against the signed tree, fold them as the vault did, hold every result against its leaf, count all totals anew, and compare the end with
what the vault has signed elsewhere. Exit code 7 when anything does not hold; the first finding is named by the index of its entry.

A replay begins --from a state: the vault's signed opening (vault audit opening), or what an earlier replay with the same key saved with
--save, which nobody without that key can alter. Give
--statement files with checkpoints, positions, directories or results that were fetched before the export was made, or a storefront's log.json,
and --file the settlement files of the outbox.

--csv and --html write what the replayed log came to into new files, where nothing was found: the rows and the page of vault batch report
(which says what the columns are), made from the log alone, of all payments or of the batches --closed-from to --closed-to (UTC days). Hold
them against the vault's own of the same days: the rows must be the same.`,
		Example: `  vault audit replay /media/log --verifier vault.example.com+1a2b... --identity anna.key --from anna.state --save november.state
  vault audit replay /media/log --verifier vault.example.com+1a2b... --identity anna.key --from november.state --statement checkpoint.note
  vault audit replay /media/log --verifier vault.example.com+1a2b... --identity anna.key --from anna.state --csv november.csv --html november.html \
    --closed-from 2026-11-01 --closed-to 2026-11-30`,
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return opts.run(cmd.Context(), args[0], g, c)
		},
	}
	opts.flags(cmd)
	cmd.Flags().StringVar(&opts.save, "save", "", "new file for the state at the end, for the next replay")
	cmd.Flags().StringArrayVar(&opts.statements, "statement", nil, "file with a note that the vault signed (again for more)")
	cmd.Flags().StringArrayVar(&opts.files, "file", nil, "settlement file, named as in the outbox (again for more)")
	cmd.Flags().StringVar(&opts.csv, "csv", "", "new file for a row a payment")
	cmd.Flags().StringVar(&opts.html, "html", "", "new file for a page of what the log came to")
	cmd.Flags().StringVar(&opts.span.From, "closed-from", "", "of --csv and --html: first day on which their batches were closed, YYYY-MM-DD")
	cmd.Flags().StringVar(&opts.span.To, "closed-to", "", "the last day")
	cmd.Flags().StringVar(&opts.span.Merchant, "merchant", "", "of --csv and --html: only this merchant's batches")
	g.readingFlags(cmd)
	return cmd
}

// check looks at what is wanted before the work begins.
func (o *replayOptions) check() error {
	if o.csv == "" && o.html == "" && o.span != (report.Span{}) {
		return fmt.Errorf("%w: --closed-from, --closed-to and --merchant say what --csv and --html are of: give one of these", command.ErrUsage)
	}
	if o.csv == standardOutput || o.html == standardOutput {
		return fmt.Errorf("%w: the replay's own report is on standard output: give --csv and --html a file", command.ErrUsage)
	}
	if err := o.span.Check(); err != nil {
		return fmt.Errorf("%w: %w", command.ErrUsage, err)
	}
	return errors.Join(durable.Fresh(o.save), durable.Fresh(o.csv), durable.Fresh(o.html))
}

// run replays, prints the report, and writes the files that are asked for where nothing was found.
func (o *replayOptions) run(ctx context.Context, dir string, g *global, c console) error {
	if err := o.check(); err != nil {
		return err
	}
	r, err := o.open(dir)
	if err != nil {
		return err
	}
	defer r.From.Close() //nolint:errcheck // a file without a name
	progress, done := bar(c.errOut, "replaying")
	r.Progress = func(done, total int64) { progress(int(done), int(total)) }
	found, err := replay.Run(ctx, r)
	done()
	if err != nil {
		return err
	}
	if err := errors.Join(g.print(c.out, found, func(w io.Writer) { printReplay(w, found) }), found.Err()); err != nil {
		return err
	}
	if err := o.report(r.From, c); err != nil || o.save == "" {
		return err
	}
	return durable.WriteNew(o.save, func(f *os.File) error { return r.From.Save(f, o.owner) })
}

// report writes what the state at the end came to.
func (o *replayOptions) report(s *replay.State, c console) (err error) {
	sheet, closeSheet, err := output(o.csv, c)
	if err != nil {
		return err
	}
	defer func() { err = closeSheet(err) }()
	page, closePage, err := output(o.html, c)
	if err != nil {
		return err
	}
	defer func() { err = closePage(err) }()
	if sheet == nil && page == nil {
		return nil
	}
	return auditor.Report(s, o.owner.Name(), o.span, sheet, page)
}

// open reads everything but the log.
func (o *replayOptions) open(dir string) (r replay.Options, err error) {
	debug.SetGCPercent(replay.GCPercent)
	debug.SetMemoryLimit(replay.MemoryLimit)
	vault, err := pinned(o.verifier, "the log")
	if err != nil {
		return r, err
	}
	if o.identity == "" {
		return r, fmt.Errorf("%w: --identity is the file that `vault audit auditor keygen` wrote", command.ErrUsage)
	}
	s := auditor.Sources{Vault: vault, Identity: o.identity, From: o.from, Statements: o.statements, Files: o.files, Open: command.Open, Read: readGiven}
	r, o.owner, err = s.Replay(dir)
	return r, err
}

func printReplay(w io.Writer, r *replay.Report) {
	command.Row(w, "log", r.Origin)
	command.Row(w, "entries", r.Size)
	command.Row(w, "replayed", fmt.Sprintf("%d (from %d on)", r.Through-r.From, r.From), map[string]string{replay.ByVault: "opening signed by the vault",
		replay.ByReplay: "from the state of an earlier replay"}[r.By])
	command.Row(w, "not opened", r.Closed)
	command.Row(w, "results", r.Results, "as their leaves say")
	command.Row(w, "statements", r.Compared, "agree")
	for _, text := range r.Not {
		command.Row(w, "  not compared", text)
	}
	if s := r.Sums; s != nil {
		command.Row(w, "merchants", s.Merchants)
		command.Row(w, "payments", s.Payments)
		command.Row(w, "batches", s.Batches, fmt.Sprintf("%d settled", s.Settled))
		command.Row(w, "files", s.Files)
		for _, m := range s.Money {
			command.Row(w, m.State, envelope.FormatSum(m.Count, m.Amount, m.Currency), "back "+envelope.FormatSum(m.Credits, m.CreditAmount, m.Currency))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Found)) {
		command.Row(w, "logged", kind, r.Found[kind])
	}
	command.Row(w, "root", r.Root)
	command.Row(w, "findings", r.Count)
	for _, f := range r.Findings {
		at := "  log"
		if f.Index >= 0 {
			at = fmt.Sprintf("  entry %d", f.Index)
		}
		command.Row(w, at, f.What)
	}
	if r.Gap != "" {
		command.Row(w, "not replayed", r.Gap)
	}
}
