package broker

import (
	"fmt"
	"log/slog"
	"regexp"

	"nightdrop/shared/folded"
)

// brokerSays is the text of lines that quote the broker.
const brokerSays = "the channel's broker warns"

// numbers are what differs between lines of one kind: addresses, ports and connections.
var numbers = regexp.MustCompile("[0-9]+")

func kindOf(format string) string {
	kind := numbers.ReplaceAllString(format, "#")
	return kind[:min(len(kind), 100)]
}

// serverLogger writes the broker's log to slog, folding what strangers can cause per kind and hour.
// Debug and trace lines, which could hold payloads, are never switched on. A fatal line does not
// end the process: it fails [Start].
type serverLogger struct {
	logger *slog.Logger
	lines  *folded.Lines
	fatal  chan error // buffered, keeps the first
}

func newServerLogger(logger *slog.Logger) *serverLogger {
	logger = logger.With("part", "broker")
	return &serverLogger{logger: logger, lines: folded.New(logger), fatal: make(chan error, 1)}
}

func (b *serverLogger) Noticef(format string, v ...any) { b.logger.Debug(fmt.Sprintf(format, v...)) }
func (b *serverLogger) Warnf(format string, v ...any) {
	b.lines.Warn(kindOf(format), brokerSays, "text", fmt.Sprintf(format, v...))
}
func (b *serverLogger) Errorf(format string, v ...any) {
	b.lines.Error(kindOf(format), brokerSays, "text", fmt.Sprintf(format, v...))
}
func (b *serverLogger) Debugf(string, ...any) {}
func (b *serverLogger) Tracef(string, ...any) {}

func (b *serverLogger) Fatalf(format string, v ...any) {
	err := fmt.Errorf(format, v...)
	b.logger.Error(err.Error())
	select {
	case b.fatal <- err:
	default:
	}
}
