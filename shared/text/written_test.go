package text_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"nightdrop/shared/text"
)

// TestOutputThatCannotBeWrittenIsTold: /dev/full takes nothing.
func TestOutputThatCannotBeWrittenIsTold(t *testing.T) {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	out := text.NewOutput(full)
	if _, err := out.Write([]byte("x")); !errors.Is(err, text.ErrNotWritten) {
		t.Errorf("write: %v", err)
	}
	if err := out.Result(nil); !errors.Is(err, text.ErrNotWritten) {
		t.Errorf("the result: %v", err)
	}
	own := errors.New("what the command failed with")
	if err := out.Result(own); !errors.Is(err, own) {
		t.Errorf("the result of a failure: %v", err)
	}
	file, err := os.Create(t.TempDir() + "/out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	out = text.NewOutput(file)
	if _, err := out.Write([]byte("x")); err != nil {
		t.Error(err)
	}
	if err := out.Result(nil); err != nil {
		t.Error(err)
	}
}

// TestDecimalsAreNumbersOrTexts: what is no number stands in quotes, and is no formula.
func TestDecimalsAreNumbersOrTexts(t *testing.T) {
	for number, want := range map[string]string{
		"12.34": "12.34", "-0.05": "-0.05", "1234": "1234", "": `""`, "-": `"'-"`, "+1": `"'+1"`, "=1": `"'=1"`, "1,5": `"1,5"`, "--1": `"'--1"`,
	} {
		var out strings.Builder
		w := text.NewCSV(&out)
		var row text.Row
		row.Decimal(number)
		if err := errors.Join(w.Write(row), w.Flush()); err != nil || out.String() != want+"\n" {
			t.Errorf("%q is written %q, want %q (%v)", number, out.String(), want, err)
		}
	}
}
