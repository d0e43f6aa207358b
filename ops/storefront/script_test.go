package main

import (
	"context"
	"encoding/pem"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"nightdrop/shared/note"
	"nightdrop/shared/proof/prooftest"
	"nightdrop/shared/storefront/relaytest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"storefront": func() {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}})
}

type relayKey struct{}

// TestScripts runs testdata/script, each script with a relay of its own: RELAY is its origin,
// ca.pem its certificate, vault.vkey the pin, and other.vkey that of another vault of the same
// name.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			r := relaytest.New(t)
			env.Values[relayKey{}] = r
			env.Setenv("RELAY", r.URL)
			ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw})
			pin := func(vault *note.Signer) []byte { return []byte(vault.Verifier().String() + "\n") }
			latin1, err := os.ReadFile("../../testdata/cases/storefront-latin1.csv")
			return errors.Join(err, os.WriteFile(filepath.Join(env.WorkDir, "latin1.csv"), latin1, 0o600), os.WriteFile(filepath.Join(env.WorkDir, "ca.pem"), ca, 0o600),
				os.WriteFile(filepath.Join(env.WorkDir, "vault.vkey"), pin(r.Vault), 0o600),
				os.WriteFile(filepath.Join(env.WorkDir, "other.vkey"), pin(relaytest.Signer(t, r.Vault.Name())), 0o600))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "relay": bend, "vault": answer, "posted": posted, "enrolled": enrolled, "reached": reachedBag,
			"grown": grown, "exported": exported, "published": published, "altered": altered, "damaged": damaged, "marked": marked,
		},
	})
}

// marked FILE...: an editor put a byte order mark before each.
func marked(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range args {
		ts.Check(os.WriteFile(ts.MkAbs(name), []byte("\ufeff"+ts.ReadFile(name)), 0o600))
	}
}

func relayOf(ts *testscript.TestScript) *relaytest.Relay {
	return ts.Value(relayKey{}).(*relaytest.Relay)
}

// code finds the scripts' security code where it stands by itself: three digits stand in base64 and
// hex by chance.
var code = regexp.MustCompile(`(^|[^0-9A-Za-z+/])987($|[^0-9A-Za-z+/])`)

// exits CODE COMMAND...: the command ends with this exit code, and writes no number used in the
// scripts.
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
	said := ts.ReadFile("stdout") + ts.ReadFile("stderr")
	for _, number := range []string{"4242424242424242", "5555555555554444", "378282246310005", "71002345678913"} {
		if strings.Contains(said, number) {
			ts.Fatalf("a number was written")
		}
	}
	if code.MatchString(said) {
		ts.Fatalf("a security code was written")
	}
}

// relay FAULT: from now on the relay answers so.
func bend(ts *testscript.TestScript, _ bool, args []string) {
	r := relayOf(ts)
	r.Between(func() { bendRelay(ts, r, args[0]) })
}

func bendRelay(ts *testscript.TestScript, r *relaytest.Relay, fault string) {
	r.Get, r.Post, r.Head, r.Expires = nil, nil, nil, time.Hour
	switch fault {
	case "honest":
	case "busy":
		r.Post = func(w http.ResponseWriter, _ []byte) {
			relaytest.Problem(w, http.StatusServiceUnavailable, "channel-full")
		}
	case "suspends":
		r.Post = func(w http.ResponseWriter, _ []byte) {
			relaytest.Problem(w, http.StatusForbidden, "merchant-suspended")
		}
	case "forges":
		stranger, err := note.GenerateSigner(r.Signer.Name())
		ts.Check(err)
		r.Post = func(w http.ResponseWriter, body []byte) { r.Accept(w, body, stranger) }
	case "redirects":
		r.Get = func(w http.ResponseWriter, q *http.Request) {
			http.Redirect(w, q, "https://elsewhere.example/", http.StatusFound)
		}
	case "expired":
		r.Expires = -time.Minute
	case "rewinds":
		r.Head = r.Log.Sign(r.Log.Size()-1, r.Vault)
	case "splits":
		r.Log = prooftest.Of(r.TB(), r.Log.Size())
	case "withholds":
		r.Chain = append(r.Chain[:1:1], r.Chain[2:]...)
	case "breaks":
		r.CloseClientConnections()
		r.Close()
	default:
		ts.Fatalf("no such fault")
	}
}

