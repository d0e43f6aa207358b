package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/relay/internal/daemon"
	"nightdrop/relay/internal/ingest"
	"nightdrop/shared/command"
	"nightdrop/shared/text"
)

// errNotReady is returned by status when the relay does not answer, or cannot take envelopes.
var errNotReady = errors.New("the relay is not ready")

const (
	statusTimeout = 10 * time.Second
	// maxStatus is the most bytes of an answer that are read: reasons, streams and 20 merchants
	// take a few KB.
	maxStatus = 1 << 20
)

type statusOptions struct {
	config string
	admin  string
	asJSON bool
}

func newStatusCommand() *cobra.Command {
	var o statusOptions
	cmd := &cobra.Command{
		Use:   "status (--config FILE | --admin HOST:PORT)",
		Short: "Ask a running relay whether it is ready, how full the channel is, and which merchants fill it",
		Long: `Ask a running relay, on its admin listener, whether it is ready, how full the streams of the channel are, and which merchants
have how much in ENVELOPES that the vault has not committed yet. Exit code 8 means that it is not ready or does not answer.`,
		Example: "  relay status --config /etc/nightdrop/relay.toml\n  relay status --admin 127.0.0.1:9443 --json",
		Args:    command.NoArguments,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runStatus(cmd.Context(), o, cmd.OutOrStdout()) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.config, "config", "", "the relay's configuration file, for the address of its admin listener")
	flags.StringVar(&o.admin, "admin", "", "the address of the admin listener")
	flags.BoolVar(&o.asJSON, "json", false, "print JSON")
	command.Files(cmd, "config", "toml")
	return cmd
}

func runStatus(ctx context.Context, o statusOptions, out io.Writer) error {
	if (o.config == "") == (o.admin == "") {
		return fmt.Errorf("%w: give --config FILE or --admin HOST:PORT", command.ErrUsage)
	}
	admin := o.admin
	if o.config != "" {
		s, err := daemon.Load(o.config)
		if err != nil {
			return err
		}
		admin = s.Admin
	}
	state, err := askState(ctx, admin)
	if err != nil {
		return err
	}
	if o.asJSON {
		err = json.NewEncoder(out).Encode(state)
	} else {
		err = command.Table(out, func(w io.Writer) { printState(w, state) })
	}
	if err == nil && !state.OK {
		err = errNotReady
	}
	return err
}

// askState asks the admin listener at address. One that listens everywhere is asked on loopback.
func askState(ctx context.Context, address string) (state ingest.State, err error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return state, fmt.Errorf("%w: --admin: %q is not HOST:PORT", command.ErrUsage, address)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return state, fmt.Errorf("%w: --admin: %w", command.ErrUsage, err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return state, fmt.Errorf("%w: is it running, and its admin listener at %s? %w", errNotReady, address, err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(io.LimitReader(answer.Body, maxStatus)).Decode(&state); err != nil {
		return state, fmt.Errorf("%w: what answers at %s is no relay's admin listener: %w", errNotReady, address, err)
	}
	return state, nil
}

func printState(w io.Writer, s ingest.State) {
	line := func(format string, values ...any) { fmt.Fprintf(w, format+"\n", values...) }
	if s.OK {
		line("ready")
	} else {
		line("not ready")
	}
	for _, reason := range s.Reasons {
		line("  %s", reason)
	}
	for _, warning := range s.Warnings {
		line("warning: %s", warning)
	}
	line("\nSTREAM\tBYTES\tOF\tFULL")
	for _, stream := range s.Streams {
		command.Row(w, stream.Name, text.Thousands(stream.Bytes), text.Thousands(stream.Limit), fmt.Sprintf("%d %%", stream.Bytes*100/max(stream.Limit, 1)))
	}
	if s.Shares.Own > 0 {
		line("\nOf ENVELOPES each merchant has %d bytes of its own, and %d are common.", s.Shares.Own, s.Shares.Common)
	}
	line("Not committed by the vault, since the relay's start: %d bytes.", s.Shares.Bytes)
	if len(s.Shares.Merchants) > 0 {
		line("\nMERCHANT\tNOT COMMITTED\tOVER ITS OWN\tREFUSED")
	}
	for _, m := range s.Shares.Merchants {
		over := "no"
		if m.Over {
			over = "yes"
		}
		command.Row(w, m.Merchant, text.Thousands(m.Bytes), over, m.Refused)
	}
}
