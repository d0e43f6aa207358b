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

// command finds a program of ours and its verbs in the README: `vault batch close` or a line of a
// session, "$ vault unlock --share f".
var command = regexp.MustCompile("(?m)(?:`|^\\$ (?:\\S*/)?)(relay|vault|storefront|simulator)((?: [a-z][a-z-]*)+)")

// target finds `make something`.
var target = regexp.MustCompile("(?m)(?:`|^\\$ )make ([a-z-]+)")

// TestReadmesLength: under 900 words something is missing, over 2,500 nobody reads to the end.
// What is more belongs into ops/docs.
func TestReadmesLength(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	if words := len(strings.Fields(string(readme))); words < 900 || words > 2500 {
		t.Errorf("README: %d words, want 900 to 2,500", words)
	}
}

func TestReadmesCommandsExist(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join(root(t), "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root(t), "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	targets := target.FindAllStringSubmatch(string(readme), -1)
	if len(targets) < 2 {
		t.Error("the README names fewer than two make targets: the search is blind")
	}
	for _, m := range targets {
		if !strings.Contains(string(makefile), "\n"+m[1]+":") {
			t.Errorf("README: make %s: no such target", m[1])
		}
	}
	commands := command.FindAllStringSubmatch(string(readme), -1)
	if len(commands) < 5 {
		t.Error("the README names fewer than five commands: the search is blind")
	}
	for _, m := range commands {
		words := append([]string{m[1]}, strings.Fields(m[2])...)
		out, err := exec.Command(filepath.Join(build(t), m[1]), append(words[1:len(words):len(words)], "--help")...).CombinedOutput()
		if err != nil || !isHelpOf(string(out), words) {
			t.Errorf("README: %s: no such command (%v)", strings.Join(words, " "), err)
		}
	}
}

// usage finds the command's path in its help.
var usage = regexp.MustCompile(`(?m)^Usage:\n  ((?:[a-z][a-z-]* ?)+)`)

// isHelpOf reports whether help is of the command that words begin with. What follows a command is
// its arguments; what follows a group of commands is a command that is not there.
func isHelpOf(help string, words []string) bool {
	m := usage.FindStringSubmatch(help)
	if m == nil {
		return false
	}
	path := strings.Fields(m[1])
	if len(path) < 2 || len(path) > len(words) || !slices.Equal(path, words[:len(path)]) {
		return false
	}
	return len(path) == len(words) || !strings.Contains(help, "Available Commands:")
}
