package vector

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestCorpusIsWhole: the committed corpus has a file for each format and at least 50 refusals in
// all.
func TestCorpusIsWhole(t *testing.T) {
	const dir = "../../../testdata/vectors"
	formats := []string{
		"json", "note", "vkey", "envelope", "receipt", "bag", "bag-note", "result", "directory", "members", "position",
		"order", "result-plaintext", "checkpoint", "tlog-proof", "prefix", "auditor",
	}
	refused := 0
	for _, format := range formats {
		data, err := os.ReadFile(filepath.Join(dir, format+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var f File
		if err := json.Unmarshal(data, &f); err != nil {
			t.Fatalf("%s: %v", format, err)
		}
		if err := f.Check(); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		for _, v := range f.Vectors {
			if v.Want != Accepted {
				refused++
			}
		}
	}
	if refused < 50 {
		t.Errorf("the corpus refuses %d inputs, want at least 50", refused)
	}
}

func TestCheckRefusesEmptyCorpora(t *testing.T) {
	good := New("a", Accepted, "shows a", []byte("a"))
	bad := New("b", Malformed, "has b", []byte("b"))
	for name, list := range map[string][]Vector{
		"nothing":           nil,
		"nothing refused":   {good},
		"nothing accepted":  {bad},
		"one name twice":    {good, bad, bad},
		"an unknown class":  {good, bad, New("c", "refused", "has c", []byte("c"))},
		"a nameless defect": {good, bad, New("c", Malformed, "", []byte("c"))},
	} {
		if err := (File{Vectors: list}).Check(); err == nil {
			t.Errorf("a corpus with %s passes", name)
		}
	}
	if err := (File{Vectors: []Vector{good, bad}}).Check(); err != nil {
		t.Errorf("a good corpus fails: %v", err)
	}
}
