package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/replay"
)

// TestAnAuditorReplaysAMonth: an auditor who came when the vault was at work already does the sums
// of a month's end again, from the vault's opening, by the command line and files alone.
func TestAnAuditorReplaysAMonth(t *testing.T) {
	m := newMonth(t)
	stop := m.begin()
	early := m.send(draft{order: order("sale", `,"amount":1200,"currency":"USD"`), account: aCard})[0]
	m.reaches(early, book.StageApproved)
	dir := t.TempDir()
	key, opening, log := filepath.Join(dir, "anna.key"), filepath.Join(dir, "anna.state"), filepath.Join(dir, "log")
	var made control.NewAuditor
	m.json(&made, "audit", "auditor", "keygen", "--name", "anna", "--out", key)
	var added control.Auditor
	m.json(&added, "audit", "auditor", "add", "anna", "--key", made.Key)
	void := m.send(draft{order: order("void", `,"of":"`+early+`"`)})[0]
	m.reaches(void, book.StageDone)
	ids := m.sell()
	settled := m.closeAndSettle()
	m.checkReturns(ids)

	var opened control.Opening
	m.json(&opened, "audit", "opening", opening, "--auditor", "anna")
	for name, test := range map[string]struct {
		code int
		args []string
	}{
		"over a file":     {6, []string{opening, "--auditor", "anna"}},
		"nobody's":        {5, []string{opening + "2", "--auditor", "cora"}},
		"without a name":  {2, []string{opening + "2"}},
		"in the vault":    {2, []string{filepath.Join(m.dir, "state"), "--auditor", "anna"}},
		"a number's path": {2, []string{filepath.Join(dir, "4242424242424242"), "--auditor", "anna"}},
	} {
		if code, _ := m.command(append([]string{"audit", "opening"}, test.args...)...); code != test.code {
			t.Errorf("an opening %s: exit code %d, want %d", name, code, test.code)
		}
	}
	var export control.Export
	m.json(&export, "audit", "export", log)
	var st control.Status
	m.json(&st, "status")
	own := m.report(filepath.Join(dir, "own"), "batch", "report", "--from", settled.Batches[0].Closed.Format(time.DateOnly),
		"--to", settled.Batches[1].Closed.Format(time.DateOnly))
	stop()

	saved := filepath.Join(dir, "saved.state")
	reading := []string{log, "--verifier", st.Verifier, "--identity", key}
	var r replay.Report
	m.json(&r, append([]string{"audit", "replay", "--from", opening, "--save", saved, "--statement", filepath.Join(log, "checkpoint"),
		"--file", filepath.Join(m.outbox, settled.Files[0].Name)}, reading...)...)
	if r.From != opened.Size || r.Through != export.Size || r.Compared != 2 || r.Count != 0 || r.By != replay.ByVault || r.Sums.Payments != 10 || r.Sums.Settled != 2 {
		t.Errorf("replayed %+v, %+v", r, r.Sums)
	}
	code, out := m.command(append([]string{"audit", "replay", "--from", saved}, reading...)...)
	if code != 0 || !strings.Contains(out, "from the state of an earlier replay") || !strings.Contains(out, "USD") {
		t.Errorf("from what was saved: exit code %d\n%s", code, out)
	}
	if code, _ := m.command(append([]string{"audit", "replay"}, reading...)...); code != 5 {
		t.Errorf("without a state: exit code %d", code)
	}
	wrong := filepath.Join(dir, "wrong.key")
	m.json(&made, "audit", "auditor", "keygen", "--name", "anna", "--out", wrong)
	if code, _ := m.command("audit", "replay", log, "--verifier", st.Verifier, "--identity", wrong, "--from", opening); code != 7 {
		t.Errorf("another key of her name: exit code %d", code)
	}
	m.checkStory(reading, opening, ids)
	m.checkReplayedReport(own, reading, opening, settled)

	// One who owns the files, and one byte of a sealed entry.
	bundle := filepath.Join(log, "bodies", "000")
	if _, err := os.Stat(bundle); err != nil {
		files, err := filepath.Glob(filepath.Join(log, "bodies", "000.p", "*"))
		m.must(err)
		bundle = files[0]
	}
	data, err := os.ReadFile(bundle)
	m.must(err)
	data[len(data)-1] ^= 1
	m.must(os.WriteFile(bundle, data, 0o600))
	if code, _ := m.command(append([]string{"audit", "replay", "--from", opening}, reading...)...); code != 7 {
		t.Errorf("a flipped bit: exit code %d", code)
	}
	m.checkLedger()
}

