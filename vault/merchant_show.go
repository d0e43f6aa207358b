package main

import (
	"io"
	"strings"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newMerchantShowCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "show ID",
		Short:   "Show a merchant",
		Example: "  vault merchant show shop-1",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(g, c, func(client *control.Client) (control.Merchant, error) {
				return client.Merchant(cmd.Context(), args[0])
			}, printMerchant)
		},
	}
	g.readingFlags(cmd)
	return cmd
}

func printMerchant(w io.Writer, m control.Merchant) {
	printPolicy(w, m)
	command.Row(w, "name", m.Name)
	command.Row(w, "status", m.Status)
	command.Row(w, "acceptor", m.Acceptor)
	command.Row(w, "currencies", strings.Join(m.Currencies, ","))
	command.Row(w, "added", moment(m.Added))
	command.Row(w, "results", m.Results)
	if m.OpenBatch != "" {
		command.Row(w, "open card batch", m.OpenBatch)
	}
	if m.OpenBank != "" {
		command.Row(w, "open bank batch", m.OpenBank)
	}
	for _, v := range m.Verifiers {
		command.Row(w, "verifier", v)
	}
	for _, k := range m.ReplyKeys {
		command.Row(w, "reply key", k)
	}
	for _, k := range m.Keys {
		if k.Retired.IsZero() {
			command.Row(w, "in use", k.Name+" since "+moment(k.Added))
		}
	}
	for _, k := range m.Keys {
		if !k.Retired.IsZero() {
			command.Row(w, "retired", k.Name+" "+moment(k.Retired)+", in use since "+moment(k.Added))
		}
	}
}
