//go:build figures

package main

import (
	"bytes"
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// TestEveryFigure measures everything, as little as it can: the real benchmarks and the real
// processes, and a line for each figure.
func TestEveryFigure(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin, "nightdrop/relay", "nightdrop/vault", "nightdrop/ops/storefront", "nightdrop/ops/simulator")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	var out, progress bytes.Buffer
	err := (&bench{bin: bin, brief: true, out: &out, progress: &progress}).run(t.Context(), "")
	if err != nil && !errors.Is(err, errMissed) { // so brief a run proves nothing about targets
		t.Fatal(err)
	}
	var printed []string
	for text := range strings.Lines(out.String()) {
		printed = append(printed, parseLine(t, strings.TrimSuffix(text, "\n")).Name)
	}
	if !slices.Equal(printed, names()) {
		t.Errorf("printed %v, the table has %v: %v", printed, names(), err)
	}
}
