package main

import (
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newFindingsShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show NUMBER",
		Short:   "Show an integrity finding: what it means, which bag or file, and what to do",
		Example: "  vault findings show 17",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			number, err := findingNumber(args[0])
			if err != nil {
				return err
			}
			return ask(g, c, func(client *control.Client) (control.Finding, error) {
				return client.Finding(cmd.Context(), number)
			}, printFinding)
		},
	}
	g.readingFlags(cmd)
	return cmd
}

// findingNumber reads what names a finding.
func findingNumber(text string) (uint64, error) {
	number, err := strconv.ParseUint(text, 10, 63)
	if err != nil || number == 0 {
		return 0, fmt.Errorf("%w: a finding is named by its number, as vault findings list shows it", command.ErrUsage)
	}
	return number, nil
}

func printFinding(w io.Writer, f control.Finding) {
	command.Row(w, "finding", f.Number)
	command.Row(w, "kind", f.Kind)
	known := meanings[f.Kind]
	command.Row(w, "means", orDash(known.means))
	command.Row(w, "time", moment(f.Time))
	command.Row(w, "found by", f.Actor)
	command.Row(w, "origin", f.Origin)
	if f.Count > 1 {
		command.Row(w, "counts", fmt.Sprintf("%d of its kind", f.Count))
	}
	for _, member := range []struct{ name, value string }{{"merchant", f.Merchant}, {"relay", f.Relay}, {"run", f.Run}} {
		if member.value != "" {
			command.Row(w, member.name, member.value)
		}
	}
	if f.Bag != 0 {
		command.Row(w, "bag", f.Bag)
	}
	if f.Through != 0 {
		command.Row(w, "through bag", f.Through)
	}
	if f.Index != nil {
		command.Row(w, "envelope in the bag", *f.Index)
	}
	if f.Evidence != "" {
		command.Row(w, "evidence", f.Evidence)
	}
	if f.Detail != "" {
		command.Row(w, "detail", f.Detail)
	}
	if f.Entry != nil {
		command.Row(w, "entry of the log", *f.Entry)
	}
	command.Row(w, "acknowledged", acknowledged(f))
	if a := f.Acknowledged; a != nil {
		command.Row(w, "reason", a.Reason)
	}
	command.Row(w, "what to do", orDash(known.todo))
}
