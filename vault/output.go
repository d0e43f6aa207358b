package main

import (
	"io"
	"time"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/operator"
)

// print writes v as JSON where that is asked for, and otherwise as people read it.
func (g *global) print(out io.Writer, v any, table func(io.Writer)) error {
	if g.json {
		return command.JSON(out, v)
	}
	return command.Table(out, table)
}

func moment(t envelope.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339)
}

// bar shows on standard error how far long work is; done ends it.
func bar(errOut io.Writer, what string) (progress operator.Progress, done func()) {
	b := command.NewBar(errOut, what)
	return func(done, total int) { b.Set(int64(done), int64(total)) }, b.Close
}
