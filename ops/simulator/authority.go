package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"nightdrop/ops/authority"
	"nightdrop/shared/command"
)

// authorityOptions are the flags of authority.
type authorityOptions struct {
	out   string // directory
	names []string
	hosts []string
	json  bool
}

func newAuthorityCommand() *cobra.Command {
	var opts authorityOptions
	cmd := &cobra.Command{
		Use:   "authority --out DIR",
		Short: "Make a certificate authority for trials, and certificates of relay, channel, vault and simulator",
		Long: `Authority makes ca.pem, and NAME.pem and NAME.key for each name, good for localhost and for each --host, for servers and clients alike.
It may be run again: what is there and good for another month stays. The authority's own key lies there in clear: trust it for
trials and training only. For real, have openssl, step-ca or your own authority make the files of the same names.`,
		Example: "  simulator authority --out tls\n  simulator authority --out tls --host relay.test --host 192.0.2.7",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.out == "" {
				return fmt.Errorf("%w: --out DIR is needed: where the files go", command.ErrUsage)
			}
			return runAuthority(opts, cmd.OutOrStdout())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.out, "out", "", "directory of the authority, made if it is not there")
	flags.StringSliceVar(&opts.names, "name", []string{"relay", "channel", "vault", "simulator"}, "who gets a certificate")
	flags.StringSliceVar(&opts.hosts, "host", nil, "further names or addresses of the servers")
	flags.BoolVar(&opts.json, "json", false, "print JSON")
	return cmd
}

// issuedCertificate is a line of output.
type issuedCertificate struct {
	Name string `json:"name"`
	Cert string `json:"cert"` // path
	Key  string `json:"key"`  // path
	Made bool   `json:"made"` // false: it was there
}

func runAuthority(opts authorityOptions, out io.Writer) error {
	for _, name := range opts.names {
		if name == "" || name == "ca" || filepath.Base(name) != name || name[0] == '.' {
			return fmt.Errorf("%w: --name %q: a file's name, and not ca", command.ErrUsage, name)
		}
	}
	tests, err := authority.Open(opts.out)
	if err != nil {
		return err
	}
	issued := make([]issuedCertificate, 0, len(opts.names))
	for _, name := range opts.names {
		made, err := tests.Issue(name, opts.hosts...)
		if err != nil {
			return err
		}
		path := filepath.Join(opts.out, name)
		issued = append(issued, issuedCertificate{Name: name, Cert: path + ".pem", Key: path + ".key", Made: made})
	}
	if opts.json {
		return command.JSON(out, map[string]any{"authority": tests.Path(), "certificates": issued})
	}
	fmt.Fprintf(out, "%s: for trials only, its key lies beside it\n", tests.Path())
	for _, c := range issued {
		state := "was there"
		if c.Made {
			state = "made"
		}
		fmt.Fprintf(out, "%s and its key: %s\n", c.Cert, state)
	}
	return nil
}
