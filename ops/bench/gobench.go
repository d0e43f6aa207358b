package main

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// The figures on internals are Go benchmarks beside their packages.
var (
	ingest      = goBenchmark("nightdrop/relay/internal/ingest", "BenchmarkIngest", 8, 1)
	intake      = goBenchmark("nightdrop/vault/internal/intake", "BenchmarkIntake", 1, 1)
	vaultMemory = goBenchmark("nightdrop/vault", "BenchmarkMemory", 200, 2)
	authorise   = goBenchmark("nightdrop/vault/internal/settle", "BenchmarkAuthorise", 1, 1)
	logAppend   = goBenchmark("nightdrop/vault/internal/ledger", "BenchmarkLog", 1, 1)
	absence     = goBenchmark("nightdrop/vault/internal/ledger", "BenchmarkAbsence", 1, 1)
	unlock      = goBenchmark("nightdrop/vault", "BenchmarkUnlock", 200, 2)
	journal     = goBenchmark("nightdrop/vault/internal/settle", "BenchmarkJournal", 1, 1)
	settle      = goBenchmark("nightdrop/vault/internal/settle", "BenchmarkSettle", 1, 1)
	nachaFile   = goBenchmark("nightdrop/vault/internal/acquirer/nacha", "BenchmarkWrite", 3, 1)
	replayed    = goBenchmark("nightdrop/vault/internal/replay", "BenchmarkReplay", 1, 1)
)

// goBenchmark is a source that runs one Go benchmark of a package for so many rounds, or for those
// of a brief run.
func goBenchmark(pkg, name string, rounds, brief int) source {
	return source{name: name + " of " + pkg, measure: func(ctx context.Context, b *bench) (metrics, error) {
		n := rounds
		if b.brief {
			n = brief
		}
		args := []string{"test", "-run", "^$", "-bench", "^" + name + "$", "-benchtime", fmt.Sprintf("%dx", n), "-timeout", "20m"}
		if b.brief {
			args = append(args, "-short")
		}
		cmd := exec.CommandContext(ctx, "go", append(args, pkg)...) //nolint:gosec // benchmarks of ours, named in this file
		out, err := cmd.CombinedOutput()
		if err != nil {
			return nil, fmt.Errorf("go test %s: %w\n%s", pkg, err, out)
		}
		return parseBenchmark(name, string(out))
	}}
}

// parseBenchmark reads the metrics from the one result line of a benchmark: its name, the number of
// rounds, then values, each followed by its unit. (golang.org/design/14313-benchmark-format)
func parseBenchmark(name, output string) (metrics, error) {
	for text := range strings.Lines(output) {
		fields := strings.Fields(text)
		if len(fields) < 4 || len(fields)%2 != 0 || !isResultOf(name, fields[0]) {
			continue
		}
		m := metrics{}
		for i := 2; i < len(fields); i += 2 {
			value, err := strconv.ParseFloat(fields[i], 64)
			if err != nil {
				return nil, fmt.Errorf("%s: %q is not a number", name, fields[i])
			}
			m[fields[i+1]] = value
		}
		return m, nil
	}
	return nil, fmt.Errorf("%s gave no result: was it renamed?\n%s", name, output)
}

// isResultOf reports whether a line's first field is the benchmark's name, with the number of
// processors where that is not 1.
func isResultOf(name, field string) bool {
	rest, ok := strings.CutPrefix(field, name)
	if !ok || rest == "" {
		return ok
	}
	processors, ok := strings.CutPrefix(rest, "-")
	_, err := strconv.Atoi(processors)
	return ok && err == nil
}
