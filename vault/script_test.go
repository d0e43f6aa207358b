package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/settings"
)

// clockFile holds, in scripts, by how much the vault's clock is wrong: a Go duration.
const clockFile = "NIGHTDROP_TEST_CLOCK"

func TestMain(m *testing.M) {
	// A daemon in a test has its own program look at an unclean ledger, and that program is the
	// tests'.
	if len(os.Args) > 1 && os.Args[1] == inspectCommand {
		os.Exit(run(context.Background(), os.Args[1:], console{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, now: time.Now}))
	}
	testscript.Main(m, map[string]func(){"vault": func() {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		os.Exit(run(ctx, os.Args[1:], console{in: os.Stdin, out: os.Stdout, errOut: os.Stderr, now: wrongClock}))
	}})
}

func wrongClock() time.Time {
	text, err := os.ReadFile(os.Getenv(clockFile))
	if err != nil {
		return time.Now()
	}
	wrong, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		panic(err)
	}
	return time.Now().Add(wrong)
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv(dirVariable, filepath.Join(env.WorkDir, "v"))
			env.Setenv(clockFile, filepath.Join(env.WorkDir, "clock"))
			env.Setenv("SHARE", filepath.Join(env.WorkDir, "custodian"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "made": made, "up": up, "storefront": enrolment, "flip": flip, "bend": bend, "mode": mode, "marked": marked,
		},
	})
}

// exits CODE COMMAND...: the command ends with this exit code.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		exit, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = exit.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// marked FILE...: an editor put a byte order mark before each.
func marked(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte("\ufeff"+ts.ReadFile(name)), 0o600))
	}
}

// made: makes a vault of 2 of 3 shares in v, its shares in custodian/1 to 3, configured for a
// channel and an acquirer that are not there; PIN is its verifier key.
func made(ts *testscript.TestScript, _ bool, args []string) {
	share := ts.Getenv("SHARE")
	to := strings.Join([]string{share + "/1", share + "/2", share + "/3"}, ",")
	ts.Check(ts.Exec("vault", append([]string{"init", "--name", "vault.example.com", "--shares", "3", "--threshold", "2",
		"--shares-to", to, "--shares-on-own-disk"}, args...)...))
	ts.Setenv("PIN", strings.TrimSpace(ts.ReadFile("stdout")))
	path := filepath.Join(ts.Getenv(dirVariable), settings.File)
	text := ts.ReadFile(path)
	text = strings.Replace(text, `url = ""`, `url = "tls://127.0.0.1:9"`, 1)
	text = strings.Replace(text, `address = ""`, `address = "127.0.0.1:9"`, 1)
	ts.Check(os.WriteFile(path, []byte(text), 0o600))
}

// up: waits until a daemon answers, and prints its status.
func up(ts *testscript.TestScript, _ bool, _ []string) {
	client := control.NewClient(filepath.Join(ts.Getenv(dirVariable), "vault.sock"), "")
	if !waittest.Within(10*time.Second, func() bool { _, err := client.Status(context.Background()); return err == nil }) {
		ts.Fatalf("no daemon answers")
	}
	ts.Check(ts.Exec("vault", "status"))
}

// storefront ID: makes a storefront's keys and sets VKEY and REPLY to its public lines.
func enrolment(ts *testscript.TestScript, _ bool, args []string) {
	identity, err := storefront.NewIdentity(args[0])
	ts.Check(err)
	ts.Setenv("VKEY", identity.Verifier().String())
	ts.Setenv("REPLY", identity.ReplyLine())
}

// flip FILE FRACTION: turns one bit over in a file, at this part of its length (0.0 to 1.0).
func flip(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	at, err := strconv.ParseFloat(args[1], 64)
	ts.Check(err)
	data[int(at*float64(len(data)-1))] ^= 0x10
	ts.Check(os.WriteFile(path, data, 0o600))
}

// bend DIR: turns one bit over in the newest file below a directory.
func bend(ts *testscript.TestScript, _ bool, args []string) {
	var newest string
	var written time.Time
	ts.Check(filepath.WalkDir(ts.MkAbs(args[0]), func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		info, err := entry.Info()
		if err == nil && !info.ModTime().Before(written) {
			newest, written = path, info.ModTime()
		}
		return err
	}))
	flip(ts, false, []string{newest, "0.5"})
}

// mode FILE OCTAL: the file has these permissions.
func mode(ts *testscript.TestScript, _ bool, args []string) {
	info, err := os.Stat(ts.MkAbs(args[0]))
	ts.Check(err)
	if got := fmt.Sprintf("%o", info.Mode().Perm()); got != args[1] {
		ts.Fatalf("%s has mode %s, want %s", args[0], got, args[1])
	}
}
