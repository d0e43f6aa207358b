package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"nightdrop/shared/text"
)

// Release is that of this source tree. The vault's log holds it at every unlock.
const Release = "0.1.0"

// Exit codes of every program.
const (
	Done        = 0
	Failed      = 1
	Usage       = 2 // configuration included
	Locked      = 3
	NotAllowed  = 4
	NotFound    = 5
	Conflict    = 6 // it exists, is in use, or waits for something
	Integrity   = 7
	Unavailable = 8
)

// ErrUsage marks what is wrong with the command line itself: exit code [Usage].
var ErrUsage = errors.New("usage")

// Is reports whether err is one of targets, for a program's table of exit codes.
func Is(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}

// Main runs a program until it ends, or SIGINT or SIGTERM ends its context, and exits with the code
// that run returns.
func Main(run func(context.Context) int) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx)
	stop()
	os.Exit(code)
}

// Run runs one command line and prints its error. Output that could not be written is an error of a
// command that went well. Build makes the root command, which prints to out.
func Run(ctx context.Context, args []string, out, errOut io.Writer, build func(out io.Writer) *cobra.Command) error {
	output := text.NewOutput(out)
	root := build(output)
	root.SetOut(output)
	root.SetErr(errOut)
	root.SetArgs(args)
	addCompletion(root)
	addManual(root)
	err := output.Result(root.ExecuteContext(ctx))
	if err != nil {
		fmt.Fprintf(errOut, "%s: %v\n", root.Name(), err)
	}
	return err
}

// Root returns a program's root command. Its help begins with short and goes on with the rest.
func Root(name, short, rest string, commands ...*cobra.Command) *cobra.Command {
	root := Group(name, short, commands...)
	root.Long = short + ".\n\n" + rest
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetHelpCommand(newHelp())
	root.SetFlagErrorFunc(misused)
	return root
}

// Group returns a command that only holds others.
func Group(name, short string, commands ...*cobra.Command) *cobra.Command {
	cmd := &cobra.Command{Use: name, Short: short, Args: cobra.ArbitraryArgs, RunE: runGroup}
	cmd.SuggestionsMinimumDistance = 2
	cmd.AddCommand(commands...)
	return cmd
}

// runGroup prints the help of a group, or says that it has no such command.
func runGroup(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return cmd.Help()
	}
	// it may be an account number in the wrong place
	if strings.ContainsAny(args[0], "0123456789") {
		return misused(cmd, errors.New("there is no such command"))
	}
	hint := ""
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	return misused(cmd, fmt.Errorf("%s has no command %q%s", cmd.CommandPath(), args[0], hint))
}

// newHelp is cobra's own help command, but one that is asked about no command of ours is
// [ErrUsage].
func newHelp() *cobra.Command {
	return &cobra.Command{Use: "help [COMMAND]", Short: "Help about any command", RunE: func(cmd *cobra.Command, args []string) error {
		found, rest, err := cmd.Root().Find(args)
		if err != nil || len(rest) > 0 {
			return runGroup(found, rest)
		}
		found.InitDefaultHelpFlag()
		return found.Help()
	}}
}

// addCompletion adds cobra's commands that print the shells' completion scripts. Their mistakes of
// usage are ours.
func addCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd()
	for _, cmd := range root.Commands() {
		if cmd.Name() != "completion" {
			continue
		}
		cmd.Args, cmd.RunE, cmd.SuggestionsMinimumDistance = cobra.ArbitraryArgs, runGroup, 2
		for _, shell := range cmd.Commands() {
			shell.Args = NoArguments
			shell.Example = fmt.Sprintf("  %[1]s completion %[2]s > %[1]s.%[2]s", root.Name(), shell.Name())
		}
	}
}

func misused(cmd *cobra.Command, err error) error {
	return fmt.Errorf("%w: %w (see %s --help)", ErrUsage, err, cmd.CommandPath())
}

// Arguments is a check of cobra's whose error is [ErrUsage].
func Arguments(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return misused(cmd, err)
		}
		return nil
	}
}

// NoArguments refuses positional arguments without quoting them: one may be a number that belongs
// in a file.
func NoArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misused(cmd, fmt.Errorf("%s takes no arguments, only flags", cmd.CommandPath()))
	}
	return nil
}

// Values has a shell offer these values of a flag that cmd has.
func Values[T ~string](cmd *cobra.Command, flag string, values ...T) {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(texts, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag: a mistake of ours
	}
}

// Files has a shell offer files with this extension, without its dot, for a flag that cmd has.
func Files(cmd *cobra.Command, flag, extension string) {
	if err := cmd.MarkFlagFilename(flag, extension); err != nil {
		panic(err) // as above
	}
}

// NewVersion returns the command that prints the program's version.
func NewVersion(program string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: "  " + program + " version",
		Args:    NoArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				return JSON(cmd.OutOrStdout(), map[string]string{"version": Release, "go": runtime.Version()})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s (%s)\n", program, Release, runtime.Version())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
