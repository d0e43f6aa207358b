package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestLogKeysAreDocumented: a key of a log line has one meaning, which stands in
// ops/docs/log-keys.md. An error is "error", a path "file".
func TestLogKeysAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/log-keys.md")
	if err != nil {
		t.Fatal(err)
	}
	unused := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| .+ \\|$").FindAllSubmatch(page, -1) {
		unused[string(row[1])] = true
	}
	known := len(unused)
	for _, dir := range []string{"relay", "vault", "shared", "ops/simulator"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files := token.NewFileSet()
			file, err := parser.ParseFile(files, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				call, _ := n.(*ast.CallExpr)
				for _, argument := range logKeys(call) {
					literal, ok := argument.(*ast.BasicLit)
					if !ok {
						t.Errorf("%s: a log line's key is no literal", files.Position(argument.Pos()))
						continue
					}
					key, _ := strconv.Unquote(literal.Value)
					if _, ok := unused[key]; !ok {
						t.Errorf("%s: the log's key %q is not in ops/docs/log-keys.md: take one of its, or add it", files.Position(argument.Pos()), key)
						continue
					}
					unused[key] = false
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for key, is := range unused {
		if is {
			t.Errorf("no log line has the key %q of ops/docs/log-keys.md", key)
		}
	}
	if known < 50 {
		t.Errorf("only %d keys were read from the page", known)
	}
}

// logKeys are the arguments of a call that are keys of a log line.
func logKeys(call *ast.CallExpr) (keys []ast.Expr) {
	if call == nil {
		return nil
	}
	method, ok := call.Fun.(*ast.SelectorExpr)
	if !ok {
		return nil
	}
	receiver := ""
	switch x := method.X.(type) {
	case *ast.Ident:
		receiver = x.Name
	case *ast.SelectorExpr:
		receiver = x.Sel.Name
	}
	first := 0
	switch method.Sel.Name {
	case "Debug", "Info", "Warn", "Error":
		first = 1
		if len(call.Args)%2 == 0 { // of shared/folded: what is folded comes before the message
			first = 2
		}
	case "With":
	case "String", "Int", "Int64", "Uint64", "Any", "Bool", "Duration", "Time":
		if receiver == "slog" {
			return call.Args[:1]
		}
		return nil
	default:
		return nil
	}
	if receiver = strings.ToLower(receiver); !strings.Contains(receiver, "log") && receiver != "lines" && receiver != "folded" {
		return nil
	}
	for i := first; i < len(call.Args); i += 2 {
		if _, ok := call.Args[i].(*ast.CallExpr); ok { // an attribute, which is looked at by itself
			return keys
		}
		keys = append(keys, call.Args[i])
	}
	return keys
}