// checkStory tells the story of an entry that came back, and checks its file without a key.
func (m *month) checkStory(reading []string, opening string, ids map[string]string) {
	m.t.Helper()
	file := filepath.Join(m.t.TempDir(), "story.json")
	prove := append([]string{"audit", "prove", "--from", opening}, reading...)
	code, out := m.command(append(prove, "--payment", "shop-1/"+ids["bounced"], "--out", file)...)
	for _, part := range []string{"entry-accepted", "file-intended", "payment-returned", "told returned, ach-R03", "by user:"} {
		if code != 0 || !strings.Contains(out, part) {
			m.t.Errorf("prove: exit code %d, no %q in\n%s", code, part, out)
		}
	}
	verifier := []string{"audit", "prove", "--check", file, reading[1], reading[2]}
	if code, out := m.command(verifier...); code != 0 || !strings.Contains(out, "told returned, ach-R03") || !strings.Contains(out, "proved: in the log of") {
		m.t.Errorf("prove --check: exit code %d\n%s", code, out)
	}
	data, err := os.ReadFile(file)
	m.must(err)
	m.must(os.WriteFile(file, []byte(strings.Replace(string(data), "ach-R03", "ach-R01", 2)), 0o600))
	if code, _ := m.command(verifier...); code != 7 {
		m.t.Errorf("an altered story: exit code %d", code)
	}
	if code, _ := m.command(append(prove, "--payment", "shop-1/00000000-0000-4000-8000-000000000000")...); code != 5 {
		m.t.Errorf("the story of nothing: exit code %d", code)
	}
	if code, _ := m.command(append(prove, "--payment", ids["sale"])...); code != 2 {
		m.t.Errorf("a payment without its merchant: exit code %d", code)
	}
}

// report runs a command that writes a CSV and a page, and returns both.
func (m *month) report(path string, args ...string) [2]string {
	m.t.Helper()
	if code, out := m.command(append(args, "--csv", path+".csv", "--html", path+".html")...); code != 0 {
		m.t.Fatalf("%v: exit code %d\n%s", args, code, out)
	}
	var written [2]string
	for i, ending := range []string{".csv", ".html"} {
		data, err := os.ReadFile(path + ending)
		m.must(err)
		written[i] = string(data)
	}
	return written
}

// checkReplayedReport: from the log alone an auditor writes the very rows, and below its head the
// very page, that the vault wrote.
func (m *month) checkReplayedReport(own [2]string, reading []string, opening string, settled control.Settlement) {
	m.t.Helper()
	dir := m.t.TempDir()
	again := append([]string{"audit", "replay", "--from", opening}, reading...)
	day := settled.Batches[0].Closed.Format(time.DateOnly)
	replayed := m.report(filepath.Join(dir, "replayed"), append(again, "--closed-from", day, "--closed-to", settled.Batches[1].Closed.Format(time.DateOnly))...)
	if replayed[0] != own[0] || strings.Count(own[0], "\n") < 8 {
		m.t.Errorf("the vault's rows are\n%s\nthe auditor's\n%s", own[0], replayed[0])
	}
	body := func(page string) string { return page[strings.Index(page, `<p class="verdict`):] }
	if body(replayed[1]) != body(own[1]) || !strings.Contains(own[1], "<th scope=\"col\" class=\"number\">Returns</th>") {
		m.t.Errorf("the vault's page is\n%s\nthe auditor's\n%s", own[1], replayed[1])
	}
	if !strings.Contains(replayed[1], "Replayed by auditor anna from the first ") || strings.Contains(own[1], "Replayed") {
		m.t.Error("the auditor's page does not say whose it is, or the vault's says it")
	}
	all := m.report(filepath.Join(dir, "all"), again...)
	if rows := strings.Count(all[0], "\n") - 1; rows != 10 {
		m.t.Errorf("%d rows of 10 payments:\n%s", rows, all[0])
	}
	for name, test := range map[string]struct {
		code int
		args []string
	}{
		"over a file":     {6, []string{"--csv", filepath.Join(dir, "all.csv")}},
		"nobody's":        {5, []string{"--csv", filepath.Join(dir, "none.csv"), "--merchant", "shop-9"}},
		"half a period":   {2, []string{"--csv", filepath.Join(dir, "none.csv"), "--closed-from", day}},
		"of nothing":      {2, []string{"--closed-from", day, "--closed-to", day}},
		"standard output": {2, []string{"--html", "-"}},
	} {
		if code, out := m.command(append(again, test.args...)...); code != test.code {
			m.t.Errorf("a report %s: exit code %d, want %d\n%s", name, code, test.code, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "none.csv")); err == nil {
		m.t.Error("a report that failed left a file")
	}
}
