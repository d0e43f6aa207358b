package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"nightdrop/shared/waittest"
)

// trainer is a `make site` that runs.
type trainer struct {
	t    *testing.T
	cmd  *exec.Cmd
	done chan struct{}

	mu   sync.Mutex
	said bytes.Buffer // both outputs
}

func (tr *trainer) Write(p []byte) (int, error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.said.Write(p)
}

func (tr *trainer) output() string {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.said.String()
}

// keepSite starts a training site in a directory.
func keepSite(t *testing.T, dir string, more ...string) *trainer {
	t.Helper()
	tr := &trainer{t: t, done: make(chan struct{})}
	tr.cmd = exec.Command(filepath.Join(binaries, "training"), append([]string{"--dir", dir}, more...)...)
	tr.cmd.Stdout, tr.cmd.Stderr = tr, tr
	if err := tr.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = tr.cmd.Wait()
		close(tr.done)
	}()
	t.Cleanup(func() {
		_ = tr.cmd.Process.Signal(syscall.SIGTERM)
		<-tr.done
	})
	return tr
}

// await waits until it said something, or fails when it ended before.
func (tr *trainer) await(text string) string {
	tr.t.Helper()
	waittest.For(tr.t, fmt.Sprintf("%q", text), func() bool {
		select {
		case <-tr.done:
			if !strings.Contains(tr.output(), text) {
				tr.t.Fatalf("it ended with %d:\n%s", tr.cmd.ProcessState.ExitCode(), tr.output())
			}
		default:
		}
		return strings.Contains(tr.output(), text)
	})
	return tr.output()
}

// ends waits until it has ended, and returns its exit code and what it said.
func (tr *trainer) ends() (code int, said string) {
	tr.t.Helper()
	waittest.For(tr.t, "the site's end", func() bool {
		select {
		case <-tr.done:
			return true
		default:
			return false
		}
	})
	return tr.cmd.ProcessState.ExitCode(), tr.output()
}

// interrupt is Ctrl-C.
func (tr *trainer) interrupt() string {
	tr.t.Helper()
	if err := tr.cmd.Process.Signal(os.Interrupt); err != nil {
		tr.t.Fatal(err)
	}
	code, said := tr.ends()
	if code != 0 {
		tr.t.Fatalf("after Ctrl-C it ended with %d:\n%s", code, said)
	}
	return said
}

// pasted finds the commands that are printed, by what is said before each.
func pasted(t *testing.T, said string) map[string]string {
	t.Helper()
	commands := map[string]string{}
	for _, part := range strings.Split(said, "\n\n") {
		if title, command, ok := strings.Cut(part, ":\n"); ok && strings.HasPrefix(command, "  ") {
			commands[title] = command
		}
	}
	return commands
}

const (
	posting, reading, settling = "A sale is sealed, and posted", "Its result is read", "The day is settled"

	ready = "For training only"
)

// paste runs a command as a shell that stands elsewhere does.
func paste(t *testing.T, command string) string {
	t.Helper()
	shell := exec.Command("/bin/sh", "-c", command)
	shell.Dir = t.TempDir()
	out, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v: %s", command, err, out)
	}
	return string(out)
}

