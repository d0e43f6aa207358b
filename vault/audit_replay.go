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

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/auditor"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/replay"
)

// replayOptions say where an auditor's replay gets what it needs.
type replayOptions struct {
	verifier   string
	identity   string
	from, save string
	statements []string // files of notes
	files      []string // settlement files
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
and --file the settlement files of the outbox.`,
		Example: `  vault audit replay /media/log --verifier vault.example.com+1a2b... --identity anna.key --from anna.state --save november.state
  vault audit replay /media/log --verifier vault.example.com+1a2b... --identity anna.key --from november.state --statement checkpoint.note`,
		Args: arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return opts.run(cmd.Context(), args[0], g, c)
		},
	}
	opts.flags(cmd)
	cmd.Flags().StringVar(&opts.save, "save", "", "new file for the state at the end, for the next replay")
	cmd.Flags().StringArrayVar(&opts.statements, "statement", nil, "file with a note that the vault signed (again for more)")
	cmd.Flags().StringArrayVar(&opts.files, "file", nil, "settlement file, named as in the outbox (again for more)")
	g.readingFlags(cmd)
	return cmd
}

// run replays, prints the report, and saves the state where nothing was found.
func (o *replayOptions) run(ctx context.Context, dir string, g *global, c console) error {
	if err := durable.Fresh(o.save); err != nil {
		return err
	}
	r, err := o.open(dir)
	if err != nil {
		return err
	}
	defer r.From.Close() //nolint:errcheck // a file without a name
	progress, done := bar(c.errOut, "replaying")
	if progress != nil {
		r.Progress = func(done, total int64) { progress(int(done), int(total)) }
	}
	report, err := replay.Run(ctx, r)
	done()
	if err != nil {
		return err
	}
	if err := errors.Join(g.print(c.out, report, func(w io.Writer) { printReplay(w, report) }), report.Err()); err != nil || o.save == "" {
		return err
	}
	return durable.WriteNew(o.save, func(f *os.File) error { return r.From.Save(f, o.owner) })
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
		return r, fmt.Errorf("%w: --identity is the file that `vault audit auditor keygen` wrote", errUsage)
	}
	s := auditor.Sources{Vault: vault, Identity: o.identity, From: o.from, Statements: o.statements, Files: o.files, Open: openGiven, Read: readGiven}
	r, o.owner, err = s.Replay(dir)
	return r, err
}

func printReplay(w io.Writer, r *replay.Report) {
	row(w, "log", r.Origin)
	row(w, "entries", r.Size)
	row(w, "replayed", fmt.Sprintf("%d (from %d on)", r.Through-r.From, r.From), map[string]string{replay.ByVault: "opening signed by the vault",
		replay.ByReplay: "from the state of an earlier replay"}[r.By])
	row(w, "not opened", r.Closed)
	row(w, "results", r.Results, "as their leaves say")
	row(w, "statements", r.Compared, "agree")
	for _, text := range r.Not {
		row(w, "  not compared", text)
	}
	if s := r.Sums; s != nil {
		row(w, "merchants", s.Merchants)
		row(w, "payments", s.Payments)
		row(w, "batches", s.Batches, fmt.Sprintf("%d settled", s.Settled))
		row(w, "files", s.Files)
		for _, m := range s.Money {
			row(w, m.State, envelope.FormatSum(m.Count, m.Amount, m.Currency), "back "+envelope.FormatSum(m.Credits, m.CreditAmount, m.Currency))
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(r.Found)) {
		row(w, "logged", kind, r.Found[kind])
	}
	row(w, "root", r.Root)
	row(w, "findings", r.Count)
	for _, f := range r.Findings {
		at := "  log"
		if f.Index >= 0 {
			at = fmt.Sprintf("  entry %d", f.Index)
		}
		row(w, at, f.What)
	}
	if r.Gap != "" {
		row(w, "not replayed", r.Gap)
	}
}
