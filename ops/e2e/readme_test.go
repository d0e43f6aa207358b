package e2e

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// typed is a command of the README's session, with the output that is printed there.
type typed struct {
	text   string // lines of a here-document included
	prints []string
}

// TestReadmesSession types the README's session as it is printed, from an empty directory, as a
// stranger would, and holds what the commands print against what the README says they print. Only
// ports are others, as those may be in use here.
func TestReadmesSession(t *testing.T) {
	session := readSession(t)
	if len(session) < 20 {
		t.Fatalf("the README's session has %d commands: the search is blind", len(session))
	}
	home := t.TempDir()
	if err := os.Mkdir(filepath.Join(home, "nightdrop"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(binaries, filepath.Join(home, "nightdrop", "bin")); err != nil {
		t.Fatal(err)
	}
	ports := freePorts(t, session)
	var script strings.Builder
	script.WriteString("set -e\n")
	for n, c := range session {
		fmt.Fprintf(&script, "echo %s%d\n%s\n", marker, n, ports.Replace(c.text))
	}
	script.WriteString("wait\n")
	got := runScript(t, home, script.String())
	for n, c := range session {
		compare(t, c, got[n])
	}
}

const marker = "-- command "

// block finds what is typed and printed.
var block = regexp.MustCompile("(?s)```console\n(.*?)```")

// readSession reads the commands of the README's session, in order.
func readSession(t *testing.T) (session []typed) {
	t.Helper()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "\n## A session\n")
	text, _, found := strings.Cut(rest, "\n## ")
	if !found {
		t.Fatal("the README has no session")
	}
	for _, m := range block.FindAllStringSubmatch(text, -1) {
		for line := range strings.Lines(m[1]) {
			line = strings.TrimSuffix(line, "\n")
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				session = append(session, typed{text: command})
				continue
			}
			last := &session[len(session)-1]
			if more, ok := strings.CutPrefix(line, "> "); ok && len(last.prints) == 0 {
				last.text += "\n" + more
				continue
			}
			last.prints = append(last.prints, line)
		}
	}
	return session
}

// port is one of a session's: five digits after a colon.
var port = regexp.MustCompile(`:(1[0-9]{4})\b`)

// freePorts replaces each port of the session by a free one.
func freePorts(t *testing.T, session []typed) *strings.Replacer {
	t.Helper()
	var pairs []string
	known := map[string]bool{}
	for _, c := range session {
		for _, m := range port.FindAllStringSubmatch(c.text, -1) {
			if known[m[1]] {
				continue
			}
			known[m[1]] = true
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close() // held until all are chosen
			_, free, _ := net.SplitHostPort(l.Addr().String())
			pairs = append(pairs, ":"+m[1], ":"+free)
		}
	}
	if len(pairs) == 0 {
		t.Fatal("the session names no port: the search is blind")
	}
	return strings.NewReplacer(pairs...)
}

// runScript runs a session with bash in an empty directory, and returns what each command printed
// on standard output.
func runScript(t *testing.T, home, script string) map[int][]string {
	t.Helper()
	dir := t.TempDir()
	files := [2]*os.File{} // not pipes: who is started in the background holds them
	for n := range files {
		f, err := os.Create(filepath.Join(home, "output-"+strconv.Itoa(n)))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[n] = f
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, files[0], files[1]
	cmd.Env = []string{"HOME=" + home, "PATH=" + os.Getenv("PATH"), "TMPDIR=" + os.TempDir()}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if left := syscall.Kill(-cmd.Process.Pid, 0); left == nil {
		t.Error("the session leaves processes behind")
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	if err != nil {
		complaints, _ := os.ReadFile(files[1].Name())
		tail := exec.Command("bash", "-c", "tail -n 5 *.log")
		tail.Dir = dir
		logs, _ := tail.CombinedOutput()
		t.Errorf("the session ended with %v:\n%s\n%s", err, complaints, logs)
	}
	out, err := os.ReadFile(files[0].Name())
	if err != nil {
		t.Fatal(err)
	}
	printed, at := map[int][]string{}, -1
	for line := range bytes.Lines(out) {
		text := strings.TrimSuffix(string(line), "\n")
		if n, ok := strings.CutPrefix(text, marker); ok {
			if at, err = strconv.Atoi(n); err != nil {
				t.Fatal(err)
			}
			continue
		}
		printed[at] = append(printed[at], text)
	}
	return printed
}

// differs is what is another in each session: identifiers, digests, keys, times and approval codes.
var differs = []*regexp.Regexp{
	regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`),
	regexp.MustCompile(`\+[0-9a-f]{8}\+[A-Za-z0-9+/=]+`),
	regexp.MustCompile(`\b[0-9a-f]{64}\b`),
	regexp.MustCompile(`\b[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z`),
	regexp.MustCompile(`\b[0-9a-f]{8}/[0-9]+\b`),
	regexp.MustCompile(` [0-9]{6} `),
	regexp.MustCompile(` +`),
}

func normal(line string) string {
	for _, d := range differs {
		line = d.ReplaceAllString(line, " ")
	}
	return strings.TrimSpace(line)
}

// compare holds a command's output against the README's: line by line, "..." standing for any
// number of lines. Where the README prints nothing it is silent about the output.
func compare(t *testing.T, c typed, got []string) {
	t.Helper()
	if len(c.prints) == 0 {
		return
	}
	want := c.prints
	for n, line := range got {
		if n >= len(want) {
			t.Errorf("$ %s\nprints one line more than the README says: %q", c.text, line)
			return
		}
		if want[n] == "..." {
			return
		}
		if normal(line) != normal(want[n]) {
			t.Errorf("$ %s\nprints     %q\nREADME has %q", c.text, line, want[n])
		}
	}
	if len(got) < len(want) && want[len(got)] != "..." {
		t.Errorf("$ %s\nprints %d lines, and the README has %d", c.text, len(got), len(want))
	}
}
