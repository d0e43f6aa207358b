package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/config"
)

// checked is what check-config reports.
type checked struct {
	OK       bool             `json:"ok"`
	File     string           `json:"file"`
	Problems []config.Problem `json:"problems"` // for which `vault serve` does not start
	Warnings []string         `json:"warnings"` // with which it does
}

func newCheckConfigCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check-config",
		Short: "Check vault.toml and all that it names",
		Long: `Check the vault's configuration and all that it names: keys and certificates (do they belong together, what for, have they expired),
addresses, directories, the dialect, the bank, times, the socket's place, the modes of files with secrets. It asks what "vault serve" asks before
it starts, and refuses what that refuses, in the same words: every problem at once, each with its key, what is wrong and what to do. It changes
nothing, dials nothing, and needs neither shares nor a daemon, which may run. Warnings are what a daemon starts with and a person should look
at: certificates that expire within 30 days, and what destroying a key does not reach on this host (ops/docs/destruction.md).`,
		Example: "  vault check-config --dir /var/lib/nightdrop\n  vault check-config --dir /var/lib/nightdrop --json",
		Args:    command.NoArguments,
		RunE:    func(*cobra.Command, []string) error { return runCheckConfig(g, c) },
	}
	g.readingFlags(cmd)
	return cmd
}

func runCheckConfig(g *global, c console) error {
	s, err := g.settings()
	if err != nil && (g.dir == "" || errors.Is(err, os.ErrNotExist)) {
		return err // there is no configuration to speak of
	}
	answer := checked{File: s.Path(), Warnings: []string{}}
	if err == nil {
		answer.Warnings = s.Warnings(c.now())
		err = s.Check(c.now())
	}
	found := config.NewProblems("")
	found.AddError("", err)
	answer.OK, answer.Problems = err == nil, found.List()
	printed := g.print(c.out, answer, func(w io.Writer) {
		for _, warning := range answer.Warnings {
			command.Row(w, "warning: "+warning)
		}
		if answer.OK {
			command.Row(w, fmt.Sprintf("ok: a daemon starts with %s", answer.File))
		}
	})
	return errors.Join(err, printed)
}
