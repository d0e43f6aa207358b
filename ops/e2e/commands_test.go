package e2e

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// withoutJSON are the commands that read nothing for anybody, and so need not print JSON: what they
// print is a file, a key or a script already.
var withoutJSON = []string{
	"vault serve", "relay serve", "simulator serve", "relay keygen", "storefront keygen", "storefront seal", "simulator returns",
}

// TestEveryCommandIsUsedInOneWay walks the commands of the programs as their help lists them.
func TestEveryCommandIsUsedInOneWay(t *testing.T) {
	walked := map[string]bool{}
	for _, program := range []string{"vault", "relay", "storefront", "simulator"} {
		walkCommands(t, walked, program)
		for _, name := range []string{"version", "completion bash", "completion zsh", "completion fish", "completion powershell"} {
			if !walked[program+" "+name] {
				t.Errorf("the help of %s does not lead to %q", program, name)
			}
		}
	}
	for _, name := range withoutJSON {
		if !walked[name] {
			t.Errorf("there is no command %q: its exception says nothing", name)
		}
	}
	if len(walked) < 60 {
		t.Errorf("walked %d commands: the walk reads the help wrongly", len(walked))
	}
}

// walkCommands tries the command of this path, or those below it.
func walkCommands(t *testing.T, walked map[string]bool, path string) {
	help, code := execute(t, path+" --help")
	if code != 0 {
		t.Fatalf("%s --help ends with %d", path, code)
	}
	mistakes := []string{path + " --none-such"}
	_, list, group := strings.Cut(help, "\nAvailable Commands:\n")
	if group {
		list, _, _ = strings.Cut(list, "\n\n")
		for line := range strings.Lines(list) {
			if name := strings.Fields(line)[0]; name != "help" {
				walkCommands(t, walked, path+" "+name)
			}
		}
		mistakes = append(mistakes, path+" none-such", path+" 4111111111111111")
	} else {
		walked[path] = true
		_, usage, _ := strings.Cut(help, "\nUsage:\n")
		usage, _, _ = strings.Cut(usage, "\n\n")
		if !strings.Contains(usage, "...") && !strings.Contains(usage, "FILE [FILE]") {
			mistakes = append(mistakes, path+strings.Repeat(" 4111111111111111", 5))
		}
		if !strings.Contains(help, "--json") && !slices.Contains(withoutJSON, path) && !strings.Contains(path, " completion ") {
			t.Errorf("%s has no --json", path)
		}
	}
	for _, mistake := range mistakes {
		output, code := execute(t, mistake)
		if code != 2 || !strings.Contains(output, "usage: ") {
			t.Errorf("%s: exit code %d, want 2; it says %q", mistake, code, output)
		}
		if strings.Contains(output, "4111") {
			t.Errorf("%s: repeats what may be a card number: %q", mistake, output)
		}
	}
}

// execute runs a command line of one of the programs, and returns what it prints and its exit code.
func execute(t *testing.T, line string) (output string, code int) {
	t.Helper()
	words := strings.Fields(line)
	out, err := exec.CommandContext(t.Context(), filepath.Join(binaries, words[0]), words[1:]...).CombinedOutput()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return string(out), exit.ExitCode()
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out), 0
}
