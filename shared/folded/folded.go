// Package folded writes log lines that an outsider can cause: a peer that misbehaves must not fill
// a disk, nor drown what else is to be read.
package folded

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

const (
	// span is how long lines of one kind are counted together.
	span = time.Hour
	// inFull is how many lines of a kind are written in each span; further ones are counted.
	inFull = 10
	// counted is the text of the line that says how many there were.
	counted = "log lines of one kind were counted and not written"
	// maxKinds bounds the kinds of one Lines, for an outsider may have a say in them. Further ones
	// share one.
	maxKinds = 64
)

// Lines writes to a logger, of each kind ten lines an hour. What came beyond them is counted, in
// one line when their hour is over. It is safe for concurrent use.
type Lines struct {
	logger *slog.Logger
	most   int // lines of a kind in each span that are written

	mu    sync.Mutex
	kinds map[string]*kind
}

// kind is the lines of one kind within the hour that began with the first of them.
type kind struct {
	since   time.Time
	written int
	silent  int
}

// New returns Lines that writes to logger.
func New(logger *slog.Logger) *Lines { return newLines(logger, inFull) }

func newLines(logger *slog.Logger, most int) *Lines {
	return &Lines{logger: logger, most: most, kinds: make(map[string]*kind)}
}

// Info writes or counts a line of a kind at level Info; args are as slog's.
func (l *Lines) Info(kind, text string, args ...any) { l.line(slog.LevelInfo, kind, text, args) }

// Warn writes or counts a line of a kind at level Warn; args are as slog's.
func (l *Lines) Warn(kind, text string, args ...any) { l.line(slog.LevelWarn, kind, text, args) }

// Error writes or counts a line of a kind at level Error; args are as slog's.
func (l *Lines) Error(kind, text string, args ...any) { l.line(slog.LevelError, kind, text, args) }

func (l *Lines) line(level slog.Level, name, text string, args []any) {
	if l.admit(level, name) {
		l.logger.Log(context.Background(), level, text, args...)
	}
}

// admit reports whether a line of a kind is written. The first that is not sets the clock for the
// line that reports them.
func (l *Lines) admit(level slog.Level, name string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	k := l.kinds[name]
	if k == nil {
		if len(l.kinds) >= maxKinds {
			l.forget()
		}
		if len(l.kinds) >= maxKinds {
			name = "others"
			k = l.kinds[name]
		}
	}
	if k == nil {
		k = &kind{since: time.Now()}
		l.kinds[name] = k
	}
	if k.silent == 0 && time.Since(k.since) >= span {
		*k = kind{since: time.Now()}
	}
	if k.written < l.most {
		k.written++
		return true
	}
	if k.silent++; k.silent == 1 {
		time.AfterFunc(span-time.Since(k.since), func() { l.summarise(level, name, k) })
	}
	return false
}

// forget drops the kinds whose hour is over.
func (l *Lines) forget() {
	for name, k := range l.kinds {
		if k.silent == 0 && time.Since(k.since) >= span {
			delete(l.kinds, name)
		}
	}
}

// summarise writes how many lines of a kind were only counted, and begins a new hour.
func (l *Lines) summarise(level slog.Level, name string, k *kind) {
	l.mu.Lock()
	silent, since := k.silent, k.since
	*k = kind{since: time.Now()}
	l.mu.Unlock()
	l.logger.Log(context.Background(), level, counted,
		"kind", name, "lines", silent, "since", since.UTC().Format(time.RFC3339))
}