// TestMakeSite starts a site in a directory whose name a shell must have quoted, pastes the three
// commands as they are printed, stops it with Ctrl-C, starts it again, and finds the payment, and
// everything else as it was.
func TestMakeSite(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my site's")
	first := keepSite(t, dir)
	said := first.await(ready)
	commands := pasted(t, said)
	if out := paste(t, commands[posting]); !strings.Contains(out, "relay-one") {
		t.Errorf("the receipt: %s", out)
	}
	if out := paste(t, commands[reading]); !regexp.MustCompile(`(?m)^ *1 .* approved +iso-00 +12\.50 EUR`).MatchString(out) {
		t.Errorf("the result: %s", out)
	}
	if out := paste(t, commands[settling]); !strings.Contains(out, "payments settled: 1") {
		t.Errorf("settled: %s", out)
	}
	paste(t, commands[posting]) // this one's result is read after the stop
	end := first.interrupt()
	if !regexp.MustCompile(`(?s)vault: stopped.*relay: stopped.*simulator: stopped.*nothing is lost`).MatchString(end) {
		t.Errorf("it stopped otherwise: %s", end)
	}

	again := keepSite(t, dir)
	resumed := again.await(ready)
	if !strings.Contains(resumed, "goes on where it stopped") {
		t.Errorf("the second start says %s", resumed)
	}
	facts := func(said string) string {
		return said[strings.Index(said, "Relay's origin"):strings.Index(said, ready)]
	}
	if before, after := facts(said), facts(resumed); before != after {
		t.Errorf("the facts were\n%s\nand are\n%s", before, after)
	}
	paste(t, commands[reading])
	vault := filepath.Join(binaries, "vault")
	var payments []struct{ Status, Reference string }
	out, err := exec.Command(vault, "payment", "list", "--all", "--json", "--dir", filepath.Join(dir, "vault")).Output()
	if err = errors.Join(err, json.Unmarshal(out, &payments)); err != nil || len(payments) != 2 {
		t.Fatalf("the ledger has %s, %v", out, err)
	}
	if out := paste(t, commands[settling]); !strings.Contains(out, "payments settled: 1") {
		t.Errorf("settled after the stop: %s", out)
	}
	if status := paste(t, "'"+vault+"' status --dir '"+strings.ReplaceAll(filepath.Join(dir, "vault"), "'", `'\''`)+"'"); strings.Contains(status, "jumped") {
		t.Errorf("status: %s", status)
	}
}

// trainingFacts is what --json prints, as far as these tests look.
type trainingFacts struct {
	Origin   string
	Verifier string
	Vault    string
	Pids     map[string]int
	Accounts []struct{ Name, File string }
	Outcomes []trainingOutcome
	Returns  string
	Try      []struct{ Command string }
}

type trainingOutcome struct {
	Account, Code, Status, Answer string
	Amount                        int64
}

// factsOf reads the line of facts.
func factsOf(t *testing.T, tr *trainer) (f trainingFacts) {
	t.Helper()
	said := tr.await("\"try\":")
	for line := range strings.Lines(tr.await("}\n")) {
		if strings.HasPrefix(line, "{") {
			if err := json.Unmarshal([]byte(line), &f); err != nil {
				t.Fatal(err)
			}
			return f
		}
	}
	t.Fatalf("no facts in %s", said)
	return f
}

