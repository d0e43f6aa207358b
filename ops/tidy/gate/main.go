// Command gate reads `go test -json` and fails where a plain exit code would not: on a skipped
// test, on a package whose test files ran nothing, and on an empty run. It prints what failed, the
// slowest packages, and one closing line "N passed, N failed, N skipped".
package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

func main() {
	g := newGate()
	err := g.read(os.Stdin)
	ok := g.report(os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "gate:", err)
	}
	if err != nil || !ok {
		os.Exit(1)
	}
}

// event is one line of test2json (go doc test2json).
type event struct {
	Action  string
	Package string
	Test    string
	Output  string
	Elapsed float64
}

type gate struct {
	output                  map[string][]string // by package and test
	passed, failed, skipped []string
	ran                     map[string]int // tests by package
	without                 map[string]bool
	seconds                 map[string]float64
	broken                  []string // packages that failed as a whole
}

func newGate() *gate {
	return &gate{output: map[string][]string{}, ran: map[string]int{}, without: map[string]bool{}, seconds: map[string]float64{}}
}

// maxLine bounds a line of output: a test that prints more is broken.
const maxLine = 16 << 20

func (g *gate) read(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Println(lines.Text()) // the go command's own words, such as a build that failed
			continue
		}
		g.take(e)
	}
	return lines.Err()
}

func (g *gate) take(e event) {
	name := e.Package + " " + e.Test
	switch e.Action {
	case "output", "build-output":
		g.output[name] = append(g.output[name], e.Output)
		if e.Test == "" && strings.Contains(e.Output, "[no test files]") {
			g.without[e.Package] = true
		}
	case "pass", "fail", "skip":
		if e.Test == "" {
			g.seconds[e.Package] = e.Elapsed
			if e.Action == "fail" {
				g.broken = append(g.broken, e.Package)
			}
			return
		}
		g.ran[e.Package]++
		list := map[string]*[]string{"pass": &g.passed, "fail": &g.failed, "skip": &g.skipped}[e.Action]
		*list = append(*list, name)
		if e.Action == "pass" {
			delete(g.output, name)
		}
	}
}

func (g *gate) report(out io.Writer) bool {
	problems := g.problems()
	for _, name := range append(slices.Clone(g.failed), g.broken...) {
		fmt.Fprintf(out, "--- %s\n%s", name, strings.Join(g.output[name], ""))
		fmt.Fprint(out, strings.Join(g.output[strings.TrimSpace(name)+" "], ""))
	}
	for pkg, seconds := range g.seconds {
		if seconds >= 20 {
			fmt.Fprintf(out, "slow: %s took %.0f s\n", pkg, seconds)
		}
	}
	for _, problem := range problems {
		fmt.Fprintln(out, "gate:", problem)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", len(g.passed), len(g.failed), len(g.skipped))
	return len(problems) == 0
}

func (g *gate) problems() []error {
	var problems []error
	for _, name := range g.skipped {
		problems = append(problems, fmt.Errorf("%s was skipped: a skipped test is not a passed one", name))
	}
	if len(g.failed) > 0 || len(g.broken) > 0 {
		problems = append(problems, fmt.Errorf("%d tests and %d packages failed", len(g.failed), len(g.broken)))
	}
	for pkg := range g.seconds {
		if g.ran[pkg] == 0 && !g.without[pkg] && !slices.Contains(g.broken, pkg) {
			problems = append(problems, fmt.Errorf("%s has test files that ran nothing", pkg))
		}
	}
	if len(g.passed) == 0 {
		problems = append(problems, errors.New("no test ran"))
	}
	return problems
}
