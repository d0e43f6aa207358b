package account

import (
	"fmt"
	"log/slog"
)

const redactedText = "[redacted]"

// redacted is embedded by every type of this package, so that whatever prints, logs or encodes one of them writes the same word.
type redacted struct{}

// String returns "[redacted]".
func (redacted) String() string { return redactedText }

// GoString returns "[redacted]".
func (redacted) GoString() string { return redactedText }

// Format writes "[redacted]" for every verb.
func (redacted) Format(s fmt.State, _ rune) { _, _ = s.Write([]byte(redactedText)) }

// LogValue returns "[redacted]".
func (redacted) LogValue() slog.Value { return slog.StringValue(redactedText) }

// MarshalJSON returns "[redacted]" as a JSON string.
func (redacted) MarshalJSON() ([]byte, error) { return []byte(`"` + redactedText + `"`), nil }

// MarshalText returns "[redacted]".
func (redacted) MarshalText() ([]byte, error) { return []byte(redactedText), nil }
