package folded

import (
	"context"
	"log/slog"
)

// inAll is how many lines of one text a program writes in each span.
const inAll = 100

// Handler returns a handler for a whole program's log: of each text at Warn or above it passes a
// hundred lines an hour to h, and then says how many more there were. It is the last resort, for
// lines that nobody has thought of folding; texts are constants of the program, and what differs
// stands in attributes.
func Handler(h slog.Handler) slog.Handler {
	return handler{Handler: h, lines: newLines(slog.New(h), inAll)}
}

type handler struct {
	slog.Handler
	lines *Lines
}

// Handle passes on or counts a record.
func (h handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && r.Message != counted && !h.lines.admit(r.Level, r.Message) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs is as slog.Handler has it; what is counted is counted together.
func (h handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return handler{Handler: h.Handler.WithAttrs(attrs), lines: h.lines}
}

// WithGroup is as slog.Handler has it; what is counted is counted together.
func (h handler) WithGroup(name string) slog.Handler {
	return handler{Handler: h.Handler.WithGroup(name), lines: h.lines}
}
