package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// A function is read in one look, a file in one sitting. The limits have a margin over the aim of 60 and 500 lines.
const (
	maxFunctionLines = 70
	maxTestLines     = 120 // of a test function: tables of cases are data
	maxFileLines     = 600
)

func TestFunctionsAndFilesAreShort(t *testing.T) {
	for _, file := range sources(t) {
		set := token.NewFileSet()
		parsed, err := parser.ParseFile(set, filepath.Join(root(t), file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		if lines := set.File(parsed.Pos()).LineCount(); lines > maxFileLines {
			t.Errorf("%s has %d lines: split it (at most %d)", file, lines, maxFileLines)
		}
		for _, declaration := range parsed.Decls {
			function, ok := declaration.(*ast.FuncDecl)
			if !ok {
				continue
			}
			lines := set.Position(function.End()).Line - set.Position(function.Pos()).Line + 1
			limit := maxFunctionLines
			if strings.HasSuffix(file, "_test.go") {
				limit = maxTestLines
			}
			if lines > limit {
				t.Errorf("%s: %s has %d lines: split it (at most %d)", file, function.Name.Name, lines, limit)
			}
		}
	}
}
