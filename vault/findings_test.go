package main

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// TestEveryFindingHasAMeaning: each kind that the payment package names is told to people, on the
// command line and on its page, alike.
func TestEveryFindingHasAMeaning(t *testing.T) {
	named := map[book.Finding]bool{}
	sources, err := os.ReadDir("internal/book")
	if err != nil {
		t.Fatal(err)
	}
	constant := regexp.MustCompile(`(?m)^(?:\t|const )Finding\w+ +Finding += "([a-z-]+)"`)
	for _, source := range sources {
		if !strings.HasSuffix(source.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile("internal/book/" + source.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range constant.FindAllStringSubmatch(string(text), -1) {
			named[book.Finding(found[1])] = true
		}
	}
	if len(named) < 18 {
		t.Fatalf("only %d kinds are found in the sources", len(named))
	}
	for kind := range named {
		if m := meanings[kind]; m.means == "" || m.todo == "" {
			t.Errorf("%s means nothing", kind)
		}
	}
	page, err := os.ReadFile("../ops/docs/findings.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, kind := range slices.Sorted(maps.Keys(meanings)) {
		if !named[kind] {
			t.Errorf("%s is no kind of finding", kind)
		}
		line := fmt.Sprintf("| `%s` | %s | %s |\n", kind, meanings[kind].means, meanings[kind].todo)
		if !strings.Contains(string(page), line) {
			t.Errorf("ops/docs/findings.md has not the line\n%s", line)
		}
	}
}

// TestFindingsAreListedShownAndAcknowledged on the command line.
func TestFindingsAreListedShownAndAcknowledged(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	defer stop()
	stranger, err := note.GenerateSigner("relay-9")
	s.must(err)
	for bag := range 4 {
		run := fmt.Sprintf("%032x", bag+1)
		msg, digest, err := envelope.PackBag(envelope.Bag{Relay: "relay-9", Run: run, Number: 1, Previous: envelope.ZeroDigest, Window: 1},
			[][]byte{[]byte("no envelope")}, stranger)
		s.must(err)
		s.must(<-s.relay.PublishBag("relay-1", digest, msg))
	}
	s.wait("the findings", func() bool {
		var status control.Status
		s.json(&status, "status")
		return status.OpenFindings == 4
	})
	var open []control.Finding
	s.json(&open, "findings", "list")
	if len(open) != 4 || open[0].Number != 4 || open[0].Kind != book.FindingUnknownRelay || !strings.HasSuffix(open[0].Run, "4") || open[0].Bag != 1 {
		t.Fatalf("listed: %+v", open)
	}
	var one control.Finding
	s.json(&one, "findings", "show", "2")
	if one.Number != 2 || one.Entry == nil || !strings.HasSuffix(one.Run, "2") || one.Acknowledged != nil {
		t.Errorf("shown: %+v", one)
	}
	for _, wrong := range []struct {
		code int
		args string
	}{
		{2, "findings acknowledge 2"}, {2, "findings acknowledge x --reason r"}, {2, "findings acknowledge 4-2 --reason r"},
		{5, "findings acknowledge 9 --reason r"}, {2, "findings list --kind nonsense"}, {5, "findings show 99"}, {2, "findings show 0"},
		{6, "findings acknowledge 2 --withdraw --reason r"}, {2, "findings list --limit 0"},
	} {
		if code, out := s.command(strings.Fields(wrong.args)...); code != wrong.code {
			t.Errorf("%s: exit %d, want %d: %s", wrong.args, code, wrong.code, out)
		}
	}
	if code, out := s.command("findings", "acknowledge", "2-3", "--reason", "acquirer, call 4711"); code != 0 {
		t.Fatal(out)
	}
	s.json(&open, "findings", "list")
	if len(open) != 2 || open[0].Number != 4 || open[1].Number != 1 {
		t.Errorf("open after the acknowledgement: %+v", open)
	}
	var status control.Status
	if s.json(&status, "status"); status.OpenFindings != 2 || status.Findings[book.FindingUnknownRelay] != 4 {
		t.Errorf("status: %d open, %v", status.OpenFindings, status.Findings)
	}
	if code, out := s.command("findings", "show", "3"); code != 0 || !strings.Contains(out, "acquirer, call 4711") || !strings.Contains(out, "what to do") {
		t.Errorf("exit %d: %s", code, out)
	}
	if code, out := s.command("findings", "acknowledge", "3", "--withdraw", "--reason", "it was another call"); code != 0 {
		t.Error(out)
	}
	s.json(&open, "findings", "list", "--all", "--before", "4", "--limit", "2")
	if len(open) != 2 || open[0].Number != 3 || open[0].Acknowledged != nil || open[1].Acknowledged == nil {
		t.Errorf("all: %+v", open)
	}
}
