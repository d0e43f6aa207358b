// Package redacted keeps secrets out of every kind of output.
package redacted

import (
	"fmt"
	"io"
	"log/slog"
)

// Text is what a secret prints as.
const Text = "[redacted]"

// Secret is embedded, and then whatever prints, logs or encodes its holder writes Text: fmt with
// every verb but %T and %p, slog, JSON and other text encodings. It holds for pointers and for
// values.
type Secret struct{}

// String implements fmt.Stringer.
func (Secret) String() string { return Text }

// GoString implements fmt.GoStringer.
func (Secret) GoString() string { return Text }

// Format implements fmt.Formatter.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Text) }

// LogValue implements slog.LogValuer.
func (Secret) LogValue() slog.Value { return slog.StringValue(Text) }

// MarshalJSON implements json.Marshaler.
func (Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + Text + `"`), nil }

// MarshalText implements encoding.TextMarshaler.
func (Secret) MarshalText() ([]byte, error) { return []byte(Text), nil }
