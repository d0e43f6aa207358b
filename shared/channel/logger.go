package channel

import (
	"fmt"
	"log/slog"
)

// brokerLogger writes the broker's log lines to slog. Its debug and trace lines, which could hold payloads, are never
// switched on. A fatal line does not end the process: it fails StartEmbedded.
type brokerLogger struct {
	logger *slog.Logger
	fatal  chan error // buffered, keeps the first
}

func newBrokerLogger(logger *slog.Logger) *brokerLogger {
	return &brokerLogger{logger: logger.With("part", "broker"), fatal: make(chan error, 1)}
}

func (b *brokerLogger) Noticef(format string, v ...any) { b.logger.Debug(fmt.Sprintf(format, v...)) }
func (b *brokerLogger) Warnf(format string, v ...any)   { b.logger.Warn(fmt.Sprintf(format, v...)) }
func (b *brokerLogger) Errorf(format string, v ...any)  { b.logger.Error(fmt.Sprintf(format, v...)) }
func (b *brokerLogger) Debugf(string, ...any)           {}
func (b *brokerLogger) Tracef(string, ...any)           {}

func (b *brokerLogger) Fatalf(format string, v ...any) {
	err := fmt.Errorf(format, v...)
	b.logger.Error(err.Error())
	select {
	case b.fatal <- err:
	default:
	}
}
