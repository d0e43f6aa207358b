package tidy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// command finds a program of ours and its verbs in the README: `vault batch close` or a line of a session, "$ vault unlock --share f".
var command = regexp.MustCompile("(?m)(?:`|^\\$ (?:\\S*/)?)(relay|vault|storefront|simulator)((?: [a-z][a-z-]*)+)")

// target finds `make something`.
var target = regexp.MustCompile("(?m)(?:`|^\\$ )make ([a-z-]+)")

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
	bin := t.TempDir()
	run(t, "go", "build", "-o", bin, "./relay", "./vault", "./ops/storefront", "./ops/simulator")
	commands := command.FindAllStringSubmatch(string(readme), -1)
	if len(commands) < 5 {
		t.Error("the README names fewer than five commands: the search is blind")
	}
	for _, m := range commands {
		args := append(strings.Fields(m[2]), "--help")
		out, err := exec.Command(filepath.Join(bin, m[1]), args...).CombinedOutput()
		usage := m[1] + m[2]
		if err != nil || !strings.Contains(string(out), usage) {
			t.Errorf("README: %s: no such command (%v)", usage, err)
		}
	}
}
