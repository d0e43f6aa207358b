package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"nightdrop/shared/command"
	"nightdrop/shared/config"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/settle"
)

func testConsole() console {
	return console{in: strings.NewReader(""), out: &bytes.Buffer{}, errOut: &bytes.Buffer{}, now: time.Now}
}

// TestEveryCommandIsExplained: --help has an example, and every reading command has --json
// (specification 9).
func TestEveryCommandIsExplained(t *testing.T) {
	seen := 0
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, inner := range cmd.Commands() {
			visit(inner)
		}
		if cmd.HasSubCommands() || cmd.Name() == "help" {
			return
		}
		seen++
		if cmd.Short == "" || !strings.Contains(cmd.Example, cmd.CommandPath()) {
			t.Errorf("%s has no example of itself", cmd.CommandPath())
		}
		if cmd.Flags().Lookup("json") == nil && cmd.Name() != "serve" && !cmd.Hidden {
			t.Errorf("%s has no --json", cmd.CommandPath())
		}
	}
	visit(newRootCommand(testConsole()))
	if seen < 20 {
		t.Errorf("only %d commands were seen", seen)
	}
}

func TestExitCodes(t *testing.T) {
	tests := []struct {
		err  error
		code int
	}{
		{nil, 0},
		{errors.New("anything else"), 1},
		{ledger.ErrUnknownOutcome, 1},
		{fmt.Errorf("%w: %w", fs.ErrPermission, ledger.ErrUnknownOutcome), 1},
		{fmt.Errorf("%w: %w", fs.ErrPermission, keyring.ErrUnknownOnDisk), 1},
		{command.ErrUsage, 2},
		{config.ErrInvalid, 2},
		{keyring.ErrLocked, 3},
		{keyring.ErrWrongShare, 4},
		{keyring.ErrSameShare, 4},
		{keyring.ErrFewShares{Have: 1, Need: 2}, 4},
		{settle.ErrNotFound, 5},
		{fs.ErrNotExist, 5},
		{settle.ErrConflict, 6},
		{keyring.ErrExists, 6},
		{keyring.ErrInUse, 6},
		{ledger.ErrInUse, 6},
		{keyring.ErrNewer, 6},
		{keyring.ErrDamaged, 7},
		{ledger.ErrDamaged, 7},
		{settle.ErrTotalsDiffer, 7},
		{errors.Join(settle.ErrConflict, settle.ErrTotalsDiffer), 7}, // the worse of two batches
		{settle.ErrAnswerFile, 7},
		{settle.ErrFileThere, 7},
		{settle.ErrListing, 1},
		{settle.ErrReason, 2},
		{settle.ErrUnavailable, 8},
		{context.Canceled, 8},
		{&control.Error{Code: control.CodeConflict}, 6},
		{fmt.Errorf("told by the daemon: %w", &control.Error{Code: control.CodeLocked}), 3},
	}
	for _, test := range tests {
		err := test.err
		if err != nil {
			err = fmt.Errorf("wrapped: %w", err)
		}
		if got := exitCode(err); got != test.code {
			t.Errorf("exit code of %v is %d, want %d", test.err, got, test.code)
		}
	}
}

func TestTableTextCannotSteerTheTerminal(t *testing.T) {
	var out bytes.Buffer
	command.Row(&out, "a\x1b[31mb", "c\td\u009be\n")
	if got := out.String(); got != "a?[31mb\tc?d?e?\n" {
		t.Errorf("printed %q", got)
	}
}

// TestCommandsWhoseOutputCannotBeWrittenFail: who reads it would take half of it for all.
func TestCommandsWhoseOutputCannotBeWrittenFail(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"payment", "list", "--help"}} {
		var errOut strings.Builder
		if code := run(t.Context(), args, console{in: strings.NewReader(""), out: full, errOut: &errOut, now: time.Now}); code != 1 {
			t.Errorf("%v: exit code %d, %s", args, code, &errOut)
		}
	}
}
