package tidy

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strings"
	"testing"
)

// lasting are the calls by which a file or a directory comes to its name: a reader of
// shared/durable knows what a crash leaves of each.
var lasting = map[string]string{
	"os.Link":        "there are no hard links on FAT, exFAT and SMB: durable.Create, durable.Rename",
	"unix.Link":      "as os.Link",
	"unix.Linkat":    "as os.Link",
	"syscall.Link":   "as os.Link",
	"os.Rename":      "it replaces, and a power cut may undo it: durable.Rename, durable.RenameOver, durable.Move",
	"unix.Rename":    "as os.Rename",
	"unix.Renameat":  "as os.Rename",
	"unix.Renameat2": "not every file system knows its flags: durable.Rename",
	"syscall.Rename": "as os.Rename",
	"os.WriteFile":   "a power cut leaves half of it, or none: durable.Create, durable.Replace",
	"os.Create":      "it empties what is there: durable.Create, durable.Replace, durable.Begin",
	"os.CreateTemp":  "durable.Begin",
	"os.O_CREATE":    "its name may be gone after a power cut: durable.OpenFile, durable.Begin",
	"os.Mkdir":       "its name may be gone after a power cut: durable.Mkdir",
	"os.MkdirAll":    "their names may be gone after a power cut: durable.MkdirAll",
	"unix.Syncfs":    "durable.SyncFileSystem",
}

// mayWrite are the files and directories that use them all the same, each with its reason.
var mayWrite = map[string]string{
	"shared/durable/": "it is the place",
	"shared/untrusted/dir.go": "it writes where a stranger may have laid links, through os.Root, and its callers " +
		"make the whole file system durable",
	"shared/channel/broker/broker.go":   "a lock file holds nothing",
	"shared/channel/broker/brokertest/": "for tests",
	"shared/envelope/vector/":           "for tests",
	"shared/proof/prooftest/":           "for tests",
	"vault/internal/journal/directory.go": "a lock file holds nothing; a segment is new, grows in place, and both its " +
		"directories are made durable before it is written to",
	"vault/internal/acquirer/nacha/file.go": "a file is staged under a fixed hidden name of its own, which outlives a crash on " +
		"purpose and is made durable",
	"vault/internal/ledger/rebuild.go":       "the file before a rebuild gets a second name at no cost; where there are no hard links it is copied",
	"vault/internal/replay/spill/records.go": "a file without a name, gone with the process",
	"shared/command/man.go":                  "`make man` writes its pages again; no program that runs in production holds it",
	"ops/flips/":                             "a disk laid out for a test is thrown away",
	"ops/demo/":                              "what a demonstration leaves is thrown away",
	"ops/site/":                              "a site for tests, demonstrations and training holds nothing real; what it must know again goes by durable",
}

func TestFilesAreWrittenInOnePlace(t *testing.T) {
	used := map[string]bool{}
	for _, file := range sources(t) {
		if strings.HasSuffix(file, "_test.go") || strings.HasPrefix(file, "testdata/") {
			continue
		}
		allowed := ""
		for may := range mayWrite {
			if file == may || strings.HasSuffix(may, "/") && strings.HasPrefix(file, may) {
				allowed = may
			}
		}
		for _, call := range calls(t, file) {
			if allowed == "" {
				t.Errorf("%s uses %s: %s", file, call, lasting[call])
			}
			used[allowed] = true
		}
	}
	for may := range mayWrite {
		if !used[may] {
			t.Errorf("%s writes nothing any more: take it out of the list", may)
		}
	}
}

// calls returns the names of lasting that a file uses.
func calls(t *testing.T, file string) (found []string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root(t), file), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if of, ok := s.X.(*ast.Ident); ok && lasting[of.Name+"."+s.Sel.Name] != "" {
				found = append(found, of.Name+"."+s.Sel.Name)
			}
		}
		return true
	})
	return found
}
