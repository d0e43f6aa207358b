package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// TestJSONIsData: in what commands print with --json each name is one that a command takes, and
// sentences stand only in members that are documented to hold them. In the vault of before.
func TestJSONIsData(t *testing.T) {
	s := layBefore(t)
	s.surround(strings.TrimSpace(string(readBefore(t, "../testdata/before/vault/channel.nkey.pub"))))
	defer s.serve()()
	var payments []struct{ Payment string }
	s.json(&payments, "payment", "list", "--all")
	commands := [][]string{{"status"}, {"merchant", "list"}, {"batch", "list"}, {"batch", "show", "1"}, {"payment", "list", "--all"},
		{"findings", "list", "--all"}, {"findings", "show", "1"}, {"key", "list"}, {"directory", "show"}, {"audit", "auditor", "list"}, {"check-config"},
		{"batch", "report", "--from", "2026-01-01", "--to", "2027-01-01"}, {"batch", "close", "--all"}, {"batch", "report", "1"}, {"version"}}
	for _, p := range payments {
		commands = append(commands, []string{"payment", "show", p.Payment})
	}
	w := jsonWalk{t: t, site: s, shown: map[string]bool{}}
	for _, args := range commands {
		var printed any
		s.json(&printed, args...)
		w.command = strings.Join(args, " ")
		w.walk("", printed)
	}
	if len(w.shown) < 40 {
		t.Errorf("%d names were tried only", len(w.shown))
	}
}

// sentences are the members that hold text for people, and what a person or another program wrote.
var sentences = []string{"message", "messages", "advice", "problems", "warnings", "name", "reference", "reason", "detail", "note", "version"}

// shownBy are the commands that take what stands in a member.
var shownBy = map[string][]string{
	"payment": {"payment", "show"}, "of": {"payment", "show"}, "void": {"payment", "show"},
	"batch": {"batch", "show"}, "batches": {"batch", "show"}, "openBatch": {"batch", "show"}, "openBank": {"batch", "show"},
	"merchant": {"merchant", "show"},
}

// jsonWalk looks at each member of what a command printed.
type jsonWalk struct {
	t       *testing.T
	site    *site
	command string
	shown   map[string]bool // commands that were tried
}

func (w *jsonWalk) walk(member string, value any) {
	switch v := value.(type) {
	case map[string]any:
		for name, of := range v {
			if name != "messages" {
				w.walk(name, of)
			}
		}
	case []any:
		for _, of := range v {
			w.walk(member, of)
		}
	case string:
		if strings.Count(v, " ") > 1 && !slices.Contains(sentences, member) {
			w.t.Errorf("vault %s: %q is prose: %q", w.command, member, v)
		}
		w.show(member, v)
	case json.Number, float64:
		if shownBy[member] != nil {
			w.t.Errorf("vault %s: %q is the number %v, and no name", w.command, member, v)
		}
	}
}

// show has a command show what a member names.
func (w *jsonWalk) show(member, name string) {
	args := append(slices.Clone(shownBy[member]), name)
	if len(args) == 1 || w.shown[fmt.Sprint(args)] {
		return
	}
	w.shown[fmt.Sprint(args)] = true
	if code, out := w.site.command(args...); code != 0 {
		w.t.Errorf("vault %s: %q is %q, and vault %v ends with %d: %s", w.command, member, name, args, code, out)
	}
}
