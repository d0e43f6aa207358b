package command

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"nightdrop/shared/text"
)

// tool is a program with a group, a command that fails as asked, and a version.
func tool(failure error) *cobra.Command {
	leaf := &cobra.Command{Use: "list", Args: NoArguments, RunE: func(cmd *cobra.Command, _ []string) error {
		return errors.Join(failure, JSON(cmd.OutOrStdout(), map[string]string{"a": "<b>"}))
	}}
	one := &cobra.Command{Use: "show", Args: Arguments(cobra.ExactArgs(1)), RunE: func(*cobra.Command, []string) error { return nil }}
	return Root("tool", "Does things", "Exit codes: 0 done", Group("thing", "Things", leaf, one), NewVersion("tool"))
}

func TestEveryMistakeOfUsageIsOne(t *testing.T) {
	for _, c := range []struct{ line, says string }{
		{"nothing", `tool has no command "nothing"`},
		{"versoin", "did you mean version?"},
		{"4111111111111111", "there is no such command"},
		{"thing lst", `tool thing has no command "lst"; did you mean list?`},
		{"thing list 4111111111111111", "takes no arguments, only flags"},
		{"thing list --none", "unknown flag: --none"},
		{"thing show", "accepts 1 arg(s), received 0"},
		{"version --json=maybe", "invalid argument"},
		{"help nothing", `tool has no command "nothing"`},
		{"help 4111111111111111", "there is no such command"},
		{"help thing lst", "did you mean list?"},
		{"completion fsh", "or fish or"},
		{"completion bash 4111111111111111", "takes no arguments, only flags"},
	} {
		var out, errOut bytes.Buffer
		err := Run(t.Context(), strings.Fields(c.line), &out, &errOut, func(io.Writer) *cobra.Command { return tool(nil) })
		if !Is(err, ErrUsage) || !strings.Contains(errOut.String(), c.says) || !strings.Contains(errOut.String(), "--help)") {
			t.Errorf("%s: %v, says %q; want usage and %q", c.line, err, &errOut, c.says)
		}
		if strings.Contains(errOut.String(), "4111") || out.Len() > 0 {
			t.Errorf("%s: prints %q and %q", c.line, &out, &errOut)
		}
	}
}

func TestRun(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		line       string
		failure    error
		out, error string
	}{
		{"", nil, "Does things.\n\nExit codes: 0 done", ""},
		{"thing", nil, "Available Commands", ""},
		{"thing list", nil, "{\n  \"a\": \"<b>\"\n}\n", ""},
		{"thing list", broken, "", "tool: broken\n"},
		{"version", nil, "tool " + Release + " (go", ""},
		{"help thing list", nil, "tool thing list", ""},
		{"", nil, "completion ", ""},
		{"completion bash", nil, "__start_tool", ""},
		{"completion zsh", nil, "#compdef tool", ""},
		{"completion fish", nil, "complete -c tool", ""},
		{"completion powershell", nil, "Register-ArgumentCompleter", ""},
		{"version --json", nil, `"version": "` + Release + `"`, ""},
	} {
		var out, errOut bytes.Buffer
		err := Run(t.Context(), strings.Fields(c.line), &out, &errOut, func(io.Writer) *cobra.Command { return tool(c.failure) })
		if !errors.Is(err, c.failure) || !strings.Contains(out.String(), c.out) || errOut.String() != c.error {
			t.Errorf("%q: %v, prints %q and %q", c.line, err, &out, &errOut)
		}
	}
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	err = Run(context.Background(), []string{"version"}, full, io.Discard, func(io.Writer) *cobra.Command { return tool(nil) })
	if !errors.Is(err, text.ErrNotWritten) {
		t.Errorf("onto a full disk: %v", err)
	}
}

func TestRowsSteerNoTerminal(t *testing.T) {
	var out bytes.Buffer
	if err := Table(&out, func(w io.Writer) { Row(w, "NAME", "N"); Row(w, "a\x1b[1m\tb", 7, "") }); err != nil {
		t.Fatal(err)
	}
	if want := "NAME     N\na?[1m?b  7\n"; out.String() != want {
		t.Errorf("%q, want %q", &out, want)
	}
}

func TestFilesThatArgumentsName(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := Read(path, 5); err != nil || string(data) != "12345" {
		t.Errorf("%q, %v", data, err)
	}
	for path, want := range map[string]error{path: ErrUsage, dir: ErrUsage, filepath.Join(dir, "none"): os.ErrNotExist} {
		if _, err := Read(path, 4); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}
