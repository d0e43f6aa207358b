package main

import (
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/relay/internal/daemon"
	"nightdrop/shared/command"
	"nightdrop/shared/config"
)

type checkConfigOptions struct {
	config  string
	example bool
	asJSON  bool
}

func newCheckConfigCommand() *cobra.Command {
	var opts checkConfigOptions
	cmd := &cobra.Command{
		Use:   "check-config (--config FILE | --example)",
		Short: "Check a configuration file and the keys and certificates that it names, or print an example",
		Long: `Check a configuration file, or print an example that explains every key. The check makes all that "relay serve" makes before it listens,
dials or writes, from the same files, and refuses what that would refuse, in the same words: every problem at once, each with its key, what is
wrong and what to do. It looks into keys, certificates (do they belong together, whom are they for, have they expired, who signed them),
addresses and directories, and changes nothing. Certificates that expire within 30 days are warnings. That another process has an address or
a directory already shows at the start only.`,
		Example: "  relay check-config --example > relay.toml\n  relay check-config --config relay.toml\n  relay check-config --config relay.toml --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.example == (opts.config != "") {
				return fmt.Errorf("%w: give --config FILE, or --example", command.ErrUsage)
			}
			return runCheckConfig(opts, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.config, "config", "", "the configuration file to check")
	flags.BoolVar(&opts.example, "example", false, "print the commented reference of every key")
	flags.BoolVar(&opts.asJSON, "json", false, "print JSON")
	command.Files(cmd, "config", "toml")
	return cmd
}

func runCheckConfig(opts checkConfigOptions, out io.Writer) error {
	if opts.example {
		_, err := out.Write(daemon.Reference())
		return err
	}
	s, err := daemon.Load(opts.config)
	var p daemon.Parts
	if err == nil {
		p, err = s.Build(time.Now)
	}
	if err != nil {
		return refuse(opts, err, out)
	}
	now, notes := time.Now(), []string{}
	for _, v := range p.Validities() {
		if v.Near(now) {
			notes = append(notes, v.Note(now))
		}
	}
	if opts.asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"ok": true, "relay": p.Signer.Verifier(), "vault": s.Vault, "origin": s.Origin,
			"envelopeBytes": p.Sizing.Stream, "merchants": p.Sizing.Merchants(), "problems": []config.Problem{}, "warnings": notes})
	}
	for _, note := range notes {
		if _, err := fmt.Fprintf(out, "warning: %s\n", note); err != nil {
			return err
		}
	}
	_, err = fmt.Fprintf(out, "ok: relay %s takes envelopes for %s at %s; ENVELOPES of %d bytes does for %d merchants\n",
		p.Signer.Name(), s.Vault.Name(), s.Origin, p.Sizing.Stream, p.Sizing.Merchants())
	return err
}

// refuse prints what is wrong as JSON, where that is asked for, and returns it.
func refuse(opts checkConfigOptions, err error, out io.Writer) error {
	if opts.asJSON {
		found := config.NewProblems(opts.config)
		found.AddError("", err)
		if err := json.NewEncoder(out).Encode(map[string]any{"ok": false, "problems": found.List(), "warnings": []string{}}); err != nil {
			return err
		}
	}
	return err
}
