package book

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const drawingFile = "../../../ops/docs/payments.md"

// drawing is the state machine as Mermaid diagrams, one a flow.
func drawing() string {
	var out strings.Builder
	for _, flow := range flows {
		fmt.Fprintf(&out, "\n### %s\n\n```mermaid\nstateDiagram-v2\n    direction LR\n", flow)
		for _, m := range moves {
			for _, to := range m.To {
				if m.Flow == flow {
					fmt.Fprintf(&out, "    %s --> %s: %s\n", m.From, to, m.Event)
				}
			}
		}
		out.WriteString("```\n")
	}
	return out.String()
}

// TestTheDrawingIsTheMachine holds ops/docs/payments.md against the table of moves; -update draws
// it anew.
func TestTheDrawingIsTheMachine(t *testing.T) {
	const begin, end = "<!-- drawn from vault/internal/book: begin -->\n", "<!-- drawn: end -->\n"
	data, err := os.ReadFile(drawingFile)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(data), begin)
	drawn, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has no place for the drawing", drawingFile)
	}
	if *update {
		if err := os.WriteFile(drawingFile, []byte(before+begin+drawing()+"\n"+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if drawn != drawing()+"\n" {
		t.Errorf("%s does not show the machine: draw it anew with -update", drawingFile)
	}
}
