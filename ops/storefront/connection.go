package main

import (
	"cmp"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/config"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/storefront"
)

// connectionOptions are the flags of every command that talks to a relay.
type connectionOptions struct {
	identity  string // file
	vault     string // vkey, or @FILE that holds it
	relay     string // origin
	ca        string // PEM file; empty: the system's roots
	suite     string
	minSerial uint64
	log       storefront.LogStore // what was seen of the vault's log; nil: not kept
	// called with why the relay is not reached, where work goes on without it; nil: it does not
	unreached func(error)
}

func (o *connectionOptions) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	for _, flag := range []struct {
		value                           *string
		name, variable, otherwise, help string
	}{
		{&o.identity, "identity", "NIGHTDROP_IDENTITY", "storefront.key", "file that storefront keygen made"},
		{&o.vault, "vault", "NIGHTDROP_VAULT", "", "the vault's verifier key, one line, or @FILE that holds it; required"},
		{&o.relay, "relay", "NIGHTDROP_RELAY", "", "the relay's origin, such as https://relay.example:8443; required"},
		{&o.ca, "ca", "NIGHTDROP_CA", "", "PEM file of the certificate authority to trust instead of the system's"},
	} {
		flags.StringVar(flag.value, flag.name, cmp.Or(os.Getenv(flag.variable), flag.otherwise), flag.help+" (or "+flag.variable+")")
	}
	flags.StringVar(&o.suite, "suite", string(envelope.SuiteXWing), "sealing suite: xwing or x25519")
	command.Values(cmd, "suite", envelope.SuiteXWing, envelope.SuiteX25519)
	flags.Uint64Var(&o.minSerial, "min-serial", 0, "refuse a directory with a lower serial")
}

// maxConnections bounds the keep-alive connections of a CSV post.
const maxConnections = 64

func (o *connectionOptions) check() error {
	if o.vault == "" || o.relay == "" {
		return fmt.Errorf("%w: --vault and --relay are needed, or NIGHTDROP_VAULT and NIGHTDROP_RELAY in the environment (see --help)", command.ErrUsage)
	}
	return nil
}

func (o *connectionOptions) connect() (*storefront.Client, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	vault, err := parseVault(o.vault)
	if err != nil {
		return nil, err
	}
	identity, err := storefront.LoadIdentity(o.identity)
	if err != nil {
		return nil, err
	}
	suite := envelope.Suite(o.suite)
	if !suite.Valid() {
		return nil, fmt.Errorf("%w: --suite %q: give xwing or x25519", command.ErrUsage, o.suite)
	}
	client, err := o.httpClient()
	if err != nil {
		return nil, err
	}
	connected, err := storefront.New(storefront.Config{Relay: o.relay, Vault: vault, Identity: identity, Suite: suite,
		MinSerial: o.minSerial, HTTP: client, Log: o.log, Unreached: o.unreached})
	if err != nil {
		// what is left to be wrong is the relay's origin
		return nil, fmt.Errorf("%w: --%w", command.ErrUsage, err)
	}
	return connected, nil
}

func parseVault(given string) (note.Verifier, error) {
	line, err := command.Line(given, "verifier")
	if err != nil {
		return note.Verifier{}, fmt.Errorf("--vault: %w", err)
	}
	vault, err := note.ParseVerifier(line)
	if err != nil {
		return note.Verifier{}, fmt.Errorf("%w: --vault: %w (give the line that `vault init` printed)", command.ErrUsage, err)
	}
	return vault, nil
}

func (o *connectionOptions) httpClient() (*http.Client, error) {
	client := &tls.Config{MinVersion: tls.VersionTLS13}
	if o.ca != "" {
		authorities, err := config.Authorities(o.ca)
		if err != nil {
			return nil, fmt.Errorf("--ca: %w", err)
		}
		client.RootCAs = authorities
	}
	transport := &http.Transport{TLSClientConfig: client, ForceAttemptHTTP2: true, Proxy: http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost: maxConnections, MaxConnsPerHost: maxConnections, TLSHandshakeTimeout: 10 * time.Second}
	return &http.Client{Transport: transport, Timeout: 90 * time.Second}, nil
}
