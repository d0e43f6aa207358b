package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// A function is read in one look, a file in one sitting. The limits have a margin over the aim of
// 60 and 500 lines.
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

// maxCommentColumns keeps comments readable beside the code, with a tab as four columns.
const maxCommentColumns = 100

// TestCommentsAreNarrow: what is longer stands above its line, and is wrapped. Directives, and the
// layouts and code that stand in a comment behind a tab, are not prose.
func TestCommentsAreNarrow(t *testing.T) {
	for _, file := range sources(t) {
		set := token.NewFileSet()
		text, err := os.ReadFile(filepath.Join(root(t), file))
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := parser.ParseFile(set, file, text, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		for _, group := range parsed.Comments {
			for _, comment := range group.List {
				if strings.HasPrefix(comment.Text, "//go:") || strings.HasPrefix(comment.Text, "//nolint") || strings.HasPrefix(comment.Text, "//\t") {
					continue
				}
				n := set.Position(comment.Pos()).Line
				columns := utf8.RuneCountInString(strings.ReplaceAll(lines[n-1], "\t", "    "))
				if columns > maxCommentColumns && !strings.Contains(comment.Text, "://") {
					t.Errorf("%s:%d: a comment ends in column %d: wrap it, above the line (at most %d)", file, n, columns, maxCommentColumns)
				}
			}
		}
	}
}
