package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

type auditExportOptions struct {
	since string
	older time.Duration
	again bool
}

func newAuditExportCommand(g *global, c console) *cobra.Command {
	var opts auditExportOptions
	cmd := &cobra.Command{
		Use:   "export DIR",
		Short: "Write the sealed log into a directory, for auditors",
		Long: `Write the sealed log into a directory on the vault's host, as C2SP tlog-tiles with a signed checkpoint, with the log keys wrapped for each
auditor and a page of charts, summary.html. A directory that holds an earlier export gets what is new. Entries stay sealed; what may be
checked without their keys is checked by "vault audit verify". That the log was exported, by whom and where to, stands in the log.

Sealed entries of long ago may be left out, in whole bundles of 256: the tree still verifies, and log.json says where they begin. Where an
earlier export wrote them into the directory, they are removed from it; an export that asks for them brings them back. An export that broke
off goes on when it is run again, and --again repairs a directory whose files were damaged or lost. A directory that holds something else
under one of the log's names is refused, and no link in it is followed.`,
		Example: `  vault audit export /media/auditor/log
  vault audit export /media/auditor/log --without-bodies-older-than 8784h
  vault audit export /media/auditor/log --again`,
		Args: command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			since, err := opts.bodiesSince(c.now(), cmd.Flags().Changed("without-bodies-older-than"))
			if err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			progress, done := bar(c.errOut, "exporting")
			export, err := client.ExportLog(cmd.Context(), control.ExportQuery{Dir: dir, BodiesSince: since, Again: opts.again}, progress)
			done()
			if errors.Is(err, context.Canceled) {
				return fmt.Errorf("what is written stays; run it again, and it goes on: %w", err)
			}
			if err != nil {
				return err
			}
			if export.Auditors == 0 {
				fmt.Fprintln(c.errOut, "warning: nobody reads this log: it has no auditor, and whoever is added reads from then on only; see vault audit auditor add --help")
			}
			return g.print(c.out, export, func(w io.Writer) {
				fmt.Fprintf(w, "%d entries in %s, root %s\n", export.Size, export.Dir, export.Root)
				if export.Bodies > 0 {
					fmt.Fprintf(w, "sealed entries before %d are left out\n", export.Bodies)
				}
			})
		},
	}
	cmd.Flags().StringVar(&opts.since, "bodies-since", "", "leave sealed entries from before this UTC day out (YYYY-MM-DD)")
	cmd.Flags().DurationVar(&opts.older, "without-bodies-older-than", 0, "leave sealed entries out that are older than this, as 8784h")
	cmd.Flags().BoolVar(&opts.again, "again", false, "write also what an earlier export wrote, where it is not as it was")
	g.actingFlags(cmd)
	return cmd
}

// bodiesSince is the time from which on bodies are wanted; zero for all.
func (o auditExportOptions) bodiesSince(now time.Time, aged bool) (time.Time, error) {
	if aged && (o.older <= 0 || o.since != "") {
		return time.Time{}, fmt.Errorf("%w: give --bodies-since DAY or --without-bodies-older-than AGE (as 8784h), not both", command.ErrUsage)
	}
	if o.older > 0 {
		return now.Add(-o.older), nil
	}
	if o.since == "" {
		return time.Time{}, nil
	}
	since, err := time.Parse(time.DateOnly, o.since)
	if err != nil {
		return since, fmt.Errorf("%w: --bodies-since is a day, YYYY-MM-DD", command.ErrUsage)
	}
	if since.After(now) {
		return since, fmt.Errorf("%w: --bodies-since is a day that has not come; every sealed entry would be left out", command.ErrUsage)
	}
	return since, nil
}
