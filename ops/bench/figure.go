package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
)

// figure is one line of output.
type figure struct {
	name  string
	unit  string // of the value
	from  source
	value string // the metric of from that is shown
	// the metric that is judged: at least target, or with atMost at most; "" where the value is
	// judged: at most target
	ratio  string
	target float64 // of the ratio, or of the value; 0: the figure is reported, not judged
	atMost bool    // the ratio is the better the smaller
}

// figures are all of them, with the reasons of their targets.
var figures = []figure{
	// Durability by group commit may not cost much against a relay that keeps nothing.
	{name: "relay-ingest", unit: "posts/s", from: ingest, value: "posts/s", ratio: "of-instant", target: 0.7},
	// Bags must be worth it, against the same relay with one synchronous publish for each envelope.
	{name: "relay-vs-publish", unit: "posts/s", from: ingest, value: "posts/s", ratio: "of-single", target: 1.5},
	// What checks, signature, receipt and HTTP cost beside what bags gain, against bare publishes
	// without any relay.
	{name: "relay-vs-bare-publish", unit: "posts/s", from: ingest, value: "posts/s", ratio: "of-publish"},
	// Opening is the vault's work; everything else, the commit included, may take as long as two
	// thirds of it.
	{name: "vault-intake", unit: "envelopes/s", from: intake, value: "envelopes/s", ratio: "ratio", target: 0.6},
	// The relay runs on the smallest machine there is, whatever the internet does.
	{name: "relay-memory", unit: "MB", from: relayMemory, value: "peak-MB", target: 150},
	// The vault's memory does not grow with its history.
	{name: "vault-memory", unit: "MB", from: vaultMemory, value: "heap-MB", target: 200},
	{name: "vault-memory-peak", unit: "MB", from: vaultMemory, value: "peak-MB", target: 200},
	// Logging each intent before it leaves, and its answer, may not cost much against a client that
	// keeps nothing.
	{name: "authorise", unit: "authorisations/s", from: authorise, value: "authorisations/s", ratio: "ratio", target: 0.6},
	// The same of a host that answers at once: what opening accounts and two commits cost beside
	// bare messages, on this machine's processors.
	{name: "authorise-at-once", unit: "authorisations/s", from: authorise, value: "at-once/s", ratio: "at-once-ratio"},
	// Encoding, sealing and hashing an event for auditors is little beside opening the envelope
	// that it reports.
	{name: "log-append", unit: "envelopes/s", from: logAppend, value: "envelopes/s", ratio: "ratio", target: 0.85},
	// What proves absence and age costs little of taking an envelope.
	{name: "absence", unit: "envelopes/s", from: absence, value: "envelopes/s", ratio: "ratio", target: 0.9},
	// What money hangs on is compared before anything is sent, and nobody waits long for it.
	{name: "unlock-200k", unit: "s", from: unlock, value: "clean-s", target: 1.5},
	// The same after a kill, beyond the inspection of the file, whose speed is reported.
	{name: "unlock-200k-killed", unit: "s", from: unlock, value: "killed-s", target: 1.5},
	{name: "unlock-200k-inspection", unit: "MB/s", from: unlock, value: "inspected-MB/s", ratio: "inspected-MB/s"},
	// Proving all of the ledger on demand.
	{name: "check", unit: "payments/s", from: unlock, value: "checked/s", ratio: "checked/s"},
	// The log leaves the host before the money does; many wait for it together.
	{name: "journal", unit: "authorisations/s", from: journal, value: "authorisations/s", ratio: "ratio", target: 0.8},
	// A payment of a large settlement takes hardly longer than one of a small one: nothing looks at
	// all of them for each.
	{name: "settle", unit: "us/payment", from: settle, value: "us/payment", ratio: "ratio", target: 1.3, atMost: true},
	// A month's largest settlement file is streamed, not held.
	{name: "nacha-memory", unit: "MB", from: nachaFile, value: "peak-MB", target: 300},
	// Hashing every leaf, tile and body of an exported log, without a key.
	{name: "audit-verify", unit: "entries/s", from: replayed, value: "verified/s"},
	// Decoding, folding and counting may cost three times what opening the log's sealed bytes and
	// hashing what must be hashed do.
	{name: "audit-replay", unit: "entries/s", from: replayed, value: "entries/s", ratio: "ratio", target: 0.25},
	// The same beside AES-GCM under one key that is ready and no tree: what a log would cost whose
	// entries had no keys of their own and no proofs.
	{name: "audit-replay-plain", unit: "entries/s", from: replayed, value: "entries/s", ratio: "of-plain"},
	// An auditor's laptop replays ten times the log in hardly more memory.
	{name: "audit-replay-memory", unit: "MB", from: replayed, value: "peak-MB", ratio: "growth", target: 1.3, atMost: true},
}