// TestTrainingOutcomes posts a sale for each outcome that a training site names, reads that
// outcome, and has the bank's file imported.
func TestTrainingOutcomes(t *testing.T) {
	tr := keepSite(t, filepath.Join(t.TempDir(), "site"), "--json")
	facts := factsOf(t, tr)
	files := map[string]string{}
	for _, a := range facts.Accounts {
		files[a.Name] = a.File
	}
	// The two commands as printed, with another amount and account.
	post, read := facts.Try[0].Command, facts.Try[1].Command+" --json"
	want := map[string]string{}
	for i, o := range facts.Outcomes {
		command, reference := post, fmt.Sprintf("outcome-%d", i)
		currency := "EUR"
		if o.Account == "bank" {
			currency = "USD"
		}
		code := ""
		if o.Code != "" {
			code = "--code " + files[o.Code]
		}
		for _, change := range [][2]string{{"--amount 1250", fmt.Sprintf("--amount %d", o.Amount)}, {"--currency EUR", "--currency " + currency},
			{"table-7", reference}, {"--code " + files["code"], code}, {files["visa"], files[o.Account]}} {
			if !strings.Contains(command, change[0]) {
				t.Fatalf("%q is not in %s", change[0], command)
			}
			command = strings.Replace(command, change[0], change[1], 1)
		}
		paste(t, command)
		want[reference] = o.Status + " " + o.Answer
	}
	if len(want) < 10 {
		t.Fatalf("%d outcomes", len(want))
	}
	got := map[string]string{}
	results := func() {
		for line := range strings.Lines(paste(t, read)) {
			var r struct {
				Facts struct{ Status, Code, Reference string }
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatal(err)
			}
			if r.Facts.Status != "unknown" {
				got[r.Facts.Reference] = r.Facts.Status + " " + r.Facts.Code
			}
		}
	}
	waittest.For(t, "the outcomes", func() bool {
		results()
		return len(got) >= len(want)
	})
	for reference, is := range want {
		if got[reference] != is {
			t.Errorf("%s is said to be %s and is %s", reference, is, got[reference])
		}
	}

	paste(t, facts.Try[2].Command)
	waittest.For(t, "the bank's answer", func() bool {
		answers, err := filepath.Glob(filepath.Join(facts.Returns, "*.ach"))
		return err == nil && len(answers) > 0
	})
	imported := paste(t, filepath.Join(binaries, "vault")+" returns import "+facts.Returns+"/*.ach --dir "+facts.Vault)
	if !regexp.MustCompile(`\.ach\s+1\s+1\s`).MatchString(imported) {
		t.Errorf("the bank's file has not one return and one notice of change: %s", imported)
	}
	returned := fmt.Sprintf("outcome-%d", slices.IndexFunc(facts.Outcomes, func(o trainingOutcome) bool { return o.Amount == 900201 }))
	waittest.For(t, "the return's result", func() bool {
		results()
		return got[returned] == "returned ach-R01"
	})
	tr.interrupt()
}

// TestASiteIsKeptOnce refuses a second start in a directory, one that holds other things, and one
// whose port is taken.
func TestASiteIsKeptOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	refused := func(dir, why string) {
		t.Helper()
		if code, said := keepSite(t, dir).ends(); code != 6 || !strings.Contains(said, why) {
			t.Errorf("exit code %d: %s", code, said)
		}
	}
	first := keepSite(t, dir, "--json")
	facts := factsOf(t, first)
	refused(dir, "another process runs the site")
	refused(filepath.Join("..", "e2e"), "holds other files")
	if _, err := os.Stat("training_test.go"); err != nil {
		t.Fatal(err)
	}
	moved := dir + "-moved"
	first.interrupt()
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	refused(moved, "move it back")
	if err := os.Rename(moved, dir); err != nil {
		t.Fatal(err)
	}
	origin, err := url.Parse(facts.Origin)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", origin.Host)
	if err != nil {
		t.Fatal(err)
	}
	refused(dir, "port "+origin.Port()+", which is the relay's in this site, is taken")
	taken.Close()
	keepSite(t, dir, "--json").await("\"try\":")
}

// TestAProgramOfASiteThatEndsIsReported kills the relay: the site says so, shows its log's end,
// stops the rest, and goes on later.
func TestAProgramOfASiteThatEndsIsReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "site")
	tr := keepSite(t, dir, "--json")
	facts := factsOf(t, tr)
	if err := syscall.Kill(facts.Pids["relay"], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	code, said := tr.ends()
	if code != 1 || !strings.Contains(said, "relay has ended by itself") || !strings.Contains(said, filepath.Join(dir, "logs", "relay.log")) ||
		!strings.Contains(said, `"level":"INFO"`) {
		t.Errorf("exit code %d: %s", code, said)
	}
	for name, pid := range facts.Pids {
		if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s still runs: %v", name, err)
		}
	}
	again := keepSite(t, dir, "--json")
	facts = factsOf(t, again)
	// and a site that is killed itself leaves nobody behind
	if err := again.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	waittest.For(t, "all programs to be gone", func() bool {
		for _, pid := range facts.Pids {
			if !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) {
				return false
			}
		}
		return true
	})
	keepSite(t, dir).await(ready)
}
