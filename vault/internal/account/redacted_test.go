package account_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"nightdrop/vault/internal/account"
)

// secrets are what the values under test hold, in the forms in which reflection would print them.
func secrets() []string {
	return []string{"4242424242424242", "[52 50 52 50", "0x34, 0x32", "34323432", "Lovelace", "110000000", "000123456789", "[49 49 48", "987", "[57 56 55", "2030 12", "2030, month:12"}
}

func values(t *testing.T) map[string]any {
	t.Helper()
	card := parse(t, "4242424242424242", "2030-12")
	bank, err := account.Parse([]byte(`{"bank":{"routing":"110000000","account":"000123456789","type":"checking","name":"Ada Lovelace"}}`))
	if err != nil {
		t.Fatal(err)
	}
	code, err := account.ParseCode([]byte(`{"code":"987"}`))
	if err != nil {
		t.Fatal(err)
	}
	expiry, err := account.ParseExpiry([]byte(`{"card":{"expiry":"2030-12"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return map[string]any{
		"account": card, "account by value": *card, "card": card.Card, "card by value": *card.Card,
		"bank": bank.Bank, "bank by value": *bank.Bank, "code": code, "code by value": *code, "expiry": expiry, "expiry by value": *expiry,
		"inside a struct": struct {
			A *account.Account
			C account.Code
		}{card, *code},
		"inside a slice": []account.Card{*card.Card}, "inside a map": map[string]*account.Code{"k": code},
	}
}

func TestEverythingPrintsRedacted(t *testing.T) {
	for name, v := range values(t) {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%b", "%o", "%c", "%U", "%t", "%e", "% x", "%40v", "%!"} {
			inspect(t, name+" as "+verb, fmt.Sprintf(verb, v), verb != "%!")
		}
		inspect(t, name+" by Print", fmt.Sprint(v), true)
		inspect(t, name+" in an error", fmt.Errorf("failed: %v %w", v, errors.New("x")).Error(), true)
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, timeless())).Info("m", "v", v)
		slog.New(slog.NewJSONHandler(&log, timeless())).Info("m", "v", v)
		inspect(t, name+" by slog", log.String(), true)
		text, err := json.Marshal(v)
		if err != nil {
			t.Error(name, err)
		}
		inspect(t, name+" as JSON", string(text), true)
		if text, err = xml.Marshal(v); err == nil {
			inspect(t, name+" as XML", string(text), false)
		}
	}
}

// timeless leaves the time out of a log: its digits may contain a code's.
func timeless() *slog.HandlerOptions {
	return &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}
}

func inspect(t *testing.T, how, printed string, marked bool) {
	t.Helper()
	for _, secret := range secrets() {
		if strings.Contains(printed, secret) {
			t.Errorf("%s shows account data", how)
		}
	}
	if marked && !strings.Contains(printed, "[redacted]") {
		t.Errorf("%s prints %q, want [redacted]", how, printed)
	}
}

// TestSourcesMakeNoStrings: the package's sources convert no bytes to a string, which could not be
// cleared, and import nothing that would (masks are made by shared/envelope). Do not relax it to
// fix a build.
func TestSourcesMakeNoStrings(t *testing.T) {
	allowed := map[string]string{
		"bytes": "compares and searches bytes", "errors": "the sentinel", "time": "expiry", "unicode": "controls in names",
		"unicode/utf8": "characters in names", "nightdrop/shared/envelope": "result codes, masks, and Luhn over bytes",
		"nightdrop/shared/strictjson": "Walk, which clears its buffer",
		"nightdrop/shared/redacted":   "what everything here prints as",
	}
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	conversions, checked := 0, 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		checked++
		tree, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range tree.Imports {
			path := strings.Trim(spec.Path.Value, `"`)
			if _, ok := allowed[path]; !ok {
				t.Errorf("%s imports %s: account data could become a string there", file, path)
			}
		}
		ast.Inspect(tree, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				if fn, ok := call.Fun.(*ast.Ident); ok && fn.Name == "string" {
					conversions++
				}
			}
			return true
		})
	}
	if checked < 4 || conversions != 0 {
		t.Errorf("%d sources with %d conversions to string; want none", checked, conversions)
	}
}
