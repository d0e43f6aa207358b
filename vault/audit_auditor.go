package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
)

func newAuditAuditorCommand(g *global, c console) *cobra.Command {
	return command.Group("auditor", "Who may open the log: keygen, add, list, remove",
		newAuditorKeygenCommand(g, c), newAuditorAddCommand(g, c), newAuditorListCommand(g, c), newAuditorRemoveCommand(g, c))
}

type auditorKeygenOptions struct{ name, out string }

func newAuditorKeygenCommand(g *global, c console) *cobra.Command {
	var opts auditorKeygenOptions
	cmd := &cobra.Command{
		Use:   "keygen --name NAME --out FILE",
		Short: "Make an auditor's own key, on the auditor's machine",
		Long: `Make an auditor's own key, on the auditor's machine, in a file of mode 0600 that never leaves it, and print the one line that the vault's
operator adds. It needs no vault.`,
		Example: "  vault audit auditor keygen --name anna --out anna.key",
		Args:    command.NoArguments,
		RunE: func(*cobra.Command, []string) error {
			if opts.name == "" || opts.out == "" {
				return fmt.Errorf("%w: give --name and --out", command.ErrUsage)
			}
			key, err := keyring.NewAuditor(opts.name)
			if err != nil {
				return fmt.Errorf("%w: --name: %w", command.ErrUsage, err)
			}
			if err := durable.Fresh(opts.out); err != nil {
				return err
			}
			if err := key.Save(opts.out); err != nil {
				return err
			}
			made := control.NewAuditor{Name: opts.name, Key: key.Line()}
			return g.print(c.out, made, func(w io.Writer) { fmt.Fprintln(w, made.Key) })
		},
	}
	cmd.Flags().StringVar(&opts.name, "name", "", "the auditor's name: 3 to 32 of a-z, 0-9 and -")
	cmd.Flags().StringVar(&opts.out, "out", "", "new file for the key; never overwritten")
	g.readingFlags(cmd)
	return cmd
}

func newAuditorAddCommand(g *global, c console) *cobra.Command {
	var auditor control.NewAuditor
	cmd := &cobra.Command{
		Use:   "add NAME --key LINE",
		Short: "Let an auditor open the log from now on",
		Long: `Let an auditor open the log from now on. A new log key begins at once, and every one from then on is wrapped for the auditor too, until the
auditor is removed. What stood in the log before stays closed. A name is never used again.`,
		Example: "  vault audit auditor add anna --key @anna.line --reason \"audit of 2026\"",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			if auditor.Key == "" {
				return fmt.Errorf("%w: --key is the line that `vault audit auditor keygen` printed, or @FILE of it", command.ErrUsage)
			}
			var err error
			if auditor.Key, err = command.Line(auditor.Key, "auditor"); err != nil {
				return err
			}
			auditor.Name = args[0]
			return ask(g, c, func(client *control.Client) (control.Auditor, error) {
				return client.AddAuditor(cmd.Context(), auditor)
			}, func(w io.Writer, added control.Auditor) { fmt.Fprintf(w, "%s reads the log from now on\n", added.Name) })
		},
	}
	cmd.Flags().StringVar(&auditor.Key, "key", "", "the auditor's line, NAME+KEYNAME+BASE64, or @FILE with it")
	g.actingFlags(cmd)
	return cmd
}

func newAuditorListCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the auditors there are and were",
		Example: "  vault audit auditor list --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(g, c, func(client *control.Client) ([]control.Auditor, error) {
				return client.Auditors(cmd.Context())
			}, func(w io.Writer, auditors []control.Auditor) {
				command.Row(w, "AUDITOR", "KEY", "ADDED", "REMOVED")
				for _, a := range auditors {
					removed := "-"
					if a.Removed != nil {
						removed = moment(*a.Removed)
					}
					command.Row(w, a.Name, a.KeyName, moment(a.Added), removed)
				}
			})
		},
	}
	g.readingFlags(cmd)
	return cmd
}

func newAuditorRemoveCommand(g *global, c console) *cobra.Command {
	cmd := &cobra.Command{
		Use:     "remove NAME",
		Short:   "End an auditor's time: later entries stay closed to it",
		Example: "  vault audit auditor remove anna --reason \"audit of 2026 is over\"",
		Args:    command.Arguments(cobra.ExactArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			return ask(g, c, func(client *control.Client) (control.Auditor, error) {
				return client.RemoveAuditor(cmd.Context(), args[0])
			}, func(w io.Writer, removed control.Auditor) {
				fmt.Fprintf(w, "%s reads nothing that is logged from now on\n", removed.Name)
			})
		},
	}
	g.actingFlags(cmd)
	return cmd
}
