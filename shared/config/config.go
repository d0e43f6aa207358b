// Package config reads the configuration files of the two hosts: TOML 1.0, strictly. A key that the
// program does not know is an error that names its line and the nearest key that exists, because a
// misspelt limit that is silently ignored is a limit that is not there. Files hold no secrets, only
// the paths of files that do.
package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"nightdrop/shared/text"
)

// MaxBytes bounds a configuration file: a larger one is not one.
const MaxBytes = 1 << 20

// ErrInvalid is returned when a file is not TOML, has an unknown key, or a value of the wrong type
// or form.
var ErrInvalid = errors.New("invalid configuration")

// Load reads the file at path into v, a pointer to a struct with `toml` tags that holds the
// defaults. Errors name the file, the line and what to do; those about the content wrap ErrInvalid,
// those about the file wrap the os error.
func Load(path string, v any) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, MaxBytes+1))
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	return Parse(path, data, v)
}

// Parse is Load for data that is at hand; name stands for the file in errors.
func Parse(name string, data []byte, v any) error {
	if len(data) > MaxBytes {
		return fmt.Errorf("%s: larger than %d bytes: %w", name, MaxBytes, ErrInvalid)
	}
	data, err := text.Clean(data)
	if err != nil {
		return fmt.Errorf("%s: %w: %w", name, err, ErrInvalid)
	}
	err = toml.NewDecoder(bytes.NewReader(data)).DisallowUnknownFields().Decode(v)
	if err == nil {
		return nil
	}
	if missing, ok := errors.AsType[*toml.StrictMissingError](err); ok && len(missing.Errors) > 0 {
		return unknownKeys(name, missing.Errors, keysOf(reflect.TypeOf(v)))
	}
	if broken, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := broken.Position()
		return fmt.Errorf("%s:%d: %s%s: %w", name, line, where(broken.Key()), strings.TrimPrefix(broken.Error(), "toml: "), ErrInvalid)
	}
	return fmt.Errorf("%s: %w: %w", name, err, ErrInvalid)
}

func where(key toml.Key) string {
	if len(key) == 0 {
		return ""
	}
	return strings.Join(key, ".") + ": "
}

func unknownKeys(name string, unknown []toml.DecodeError, known []string) error {
	var all []error
	for i := range unknown {
		line, _ := unknown[i].Position()
		key := strings.Join(unknown[i].Key(), ".")
		all = append(all, fmt.Errorf("%s:%d: unknown key %q; the nearest is %q: %w", name, line, key, nearest(key, known), ErrInvalid))
	}
	return errors.Join(all...)
}

// Duration is a time.Duration written as Go does: "90s", "48h". It is never negative.
type Duration time.Duration

// Std gives the duration as the standard library's type.
func (d Duration) Std() time.Duration { return time.Duration(d) }

// MarshalText writes the form that UnmarshalText reads.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.Std().String()), nil }

// UnmarshalText reads a duration such as "90s" or "1h30m".
func (d *Duration) UnmarshalText(written []byte) error {
	parsed, err := time.ParseDuration(string(written))
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is not a duration such as \"90s\" or \"48h\"", written)
	}
	*d = Duration(parsed)
	return nil
}
