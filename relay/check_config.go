package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"
)

type checkConfigOptions struct {
	config  string
	example bool
	asJSON  bool
}

func newCheckConfigCommand() *cobra.Command {
	var opts checkConfigOptions
	cmd := &cobra.Command{
		Use:     "check-config (--config FILE | --example)",
		Short:   "Check a configuration file and the keys and certificates that it names, or print an example",
		Example: "  relay check-config --example > relay.toml\n  relay check-config --config relay.toml",
		Args:    arguments(cobra.NoArgs),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.example == (opts.config != "") {
				return fmt.Errorf("%w: give --config FILE, or --example", errUsage)
			}
			return runCheckConfig(opts, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.config, "config", "", "the configuration file to check")
	flags.BoolVar(&opts.example, "example", false, "print the commented reference of every key")
	flags.BoolVar(&opts.asJSON, "json", false, "print JSON")
	return cmd
}

func runCheckConfig(opts checkConfigOptions, out io.Writer) error {
	if opts.example {
		_, err := out.Write(reference)
		return err
	}
	s, err := loadSettings(opts.config)
	if err != nil {
		return err
	}
	signer, err := s.signer()
	if err != nil {
		return err
	}
	if !s.PlainHTTP {
		if _, err := loadCertificate(s.Cert, s.Key); err != nil {
			return err
		}
	}
	sizing, err := s.sizing()
	if err != nil {
		return err
	}
	if opts.asJSON {
		return json.NewEncoder(out).Encode(map[string]any{"ok": true, "relay": signer.Verifier(), "vault": s.Vault, "origin": s.Origin,
			"envelopeBytes": sizing.Stream, "merchants": sizing.Merchants()})
	}
	_, err = fmt.Fprintf(out, "ok: relay %s takes envelopes for %s at %s; ENVELOPES of %d bytes does for %d merchants\n",
		signer.Name(), s.Vault.Name(), s.Origin, sizing.Stream, sizing.Merchants())
	return err
}
