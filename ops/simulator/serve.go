package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"nightdrop/ops/simulator/bank"
	"nightdrop/ops/simulator/host"
	"nightdrop/shared/command"
	"nightdrop/shared/config"
	"nightdrop/shared/durable"
)

// serveOptions are the flags of serve.
type serveOptions struct {
	listen         string        // host:port
	book           string        // file
	answerDelay    time.Duration // before every answer
	lateAfter      time.Duration // before the answer to the amount 900101
	addressFile    string        // where to write the address listened on; empty: nowhere
	tlsCert        string        // PEM file; empty: plain TCP
	tlsKey         string        // PEM file
	tlsClientCA    string        // PEM file; empty: clients show no certificate
	adversary      uint64        // seed
	misbehaves     bool          // adversary was given
	adversaryRates string        // of mishaps; empty: the default ones
	totals         string        // form of answers to a 0500
	bank           bankOptions   // no outbox: no bank
}

func newServeCommand() *cobra.Command {
	var opts serveOptions
	cmd := &cobra.Command{
		Use:   "serve --book FILE",
		Short: "Answer an acquirer's requests and book them, and be the bank behind a vault's NACHA files",
		Example: `  simulator serve --listen 127.0.0.1:8583 --book simulator.book
  simulator serve --book simulator.book --adversary 42 --adversary-rates drop-answer=0.1,crash=0
  simulator serve --book simulator.book --bank-outbox /srv/outbox --bank-returns /srv/returns --bank-returns-after 10s`,
		Args: command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.book == "" {
				return fmt.Errorf("%w: --book FILE is needed: what the host takes is kept there", command.ErrUsage)
			}
			opts.misbehaves = cmd.Flags().Changed("adversary")
			return runServe(cmd.Context(), opts, cmd.ErrOrStderr())
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&opts.listen, "listen", "127.0.0.1:8583", "address to listen on; port 0 takes any")
	flags.StringVar(&opts.book, "book", "", "file of the host's own book, made if it is not there")
	flags.DurationVar(&opts.answerDelay, "answer-delay", 0, "wait so long before every answer")
	flags.DurationVar(&opts.lateAfter, "late-after", host.DefaultLateAfter, "wait so long before the answer to the amount 900101")
	flags.StringVar(&opts.addressFile, "address-file", "", "write the address listened on to this file")
	flags.StringVar(&opts.tlsCert, "tls-cert", "", "serve TLS with this PEM certificate")
	flags.StringVar(&opts.tlsKey, "tls-key", "", "PEM key of the certificate")
	flags.StringVar(&opts.tlsClientCA, "tls-client-ca", "", "take only clients with a certificate of these PEM authorities")
	flags.Uint64Var(&opts.adversary, "adversary", 0, "misbehave with a fifth of all messages, as this seed decides; crashes exit with 9")
	flags.StringVar(&opts.adversaryRates, "adversary-rates", "", "NAME=RATE,... to change how often; \"none\" first sets all others to 0")
	flags.StringVar(&opts.totals, "totals", string(host.FormWhole), "how a 0500 is answered: "+host.Forms())
	command.Values(cmd, "totals", strings.Split(host.Forms(), ", ")...)
	opts.bank.addFlags(flags, "bank-")
	return cmd
}

func runServe(ctx context.Context, opts serveOptions, errOut io.Writer) error {
	logger := slog.New(slog.NewTextHandler(errOut, nil))
	cfg, err := opts.hostConfig(logger)
	if err != nil {
		return err
	}
	var bankSide *bank.Bank
	if opts.bank.outbox != "" || opts.bank.returns != "" {
		if bankSide, err = opts.bank.open(logger); err != nil {
			return err
		}
		defer func() { _ = bankSide.Close() }()
	}
	h, err := host.Start(cfg)
	if err != nil {
		return err
	}
	logger.Info("listening", "address", h.Addr(), "book", opts.book, "tls", cfg.TLS != nil)
	if opts.addressFile != "" {
		if err := durable.Replace(opts.addressFile, []byte(h.Addr()+"\n")); err != nil {
			_ = h.Close()
			return fmt.Errorf("write address file: %w", err)
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return h.Run(ctx) })
	if bankSide != nil {
		group.Go(func() error { return bankSide.Run(ctx) })
	}
	return group.Wait()
}

func (opts serveOptions) hostConfig(logger *slog.Logger) (host.Config, error) {
	cfg := host.Config{
		Listen: opts.listen, Book: opts.book, AnswerDelay: opts.answerDelay, LateAfter: opts.lateAfter, Now: time.Now, Logger: logger,
		Totals: host.Form(opts.totals),
	}
	if err := cfg.Totals.Check(); err != nil {
		return cfg, fmt.Errorf("%w: --totals: %w", command.ErrUsage, err)
	}
	if opts.misbehaves {
		cfg.Adversary = &host.Adversary{Seed: opts.adversary}
	}
	if opts.adversaryRates != "" {
		rates, err := host.ParseRates(opts.adversaryRates)
		if err != nil {
			return cfg, fmt.Errorf("%w: --adversary-rates: %w", command.ErrUsage, err)
		}
		if !opts.misbehaves {
			return cfg, fmt.Errorf("%w: --adversary-rates needs --adversary SEED", command.ErrUsage)
		}
		cfg.Adversary.Rates = rates
	}
	var err error
	cfg.TLS, err = opts.tlsConfig()
	return cfg, err
}

// tlsConfig returns nil for plain TCP.
func (opts serveOptions) tlsConfig() (*tls.Config, error) {
	if opts.tlsCert == "" && opts.tlsKey == "" && opts.tlsClientCA == "" {
		return nil, nil
	}
	if opts.tlsCert == "" || opts.tlsKey == "" {
		return nil, fmt.Errorf("%w: TLS needs both --tls-cert and --tls-key", command.ErrUsage)
	}
	certificate, err := tls.LoadX509KeyPair(opts.tlsCert, opts.tlsKey)
	if err != nil {
		return nil, fmt.Errorf("TLS certificate: %w", err)
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}}
	if opts.tlsClientCA != "" {
		if cfg.ClientCAs, err = config.Authorities(opts.tlsClientCA); err != nil {
			return nil, err
		}
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg, nil
}
