package main

import (
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"nightdrop/ops/simulator/bank"
	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
)

// nextBankingDay is the value of --bank-returns-after that names no duration.
const nextBankingDay = "next-banking-day"

// bankOptions are the flags of the bank.
type bankOptions struct {
	outbox      string // directory of the vault's files
	returns     string // directory for the bank's answers
	after       string // duration or nextBankingDay
	book        string // file; empty: .bank.book in returns
	acknowledge bool
}

func (opts *bankOptions) addFlags(flags *pflag.FlagSet, prefix string) {
	flags.StringVar(&opts.outbox, prefix+"outbox", "", "directory that the vault writes NACHA files into; they are never changed")
	flags.StringVar(&opts.returns, prefix+"returns", "", "directory for returns, notices of change and acknowledgements")
	flags.StringVar(&opts.book, prefix+"book", "", "file of the bank's book (default .bank.book in the directory of returns)")
	flags.BoolVar(&opts.acknowledge, prefix+"acknowledge", true, "acknowledge CCD credits that are not returned")
	if prefix != "" {
		flags.StringVar(&opts.after, prefix+"returns-after", nextBankingDay, "answer a file so long after it was taken, or on the next banking day")
	}
}

func (opts bankOptions) open(logger *slog.Logger) (*bank.Bank, error) {
	if opts.outbox == "" || opts.returns == "" {
		return nil, fmt.Errorf("%w: a bank needs both the directory of the vault's files and the one for returns", command.ErrUsage)
	}
	timing := bank.Timing{NextBankingDay: opts.after == nextBankingDay}
	if opts.after != "" && !timing.NextBankingDay {
		after, err := time.ParseDuration(opts.after)
		if err != nil || after < 0 {
			return nil, fmt.Errorf("%w: --bank-returns-after: give a duration such as 10s, or %s", command.ErrUsage, nextBankingDay)
		}
		timing.After = after
	}
	if opts.book == "" {
		opts.book = filepath.Join(opts.returns, ".bank.book")
	}
	return bank.Open(bank.Config{
		Outbox: opts.outbox, Returns: opts.returns, Book: opts.book, Timing: timing, Acknowledge: opts.acknowledge, Now: time.Now, Logger: logger,
	})
}

func newReturnsCommand() *cobra.Command {
	var opts bankOptions
	cmd := &cobra.Command{
		Use:   "returns --outbox DIR --returns DIR",
		Short: "Answer the vault's NACHA files once, at once, and show what was answered",
		Long: `Returns takes every *.ach file of the outbox that is new, writes returns, notices of change and acknowledgements into the directory of returns without
waiting for the next banking day, and exits. Files answered before are not answered again: the bank's book has them.`,
		Example: "  simulator returns --outbox /srv/outbox --returns /srv/returns",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runReturns(opts, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	opts.addFlags(cmd.Flags(), "")
	return cmd
}

func runReturns(opts bankOptions, out, errOut io.Writer) error {
	b, err := opts.open(slog.New(slog.NewTextHandler(errOut, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	if err := b.Step(); err != nil {
		return err
	}
	return printBank(b.Statement(), out)
}

// bankBookOptions are the flags of bank-book.
type bankBookOptions struct {
	book string // file
	json bool
}

func newBankBookCommand() *cobra.Command {
	var opts bankBookOptions
	cmd := &cobra.Command{
		Use:     "bank-book --book FILE",
		Short:   "Show what the bank has booked; a simulator may be running",
		Example: "  simulator bank-book --book /srv/returns/.bank.book --json",
		Args:    command.NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if opts.book == "" {
				return fmt.Errorf("%w: --book FILE is needed: the book to show", command.ErrUsage)
			}
			return runBankBook(opts, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&opts.book, "book", "", "file of the bank's book")
	cmd.Flags().BoolVar(&opts.json, "json", false, "print totals, files and every entry as one JSON object")
	return cmd
}

func runBankBook(opts bankBookOptions, out io.Writer) error {
	st, err := bank.ReadBook(opts.book)
	if err != nil {
		return err
	}
	if opts.json {
		return command.JSON(out, st)
	}
	return printBank(st, out)
}

func printBank(st bank.Statement, out io.Writer) error {
	return command.Table(out, func(w io.Writer) { printFiles(w, st) })
}

func printFiles(w io.Writer, st bank.Statement) {
	command.Row(w, "FILE", "STATE", "DEBITS", "AMOUNT", "CREDITS", "AMOUNT", "RETURNED", "ACKNOWLEDGED", "NOTED", "ANSWER")
	for _, f := range st.List {
		answer := f.Answer
		if f.Reason != "" {
			answer = f.Reason
		}
		command.Row(w, f.Name, f.State, f.Debits.Number, envelope.FormatAmount(f.Debits.Amount, "USD"), f.Credits.Number,
			envelope.FormatAmount(f.Credits.Amount, "USD"), f.Returned, f.Acknowledged, f.Noted, answer)
	}
	_, _ = fmt.Fprintf(w, "\n%d files, %d refused: %d entries, %d returned, %d acknowledged, %d noted; %d trace numbers twice over\n",
		st.Files, st.Refused, st.Entries, st.Returned, st.Acknowledged, st.Noted, len(st.Doubled))
}
