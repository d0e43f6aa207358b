package main

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"testing"
)

// lineForm is how issue 2 has every figure printed.
var lineForm = regexp.MustCompile(`^bench: ([a-z]+(?:-[a-z0-9]+)*) value=([0-9]+\.[0-9]+) unit=(\S+) ratio=([0-9]+\.[0-9]+) target=([0-9]+(?:\.[0-9]+)?)$`)

func parseLine(t *testing.T, text string) line {
	t.Helper()
	m := lineForm.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("not a figure: %q", text)
	}
	l := line{Name: m[1], Unit: m[3]}
	for i, field := range map[int]*float64{2: &l.Value, 4: &l.Ratio, 5: &l.Target} {
		var err error
		if *field, err = strconv.ParseFloat(m[i], 64); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func TestLineParses(t *testing.T) {
	for _, want := range []line{
		{Name: "relay-ingest", Value: 6543.2, Unit: "posts/s", Ratio: 0.812, Target: 0.7},
		{Name: "vault-memory", Value: 12.5, Unit: "MB", Ratio: 0.063, Target: 200},
	} {
		if got := parseLine(t, want.String()); got != want {
			t.Errorf("%q parses as %+v", want, got)
		}
	}
}

func TestOnlyOneFigure(t *testing.T) {
	var out, progress bytes.Buffer
	b := &bench{out: &out, progress: &progress}
	if err := b.run(t.Context(), "vault-speed"); !errors.Is(err, errNoFigure) {
		t.Errorf("a figure that is not there: %v", err)
	}
	if out.Len() != 0 || progress.Len() != 0 {
		t.Errorf("something was measured: %s%s", &out, &progress)
	}
}

func TestTargets(t *testing.T) {
	speed := figure{name: "speed", unit: "posts/s", value: "posts/s", ratio: "of", target: 0.7}
	memory := figure{name: "memory", unit: "MB", value: "MB", target: 150}
	growth := figure{name: "growth", unit: "us", value: "us", ratio: "of", target: 1.3, atMost: true}
	reported := figure{name: "reported", unit: "posts/s", value: "posts/s", ratio: "of"}
	for _, c := range []struct {
		of   figure
		m    metrics
		want line
		met  bool
	}{
		{speed, metrics{"posts/s": 9, "of": 0.7}, line{"speed", 9, "posts/s", 0.7, 0.7}, true},
		{speed, metrics{"posts/s": 9000, "of": 0.699}, line{"speed", 9000, "posts/s", 0.699, 0.7}, false},
		{memory, metrics{"MB": 150}, line{"memory", 150, "MB", 1, 150}, true},
		{memory, metrics{"MB": 165}, line{"memory", 165, "MB", 1.1, 150}, false},
		{growth, metrics{"us": 9, "of": 1.3}, line{"growth", 9, "us", 1.3, 1.3}, true},
		{growth, metrics{"us": 9, "of": 1.31}, line{"growth", 9, "us", 1.31, 1.3}, false},
		{reported, metrics{"posts/s": 9, "of": 0.1}, line{"reported", 9, "posts/s", 0.1, 0}, true},
	} {
		got, err := c.of.read(c.m)
		if err != nil || math.Abs(got.Ratio-c.want.Ratio) > 1e-9 {
			t.Errorf("%v: %v, %v", c.m, got, err)
		}
		if c.of.met(got) != c.met {
			t.Errorf("%v: met is not %v", got, c.met)
		}
	}
	for _, m := range []metrics{{}, {"posts/s": 9}, {"of": 1}, {"posts/s": 0, "of": 1}, {"posts/s": 9, "of": math.NaN()}, {"posts/s": 9, "of": math.Inf(1)}} {
		if l, err := speed.read(m); err == nil {
			t.Errorf("%v gives %v", m, l)
		}
	}
}

func TestParseBenchmark(t *testing.T) {
	const head, tail = "goos: linux\npkg: nightdrop/shared/note\n", "PASS\nok  \tnightdrop/shared/note\t1.2s\n"
	for result, want := range map[string]string{
		"BenchmarkX-2   \t       8\t3201939470 ns/op\t         0.92 of-instant\t      1768 posts/s\n": "map[ns/op:3.20193947e+09 of-instant:0.92 posts/s:1768]",
		"BenchmarkX\t1\t12 ns/op\n":       "map[ns/op:12]",
		"BenchmarkXY-2\t1\t12 ns/op\n":    "",
		"BenchmarkX-2\n":                  "",
		"BenchmarkX-2\t1\tmany ns/op\n":   "",
		"--- SKIP: BenchmarkX\n":          "",
		"BenchmarkX-two\t1\t12.5 ns/op\n": "",
	} {
		got, err := parseBenchmark("BenchmarkX", head+result+tail)
		if (err != nil) != (want == "") || err == nil && fmt.Sprint(got) != want {
			t.Errorf("%q: %v, %v", result, got, err)
		}
	}
}

func TestPeakResident(t *testing.T) {
	if _, err := peakResident(-1); err == nil {
		t.Error("a process that is not there has a peak")
	}
	if peak, err := peakResident(os.Getpid()); err != nil || peak < 1_000_000 || peak > 1_000_000_000 {
		t.Errorf("this test has a peak of %d bytes, %v", peak, err)
	}
}
