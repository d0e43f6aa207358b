package broker

import (
	"fmt"
	"log/slog"
)

// serverLogger writes the broker's log lines to slog. Its debug and trace lines, which could hold payloads, are never
// switched on. A fatal line does not end the process: it fails Start.
type serverLogger struct {
	logger *slog.Logger
	fatal  chan error // buffered, keeps the first
}

func newServerLogger(logger *slog.Logger) *serverLogger {
	return &serverLogger{logger: logger.With("part", "broker"), fatal: make(chan error, 1)}
}

func (b *serverLogger) Noticef(format string, v ...any) { b.logger.Debug(fmt.Sprintf(format, v...)) }
func (b *serverLogger) Warnf(format string, v ...any)   { b.logger.Warn(fmt.Sprintf(format, v...)) }
func (b *serverLogger) Errorf(format string, v ...any)  { b.logger.Error(fmt.Sprintf(format, v...)) }
func (b *serverLogger) Debugf(string, ...any)           {}
func (b *serverLogger) Tracef(string, ...any)           {}

func (b *serverLogger) Fatalf(format string, v ...any) {
	err := fmt.Errorf(format, v...)
	b.logger.Error(err.Error())
	select {
	case b.fatal <- err:
	default:
	}
}
