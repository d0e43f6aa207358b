package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Name    string   `toml:"name"`
	Relays  []string `toml:"relays"`
	Channel struct {
		URL  string `toml:"url"`
		Seed string `toml:"seed"`
	} `toml:"channel"`
	Limits struct {
		Outstanding int      `toml:"outstanding"`
		Timeout     Duration `toml:"answer_timeout"`
	} `toml:"limits"`
}

func TestLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.toml")
	text := "name = \"a\"\nrelays = [\"r\"]\n[channel]\nurl = \"tls://h:1\"\n[limits]\nanswer_timeout = \"1m30s\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	v := sample{}
	v.Limits.Outstanding = 64
	if err := Load(path, &v); err != nil {
		t.Fatal(err)
	}
	if v.Name != "a" || v.Channel.URL != "tls://h:1" || v.Limits.Timeout.Std() != 90*time.Second {
		t.Errorf("read %+v", v)
	}
	if v.Limits.Outstanding != 64 {
		t.Errorf("a key that is absent lost its default: %d", v.Limits.Outstanding)
	}
	if err := Load(path+".none", &v); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent file: %v", err)
	}
}

func TestRefusals(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"misspelt key", "name = \"a\"\n\n[limits]\noutstandng = 3\n", `f.toml:4: unknown key "limits.outstandng"; the nearest is "limits.outstanding"`},
		{"misspelt table", "[chanel]\nurl = \"x\"\n", `f.toml:1: unknown key "chanel`},
		{"key in the wrong table", "url = \"x\"\n", `f.toml:1: unknown key "url"; the nearest is "channel.url"`},
		{"second of two", "nam = \"x\"\nrelay = []\n", `f.toml:2: unknown key "relay"; the nearest is "relays"`},
		{"wrong type", "name = 3\n", `f.toml:1: `},
		{"not TOML", "name = \n", `f.toml:1: `},
		{"twice", "name = \"a\"\nname = \"b\"\n", `f.toml:2: `},
		{"bad duration", "[limits]\nanswer_timeout = \"soon\"\n", `is not a duration`},
		{"negative duration", "[limits]\nanswer_timeout = \"-3s\"\n", `is not a duration`},
		{"too large", strings.Repeat("#", MaxBytes+1), "larger than"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var v sample
			err := Parse("f.toml", []byte(test.text), &v)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want ErrInvalid with %q", err, test.want)
			}
		})
	}
}

func TestMarksAndEncodings(t *testing.T) {
	var v struct {
		Name string `toml:"name"`
	}
	if err := Parse("vault.toml", []byte("\ufeff# a comment\nname = \"Café\"\n"), &v); err != nil || v.Name != "Café" {
		t.Errorf("with a byte order mark: %q, %v", v.Name, err)
	}
	err := Parse("vault.toml", []byte("# a comment\nname = \"Caf\xe9\"\n"), &v)
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "vault.toml: line 2 is not UTF-8") {
		t.Errorf("in Latin-1: %v", err)
	}
}

func TestDurationText(t *testing.T) {
	text, err := Duration(48 * time.Hour).MarshalText()
	var back Duration
	if err != nil || back.UnmarshalText(text) != nil || back.Std() != 48*time.Hour {
		t.Errorf("48h became %s, then %v", text, back.Std())
	}
}
