package tidy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sections are what every man page has.
var sections = []string{"NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"}

// status finds an exit code of a page.
var status = regexp.MustCompile(`(?m)^\.B (\d)$`)

// TestEveryCommandHasAManPage: `make man` writes a page of every command that the programs' help
// leads to, and of nothing else. Their exit codes are the specification's (section 9).
func TestEveryCommandHasAManPage(t *testing.T) {
	dir := t.TempDir()
	run(t, "make", "man", "DIR="+dir)
	specification := read(t, "ops/docs/specification.md")
	_, table, found := strings.Cut(specification, "\n| exit code | means |\n")
	if !found {
		t.Fatal("the specification has no table of exit codes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var want []string
	for _, program := range []string{"relay", "vault", "storefront", "simulator"} {
		want = append(want, commandsBelow(t, program)...)
	}
	if len(want) < 90 {
		t.Errorf("found %d commands: the walk reads the help wrongly", len(want))
	}
	groff, err := exec.LookPath("groff")
	for _, path := range want {
		name := filepath.Join(dir, strings.ReplaceAll(path, " ", "-")+".1")
		page, readErr := os.ReadFile(name)
		if readErr != nil {
			t.Errorf("%s has no page: %v", path, readErr)
			continue
		}
		checkPage(t, path, string(page), table)
		if err == nil {
			lintPage(t, groff, name)
		}
	}
	pages, err := os.ReadDir(dir)
	if err != nil || len(pages) != len(want) {
		t.Errorf("%d pages of %d commands: %v", len(pages), len(want), err)
	}
}

func checkPage(t *testing.T, path, page, table string) {
	t.Helper()
	for _, section := range sections {
		_, text, found := strings.Cut(page, "\n.SH "+section+"\n")
		text, _, _ = strings.Cut(text, "\n.SH ")
		if !found || strings.TrimSpace(text) == "" {
			t.Errorf("the page of %s has nothing under %s", path, section)
		}
	}
	if !strings.Contains(page, "\n\\fB"+strings.ReplaceAll(path, "-", `\-`)) && !strings.Contains(page, "\n\\fB"+path) {
		t.Errorf("the page of %s does not say how it is called", path)
	}
	codes := status.FindAllStringSubmatch(page, -1)
	if len(codes) < 5 || codes[0][1] != "0" {
		t.Errorf("the page of %s has the exit codes %v", path, codes)
	}
	for _, code := range codes {
		// 9 is the simulator's own, when it plays a crash
		if !strings.Contains(table, "\n| "+code[1]+" |") && (code[1] != "9" || !strings.HasPrefix(path, "simulator")) {
			t.Errorf("the page of %s has the exit code %s, and the specification has not", path, code[1])
		}
	}
}

// lintPage has groff read a page. It may complain only of a word that is longer than a line.
func lintPage(t *testing.T, groff, page string) {
	t.Helper()
	out, err := exec.Command(groff, "-man", "-Tutf8", "-ww", "-z", page).CombinedOutput()
	lines := slices.DeleteFunc(strings.Split(strings.TrimSpace(string(out)), "\n"), func(line string) bool {
		return strings.Contains(line, "cannot adjust line") || strings.Contains(line, "can't break line") || line == ""
	})
	if err != nil || len(lines) > 0 {
		t.Errorf("groff: %v: %s", err, strings.Join(lines, "\n"))
	}
}

// commandsBelow lists the command of this path and the visible ones below it.
func commandsBelow(t *testing.T, path string) []string {
	t.Helper()
	words := strings.Fields(path)
	help := run(t, filepath.Join(build(t), words[0]), append(words[1:], "--help")...)
	commands := []string{path}
	_, list, group := strings.Cut(help, "\nAvailable Commands:\n")
	if !group {
		return commands
	}
	list, _, _ = strings.Cut(list, "\n\n")
	for line := range strings.Lines(list) {
		if name := strings.Fields(line)[0]; name != "help" {
			commands = append(commands, commandsBelow(t, path+" "+name)...)
		}
	}
	return commands
}