func names() []string {
	var all []string
	for _, f := range figures {
		all = append(all, f.name)
	}
	return all
}

// metrics are what a source measured, by name.
type metrics map[string]float64

// source measures something that one or more figures report.
type source struct {
	name    string
	measure func(ctx context.Context, b *bench) (metrics, error)
}

// read picks the figure's metrics.
func (f figure) read(m metrics) (line, error) {
	value, ok := m[f.value]
	if !ok {
		return line{}, fmt.Errorf("%s: the measurement has no metric %s", f.name, f.value)
	}
	l := line{Name: f.name, Value: value, Unit: f.unit, Ratio: 1, Target: f.target}
	switch {
	case f.ratio == "" && f.target > 0:
		l.Ratio = value / f.target
	case f.ratio != "":
		if l.Ratio, ok = m[f.ratio]; !ok {
			return line{}, fmt.Errorf("%s: the measurement has no metric %s", f.name, f.ratio)
		}
	}
	if bad(l.Value) || bad(l.Ratio) {
		return line{}, fmt.Errorf("%s: nothing was measured", f.name)
	}
	return l, nil
}

func bad(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) || v <= 0 }

// met reports whether the target is.
func (f figure) met(l line) bool {
	switch {
	case f.target == 0:
		return true
	case f.ratio == "":
		return l.Value <= l.Target
	case f.atMost:
		return l.Ratio <= l.Target
	}
	return l.Ratio >= l.Target
}

// bench is one run.
type bench struct {
	bin      string // directory of the binaries
	brief    bool   // measure as little as possible
	out      io.Writer
	progress io.Writer

	measured map[string]metrics // by source
}

var (
	errNoFigure = errors.New("no such figure") // is returned when --only names none
	// is returned when everything was measured
	errMissed = errors.New("a figure has missed its target")
)

// run measures and prints the figures, or only the one of that name. It goes on after a figure that
// fails.
func (b *bench) run(ctx context.Context, only string) error {
	b.measured = map[string]metrics{}
	var all []error
	found := false
	for _, f := range figures {
		if only != "" && f.name != only {
			continue
		}
		found = true
		l, err := b.measure(ctx, f)
		if err != nil {
			all = append(all, err)
			continue
		}
		fmt.Fprintln(b.out, l)
		if !f.met(l) {
			all = append(all, fmt.Errorf("%s: %w", f.name, errMissed))
		}
	}
	if !found {
		return fmt.Errorf("%s: %w", only, errNoFigure)
	}
	return errors.Join(all...)
}

func (b *bench) measure(ctx context.Context, f figure) (line, error) {
	m, ok := b.measured[f.from.name]
	if !ok {
		fmt.Fprintf(b.progress, "measuring %s ...\n", f.from.name)
		var err error
		if m, err = f.from.measure(ctx, b); err != nil {
			return line{}, fmt.Errorf("%s: %w", f.name, err)
		}
		b.measured[f.from.name] = m
	}
	return f.read(m)
}
