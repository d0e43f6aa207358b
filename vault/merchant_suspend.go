package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/vault/internal/control"
)

func newMerchantSuspendCommand(g *global, c console) *cobra.Command {
	return newMerchantStatusCommand(g, c, "suspend", "Stop a merchant's new envelopes; what was taken goes on", (*control.Client).SuspendMerchant)
}

func newMerchantResumeCommand(g *global, c console) *cobra.Command {
	return newMerchantStatusCommand(g, c, "resume", "Let a suspended merchant's envelopes in again", (*control.Client).ResumeMerchant)
}

func newMerchantStatusCommand(g *global, c console, verb, short string,
	call func(*control.Client, context.Context, string) (control.Merchant, error)) *cobra.Command {
	cmd := &cobra.Command{
		Use:     verb + " ID",
		Short:   short,
		Example: "  vault merchant " + verb + " shop-1 --reason \"ticket 4711\"",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(g, c, func(client *control.Client) (control.Merchant, error) {
				return call(client, cmd.Context(), args[0])
			}, func(w io.Writer, m control.Merchant) { fmt.Fprintf(w, "%s is %s; %s\n", m.ID, m.Status, atRelays(m)) })
		},
	}
	g.actingFlags(cmd)
	return cmd
}
