package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

type findingsListOptions struct {
	query control.FindingQuery
	all   bool // acknowledged ones and those that alarm nobody too
}

func newFindingsListCommand(g *global, c console) *cobra.Command {
	var opts findingsListOptions
	cmd := &cobra.Command{
		Use:   "list [--kind KIND] [--all]",
		Short: "List integrity findings that nobody has acknowledged, the newest first",
		Long: `List integrity findings that nobody has acknowledged, the newest first. With --all those too that were acknowledged, and those that tell of
the end of something or of people's words. "vault findings show" explains one, and what to do about it.`,
		Example: "  vault findings list\n  vault findings list --all --kind bag-missing --limit 1000 --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.query.Limit < 1 || opts.query.Limit > control.MaxPage {
				return fmt.Errorf("%w: --limit is 1 to %d", command.ErrUsage, control.MaxPage)
			}
			if err := checkFinding(opts.query.Kind); err != nil {
				return err
			}
			client, err := g.client()
			if err != nil {
				return err
			}
			return runFindingsList(cmd.Context(), opts, client, g, c)
		},
	}
	flags := cmd.Flags()
	flags.StringVar((*string)(&opts.query.Kind), "kind", "", "only findings of this kind")
	flags.BoolVar(&opts.all, "all", false, "acknowledged ones too, and those that alarm nobody")
	flags.Uint64Var(&opts.query.Before, "before", 0, "only those before the finding of this number")
	flags.IntVar(&opts.query.Limit, "limit", 100, fmt.Sprintf("at most so many, 1 to %d", control.MaxPage))
	g.readingFlags(cmd)
	return cmd
}

func runFindingsList(ctx context.Context, opts findingsListOptions, client *control.Client, g *global, c console) error {
	opts.query.Open = !opts.all
	findings, err := client.Findings(ctx, opts.query)
	if err != nil {
		return err
	}
	if n := len(findings); n == opts.query.Limit {
		fmt.Fprintf(c.errOut, "there may be more: go on with --before %d\n", findings[n-1].Number)
	}
	return g.print(c.out, findings, func(w io.Writer) {
		command.Row(w, "FINDING", "KIND", "TIME", "TIMES", "WHERE", "DETAIL", "ACKNOWLEDGED")
		for _, f := range findings {
			command.Row(w, f.Number, f.Kind, moment(f.Time), f.Count, orDash(whereFound(f)), f.Detail, acknowledged(f))
		}
	})
}

// checkFinding refuses a kind that no finding has.
func checkFinding(kind book.Finding) error {
	if kind == "" {
		return nil
	}
	if _, known := meanings[kind]; !known {
		return fmt.Errorf("%w: --kind is none of the kinds of findings: %s", command.ErrUsage, findingKinds())
	}
	return nil
}

// whereFound returns which bag, merchant or file a finding is about; "" where it is about none.
func whereFound(f control.Finding) string {
	where := f.Merchant
	if f.Relay != "" {
		if where != "" {
			where += ", "
		}
		where += f.Relay
	}
	if f.Run != "" {
		where = fmt.Sprintf("%s bag %.8s/%d", where, f.Run, f.Bag)
		if f.Through > f.Bag {
			where = fmt.Sprintf("%s to %d", where, f.Through)
		}
		if f.Index != nil {
			where = fmt.Sprintf("%s, envelope %d", where, *f.Index)
		}
	}
	return where
}

func acknowledged(f control.Finding) string {
	switch {
	case f.Acknowledged != nil:
		return f.Acknowledged.Actor + " on " + moment(f.Acknowledged.Time)
	case !f.Alarming:
		return "needs none"
	}
	return "-"
}