// reached N: the vault's position names this bag, 0 for none.
func reachedBag(ts *testscript.TestScript, _ bool, args []string) {
	number, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	r := relayOf(ts)
	r.Between(func() { r.Reach(number, time.Now().Add(time.Minute)) })
}

// vault [twice]: answers every envelope posted so far with an approval, in the chain of the
// merchant that `enrolled` named.
func answer(ts *testscript.TestScript, _ bool, args []string) {
	r := relayOf(ts)
	r.Between(func() {
		answers := r.Approve()
		if len(args) > 0 {
			answers = append(answers, r.Approve()...)
		}
		r.Chain = r.Results(ts.Getenv("MERCHANT"), ts.Getenv("REPLY"), answers...)
	})
}

// enrolled MERCHANT: takes the reply key from what keygen just wrote.
func enrolled(ts *testscript.TestScript, _ bool, args []string) {
	_, line, ok := strings.Cut(ts.ReadFile("stdout"), "\nreply-key ")
	if !ok {
		ts.Fatalf("keygen gave no reply key")
	}
	ts.Setenv("MERCHANT", args[0])
	ts.Setenv("REPLY", strings.TrimSpace(line))
}

// posted N DIFFERENT: the relay was sent so many envelopes, of which so many differ.
func posted(ts *testscript.TestScript, _ bool, args []string) {
	different := map[string]bool{}
	posts := relayOf(ts).Posts()
	for _, body := range posts {
		different[string(body)] = true
	}
	if got := strconv.Itoa(len(posts)) + " " + strconv.Itoa(len(different)); got != strings.Join(args, " ") {
		ts.Fatalf("posted %s", got)
	}
}

// grown SIZE: the vault's log has so many entries now.
func grown(ts *testscript.TestScript, _ bool, args []string) {
	size, err := strconv.ParseInt(args[0], 10, 64)
	ts.Check(err)
	r := relayOf(ts)
	r.Between(func() { r.Log.Grow(size) })
}

// exported DIR: the vault's log, as it is now, was exported there.
func exported(ts *testscript.TestScript, _ bool, args []string) {
	r := relayOf(ts)
	r.Log.Export(r.Log.Size(), r.Vault).Write(r.TB(), ts.MkAbs(args[0]))
}

// published DIR: a web server gives it as $TILES, and sends whoever asks for $ELSEWHERE to another
// host.
func published(ts *testscript.TestScript, _ bool, args []string) {
	mux := http.NewServeMux()
	mux.Handle("/vault/", http.StripPrefix("/vault/", http.FileServer(http.Dir(ts.MkAbs(args[0])))))
	mux.HandleFunc("/moved/", func(w http.ResponseWriter, q *http.Request) {
		http.Redirect(w, q, "https://elsewhere.example"+q.URL.Path, http.StatusFound)
	})
	server := httptest.NewTLSServer(mux) // its certificate is the relay's
	ts.Defer(server.Close)
	ts.Setenv("TILES", server.URL+"/vault")
	ts.Setenv("ELSEWHERE", server.URL+"/moved")
}

// damaged FILE: one character of the first root in a log.json is another.
func damaged(ts *testscript.TestScript, _ bool, args []string) {
	lines := strings.Split(ts.ReadFile(args[0]), `\n`)
	other := "A"
	if lines[2][0] == 'A' {
		other = "B"
	}
	lines[2] = other + lines[2][1:]
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Join(lines, `\n`)), 0o600))
}

// altered FILE: a bit of it is another.
func altered(ts *testscript.TestScript, _ bool, args []string) {
	path := ts.MkAbs(args[0])
	data, err := os.ReadFile(path)
	ts.Check(err)
	data[len(data)/2] ^= 1
	ts.Check(os.WriteFile(path, data, 0o600))
}
