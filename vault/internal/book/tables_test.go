package book

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The fold reads no table of the outside world: a log is folded again when currencies have been
// withdrawn, and has to come to the same.
func TestTheFoldReadsNoTableOfCurrencies(t *testing.T) {
	sources, err := filepath.Glob("*.go")
	if err != nil || len(sources) < 10 {
		t.Fatalf("%d sources, %v", len(sources), err)
	}
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, reader := range []string{"Lookup" + "Currency(", "Known" + "Currency("} {
			if strings.Contains(string(text), reader) {
				t.Errorf("%s calls %s): use ValidCurrency, and ask the table where the event is made", name, reader)
			}
		}
	}
}
