package main

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/simulator/bank"
	"nightdrop/ops/simulator/host"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// Accounts that the month's payments are of, as a browser seals them.
const (
	aCard = `{"card":{"number":"4242424242424242","expiry":"2031-12"}}`
	aBank = `{"bank":{"routing":"121042882","account":"004917226453","type":"checking","name":"Anne Example"}}`
)

// month is a site with a bank behind it.
type month struct {
	*site
	outbox, returns string
	bank            *bank.Bank
}

// newMonth makes a site whose bank answers at once, and enrols a merchant that may do everything.
func newMonth(t *testing.T) *month {
	t.Helper()
	m := &month{site: newSite(t), outbox: t.TempDir(), returns: t.TempDir()}
	m.must(os.Chmod(m.outbox, 0o700))
	m.configure(map[string]string{`outbox = ""`: fmt.Sprintf("outbox = %q", m.outbox), `immediate_destination = ""`: `immediate_destination = "231380104"`,
		`destination_name = ""`: `destination_name = "OUR BANK"`, `immediate_origin = ""`: `immediate_origin = "121042882"`,
		`origin_name = ""`: `origin_name = "NIGHTDROP"`, `odfi = ""`: `odfi = "23138010"`})
	var err error
	m.bank, err = bank.Open(bank.Config{Outbox: m.outbox, Returns: m.returns, Book: filepath.Join(t.TempDir(), "book")})
	m.must(err)
	t.Cleanup(func() { _ = m.bank.Close() })
	return m
}

// begin serves, enrols the merchant and gives it its policy.
func (m *month) begin() (stop func()) {
	m.t.Helper()
	stop = m.serve()
	m.enrol()
	var p book.Policy
	m.json(&p, "merchant", "policy", "shop-1", "--company-id", "1234567890", "--company-name", "CORNER SHOP", "--payouts", "USD=1000000",
		"--payees", "consumer", "--storage", "on", "--limit", "USD=1000000/5000000", "--reason", "contract 17")
	m.wait("the line to the acquirer", func() bool {
		var st control.Status
		m.json(&st, "status")
		return st.Acquirer == "ready" && st.Channel == "connected"
	})
	return stop
}

func (m *month) payment(id string) control.Payment {
	m.t.Helper()
	var p control.Payment
	m.json(&p, "payment", "show", "shop-1/"+id)
	return p
}

// reaches waits until a payment stands at a stage.
func (m *month) reaches(id string, stage book.Stage) {
	m.t.Helper()
	var payments []control.Payment
	defer func() {
		if m.t.Failed() {
			m.t.Logf("the last payment: %+v", payments[0])
		}
	}()
	m.wait("a payment that is "+string(stage), func() bool {
		m.json(&payments, "payment", "list", "--merchant", "shop-1")
		return slices.ContainsFunc(payments, func(p control.Payment) bool { return p.ID == id && p.Status == stage })
	})
}

func order(operation, rest string) string {
	return `{"operation":"` + operation + `","reference":"order ` + operation + `"` + rest + `}`
}

// sell takes one payment of each kind and waits until all of them wait for the end of the day. It
// returns their ids by name.
func (m *month) sell() map[string]string {
	m.t.Helper()
	ids := m.send(
		draft{order: order("sale", `,"amount":1999,"currency":"USD"`), account: aCard},
		draft{order: order("authorize", `,"amount":5000,"currency":"USD"`), account: aCard},
		draft{order: order("sale", `,"amount":7000,"currency":"USD"`), account: aBank},
		draft{order: order("sale", `,"amount":900203,"currency":"USD"`), account: aBank},
		draft{order: order("payout", `,"amount":300,"currency":"USD"`), account: aBank},
		draft{order: order("store", ``), account: aCard})
	names := []string{"sale", "hold", "debit", "bounced", "payout", "store"}
	all := map[string]string{}
	for i, name := range names {
		all[name] = ids[i]
	}
	for name, stage := range map[string]book.Stage{"sale": book.StageApproved, "hold": book.StageAuthorised, "debit": book.StageAccepted,
		"bounced": book.StageAccepted, "payout": book.StageAccepted, "store": book.StageDone} {
		m.reaches(all[name], stage)
	}
	all["capture"] = m.send(draft{order: order("capture", `,"amount":3000,"of":"`+all["hold"]+`"`)})[0]
	m.reaches(all["capture"], book.StageCaptured)
	all["refund"] = m.send(draft{order: order("refund", `,"amount":1000,"of":"`+all["hold"]+`"`)})[0]
	m.reaches(all["refund"], book.StageApproved)
	return all
}

// TestMonthsEnd runs a month's end by the command line alone: every kind of payment, both kinds of
// batches, the bank's file and its answer, the acquirer's listing, and the reports.
func TestMonthsEnd(t *testing.T) {
	m := newMonth(t)
	stop := m.begin()
	ids := m.sell()

	hold := m.payment(ids["hold"])
	if len(hold.Operations) != 2 || hold.Captured != 3000 || hold.Refunded != 1000 {
		t.Errorf("the authorisation is shown as %+v", hold)
	}
	if code, out := m.command("payment", "show", "shop-1/"+ids["hold"]); code != 0 || !strings.Contains(out, ids["capture"]) || !strings.Contains(out, "captured   30.00 USD") {
		t.Errorf("payment show: exit code %d\n%s", code, out)
	}
	settled := m.closeAndSettle()
	m.checkTimeline(ids)
	m.checkComparison(settled)
	m.checkReturns(ids)
	m.checkReports(settled)
	m.verifyLog()
	token := m.payment(ids["store"]).Token
	stop()
	m.checkLedger()

	// The stored account outlives a restart, until it is forgotten.
	stop = m.serve()
	m.reaches(m.send(draft{order: order("sale", `,"amount":500,"currency":"USD","token":"`+token+`"`)})[0], book.StageApproved)
	m.reaches(m.send(draft{order: order("forget", `,"token":"`+token+`"`)})[0], book.StageDone)
	m.reaches(m.send(draft{order: order("sale", `,"amount":501,"currency":"USD","token":"`+token+`"`)})[0], book.StageRejected)
	stop()
	m.checkLedger()
}

// TestOddAnswersAreFindings: what the acquirer's host sends and should not have stands in the log.
func TestOddAnswersAreFindings(t *testing.T) {
	s := newSite(t)
	stammering, err := host.Start(host.Config{Listen: "127.0.0.1:0", Book: filepath.Join(t.TempDir(), "book"),
		Adversary: &host.Adversary{Rates: map[host.Mishap]float64{host.Duplicate: 1}}})
	s.must(err)
	t.Cleanup(func() { _ = stammering.Close() })
	s.configure(map[string]string{s.acquirer.Addr(): stammering.Addr()})
	stop := s.serve()
	s.enrol()
	s.post(1999)
	var st control.Status
	s.wait("a finding", func() bool {
		s.json(&st, "status")
		return st.Findings[book.FindingMessage] > 0
	})
	stop()
	found := s.readLog().find(book.FindingMessage)
	if len(found) == 0 || found[0].Actor != "acquirer" || !strings.Contains(found[0].Body.(book.IntegrityFound).Detail, "duplicate") {
		t.Errorf("found %+v", found)
	}
	s.checkLedger()
}

// closeAndSettle ends the day, method by method, and checks what is printed of it.
func (m *month) closeAndSettle() control.Settlement {
	m.t.Helper()
	var open, closed []control.Batch
	m.json(&open, "batch", "list", "--method", "bank")
	if len(open) != 1 || !strings.HasPrefix(open[0].ID, "bank-") || open[0].Status != book.BatchOpen {
		m.t.Fatalf("open bank batches: %+v", open)
	}
	m.json(&closed, "batch", "close", "--merchant", "shop-1", "--method", "bank")
	if len(closed) != 1 || closed[0].ID != open[0].ID || closed[0].Totals[0] != (book.Total{Currency: "USD", Count: 2, Amount: 907203, Credits: 1, CreditAmount: 300}) {
		m.t.Fatalf("closed %+v", closed)
	}
	m.json(&closed, "batch", "close", "--all")
	if len(closed) != 1 || closed[0].Method != book.MethodCard {
		m.t.Fatalf("closed %+v", closed)
	}
	if code, _ := m.command("batch", "show", strings.Replace(open[0].ID, "bank", "card", 1)); code != 5 {
		m.t.Errorf("a bank batch by the name of a card batch: exit code %d", code)
	}
	var settled control.Settlement
	m.json(&settled, "batch", "settle", "--all")
	if settled.Payments != 6 || len(settled.Batches) != 2 || len(settled.Files) != 1 || settled.Files[0].Debits != 907203 || settled.Files[0].Credits != 300 ||
		len(settled.Files[0].Digest) != 64 || settled.Files[0].Status != book.FileOut {
		m.t.Fatalf("settled %+v", settled)
	}
	if _, err := os.Stat(filepath.Join(m.outbox, settled.Files[0].Name)); err != nil {
		m.t.Error(err)
	}
	code, out := m.command("batch", "show", open[0].ID)
	if code != 0 || !strings.Contains(out, settled.Files[0].Name) || !strings.Contains(out, settled.Files[0].Digest) || !strings.Contains(out, "9,072.03 USD") {
		m.t.Errorf("batch show: exit code %d\n%s", code, out)
	}
	if code, out := m.command("batch", "settle", open[0].ID); code != 0 || !strings.Contains(out, "payments settled: 0") {
		m.t.Errorf("a second run: exit code %d\n%s", code, out)
	}
	var st control.Status
	m.json(&st, "status")
	if st.Outbox == nil || *st.Outbox != 1 || st.Open[book.MethodBank] != 0 {
		m.t.Errorf("status %+v", st)
	}
	return settled
}

// checkComparison holds the acquirer's listing, sound and then without its last line, against the
// card batch.
func (m *month) checkComparison(settled control.Settlement) {
	m.t.Helper()
	batch := settled.Batches[slices.IndexFunc(settled.Batches, func(b control.Batch) bool { return b.Method == book.MethodCard })]
	book, err := host.ReadBook(m.book)
	m.must(err)
	lines := [][]string{{"rrn", "stan", "terminal", "kind", "amount", "currency"}}
	for _, t := range book.Listing("SHOP1", fmt.Sprintf("%06d", batch.Number)) {
		lines = append(lines, []string{t.RRN, t.STAN, t.Terminal, string(t.Kind), fmt.Sprint(t.Amount), "USD"})
	}
	if len(lines) != 4 {
		m.t.Fatalf("the acquirer lists %v", lines)
	}
	path := filepath.Join(m.t.TempDir(), "listing.csv")
	write := func(lines [][]string) {
		var text strings.Builder
		w := csv.NewWriter(&text)
		m.must(w.WriteAll(lines))
		m.must(os.WriteFile(path, []byte(text.String()), 0o600))
	}
	write(lines)
	var compared control.Comparison
	m.json(&compared, "batch", "compare", batch.ID, "--listing", path)
	if compared.Ours != 3 || compared.Theirs != 3 || len(compared.Differences) != 0 {
		m.t.Errorf("compared %+v", compared)
	}
	write(lines[:3])
	if code, out := m.command("batch", "compare", batch.ID, "--listing", path); code != 7 || !strings.Contains(out, "missing-there") || !strings.Contains(out, lines[3][0]) {
		m.t.Errorf("a listing without one: exit code %d\n%s", code, out)
	}
	lines[1][4] = "much"
	write(lines)
	if code, _ := m.command("batch", "compare", batch.ID, "--listing", path); code != 1 {
		m.t.Errorf("a listing that is none: exit code %d", code)
	}
}

// checkReturns imports the bank's answer: once, again, and damaged.
func (m *month) checkReturns(ids map[string]string) {
	m.t.Helper()
	m.must(m.bank.Step())
	m.must(m.bank.Step())
	files, err := filepath.Glob(filepath.Join(m.returns, "*"))
	m.must(err)
	if len(files) != 1 {
		m.t.Fatalf("the bank answered with %v", files)
	}
	answer, err := os.ReadFile(files[0])
	m.must(err)
	damaged := filepath.Join(m.t.TempDir(), "damaged.ach")
	m.must(os.WriteFile(damaged, append(answer[:len(answer)/2:len(answer)/2], answer[len(answer)/2+1:]...), 0o600))

	if code, out := m.command("returns", "import", damaged, files[0]); code != 7 || !strings.Contains(out, filepath.Base(files[0])) {
		m.t.Errorf("a damaged file and a sound one: exit code %d\n%s", code, out)
	}
	m.reaches(ids["bounced"], book.StageReturned)
	if p := m.payment(ids["bounced"]); p.Code != "ach-R03" || p.Entry == "" {
		m.t.Errorf("the entry that came back: %+v", p)
	}
	if code, out := m.command("returns", "import", files[0]); code != 0 || !strings.Contains(out, "already taken") {
		m.t.Errorf("the same file again: exit code %d\n%s", code, out)
	}
	if _, err := os.Stat(files[0]); err != nil {
		m.t.Errorf("the bank's file: %v", err)
	}
	if code, _ := m.command("returns", "import", filepath.Join(m.returns, "none")); code != 5 {
		m.t.Errorf("a file that is not there: exit code %d", code)
	}
	var st control.Status
	m.json(&st, "status")
	if st.Findings[book.FindingAnswerFile] != 1 {
		m.t.Errorf("findings %v", st.Findings)
	}
}

// checkReports writes the day's report in every form.
func (m *month) checkReports(settled control.Settlement) {
	m.t.Helper()
	today, yesterday := time.Now().UTC().Format(time.DateOnly), time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly)
	dir := m.t.TempDir()
	page, sheet := filepath.Join(dir, "day.html"), filepath.Join(dir, "day.csv")
	period := []string{"batch", "report", "--from", yesterday, "--to", today, "--merchant", "shop-1"}
	code, out := m.command(append(period, "--html", page, "--csv", sheet)...)
	if code != 0 || !strings.Contains(out, "settled, and everything adds up") || !strings.Contains(out, "ach-R03") {
		m.t.Errorf("batch report: exit code %d\n%s", code, out)
	}
	html, err := os.ReadFile(page)
	m.must(err)
	text, err := os.ReadFile(sheet)
	m.must(err)
	if rows := strings.Count(string(text), "\n"); rows != 7 || !strings.Contains(string(html), "6 of 6") {
		m.t.Errorf("%d lines of CSV:\n%s", rows, text)
	}
	for name, form := range map[string]string{"text": out, "page": string(html), "sheet": string(text)} {
		for _, account := range []string{"4242424242424242", "004917226453", "Anne"} {
			if strings.Contains(form, account) {
				m.t.Errorf("the %s holds account data", name)
			}
		}
	}
	if code, _ := m.command(append(period, "--html", page)...); code != 6 {
		m.t.Errorf("over a file that is there: exit code %d", code)
	}
	for _, b := range settled.Batches {
		var one struct {
			Message string
			Rows    []struct{ Payment string }
		}
		m.json(&one, "batch", "report", b.ID)
		if one.Message != b.ID || len(one.Rows) != 3 {
			m.t.Errorf("the report of %s: %+v", b.ID, one)
		}
	}
	if code, out := m.command(append(period, "--csv", "-")...); code != 0 || out != string(text) {
		m.t.Errorf("CSV on standard output: exit code %d\n%s", code, out)
	}
	var none struct{ Batches, Rows []struct{} }
	m.json(&none, "batch", "report", "--from", "2001-01-01", "--to", "2001-12-31")
	if none.Batches == nil || len(none.Batches) != 0 || none.Rows == nil {
		m.t.Errorf("a period without batches: %+v", none)
	}
}

// deaf listens before an acquirer's host and lets through nothing that is not about the line itself
// (0800).
func deaf(t *testing.T, host string) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", host)
			if err != nil {
				_ = client.Close()
				continue
			}
			go func() { _, _ = io.Copy(client, server) }()
			go passNetwork(server, client)
		}
	}()
	return listener.Addr().String()
}

// passNetwork copies the 0800s of a line: messages with two bytes of length before them.
func passNetwork(server io.WriteCloser, client io.Reader) {
	defer server.Close()
	for {
		frame := make([]byte, 2)
		if _, err := io.ReadFull(client, frame); err != nil {
			return
		}
		frame = append(frame, make([]byte, binary.BigEndian.Uint16(frame))...)
		if _, err := io.ReadFull(client, frame[2:]); err != nil {
			return
		}
		if bytes.HasPrefix(frame[2:], []byte("0800")) {
			_, _ = server.Write(frame)
		}
	}
}

// TestAPersonDecides: a payment of which the acquirer never says anything waits for a person, who
// says what became of it.
func TestAPersonDecides(t *testing.T) {
	s := newSite(t)
	s.configure(map[string]string{s.acquirer.Addr(): deaf(t, s.acquirer.Addr()), `answer_timeout = "20s"`: `answer_timeout = "100ms"`,
		`reversal_retry = "5s"`: `reversal_retry = "1ms"`, `repeat_for = "24h"`: `repeat_for = "1s"`})
	stop := s.serve()
	s.enrol()
	ids := s.send(draft{order: order("sale", `,"amount":1999,"currency":"USD"`), account: aCard},
		draft{order: order("sale", `,"amount":2500,"currency":"USD"`), account: aCard})
	var manual []control.Payment
	s.wait("two manual payments", func() bool {
		s.json(&manual, "payment", "list", "--status", "manual")
		return len(manual) == 2
	})
	if code, out := s.command("status"); code != 0 || !strings.Contains(out, "a person must decide") {
		t.Errorf("status: exit code %d\n%s", code, out)
	}
	const shop = "shop-1/"
	for _, test := range []struct {
		code int
		args []string
	}{
		{2, []string{shop + ids[0], "--as", "reversed"}},
		{2, []string{ids[0], "--as", "reversed", "--reason", "so he said"}},
		{2, []string{shop + ids[0], "--as", "settled", "--reason", "so he said"}},
		{2, []string{shop + ids[0], "--as", "reversed", "--reason", "the card was 4242 4242 4242 4242"}},
		{6, []string{shop + ids[0], "--as", "captured", "--reason", "so he said"}},
		{5, []string{"shop-1/0190c8f2-7d1e-7b5a-9c3f-2a6d4e8b1c07", "--as", "reversed", "--reason", "so he said"}},
		{5, []string{"shop-9/" + ids[0], "--as", "reversed", "--reason", "so he said"}},
		{0, []string{shop + ids[0], "--as", "reversed", "--reason", "acquirer, call 4711: never charged"}},
		{0, []string{shop + ids[1], "--as", "approved", "--reason", "acquirer, call 4711: charged"}},
		// it is manual no more
		{6, []string{shop + ids[0], "--as", "approved", "--reason", "acquirer, call 4712"}},
	} {
		if code, _ := s.command(append([]string{"payment", "resolve"}, test.args...)...); code != test.code {
			t.Errorf("payment resolve %v: exit code %d, want %d", test.args, code, test.code)
		}
	}
	for i, stage := range []book.Stage{book.StageReversed, book.StageApproved} {
		var p control.Payment
		if s.json(&p, "payment", "show", "shop-1/"+ids[i]); p.Status != stage || p.Resolutions != nil {
			t.Errorf("payment %d: %+v", i, p)
		}
	}
	s.correctsAWord(ids[1])
	stop()
	s.checkLedger()
}

// checkTimeline: what happened to a payment is shown in its order, with the places in the log.
func (m *month) checkTimeline(ids map[string]string) {
	m.t.Helper()
	for name, want := range map[string][]string{
		"sale":  {"received", "request-sent", "result", "batch-closed", "result", "batch-settled"},
		"hold":  {"received", "request-sent", "result", "operation", "operation"},
		"debit": {"received", "result", "batch-closed", "file-written", "result", "batch-settled"},
	} {
		if ids[name] == "" {
			m.t.Fatalf("no payment %s among %v", name, ids)
		}
		var steps []string
		var before time.Time
		for _, s := range m.payment(ids[name]).Timeline {
			steps = append(steps, string(s.Kind))
			if s.Time.Before(before) || (s.Entry == nil) != (s.Kind != "result") {
				m.t.Errorf("%s: %+v after %s", name, s, before)
			}
			before = s.Time.Time
		}
		if !slices.Equal(steps, want) {
			m.t.Errorf("%s: steps %v, want %v", name, steps, want)
		}
		if _, out := m.command("payment", "show", "shop-1/"+ids[name]); !strings.Contains(out, "received") || !strings.Contains(out, ", log entry ") {
			m.t.Errorf("shown as %s", out)
		}
	}
}

// correctsAWord: what a person said is corrected, and payment show names who said what, and why.
func (m *site) correctsAWord(id string) {
	m.t.Helper()
	for _, test := range []struct {
		code int
		args []string
	}{
		{2, []string{"--as", "reversed", "--reverse", "--reason", "so he said"}},
		{2, []string{"--as", "reversed", "--correct"}},
		{6, []string{"--as", "approved", "--correct", "--reason", "so he said"}},
		{5, []string{"--as", "reversed", "--correct", "--evidence", "no-such-letter", "--reason", "so he said"}},
		{0, []string{"--as", "reversed", "--correct", "--reason", "acquirer, letter of 4 December: never charged"}},
	} {
		if code, _ := m.command(append([]string{"payment", "resolve", "shop-1/" + id}, test.args...)...); code != test.code {
			m.t.Errorf("payment resolve %v: exit code %d, want %d", test.args, code, test.code)
		}
	}
	code, out := m.command("payment", "show", "shop-1/"+id)
	for _, part := range []string{"reversed", "user:", "acquirer, call 4711: charged", "corrected to reversed", "acquirer, letter of 4 December: never charged"} {
		if code != 0 || !strings.Contains(unfolded(out), part) {
			m.t.Errorf("payment show: exit code %d, without %q\n%s", code, part, out)
		}
	}
}

// TestReportOfMoreThanAPage: rows come page by page, each payment once, those of other batches left
// out.
func TestReportOfMoreThanAPage(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	const bags, each = 4, 150
	sale := draft{order: order("sale", `,"amount":1999,"currency":"USD"`), account: aCard}
	// of no batch
	declined := draft{order: order("sale", `,"amount":19,"currency":"XXX"`), account: aCard}
	for range bags {
		s.send(slices.Concat(slices.Repeat([]draft{sale}, each), []draft{declined})...)
	}
	var batches []control.Batch
	s.wait("all approvals", func() bool {
		s.json(&batches, "batch", "list")
		return len(batches) == 1 && len(batches[0].Totals) == 1 && batches[0].Totals[0].Count == bags*each
	})
	var made struct {
		Payments    int
		Differences []struct{}
		Rows        []struct{ Number uint64 }
	}
	s.json(&made, "batch", "report", batches[0].ID)
	if made.Payments != bags*each || len(made.Rows) != bags*each || len(made.Differences) != 0 {
		t.Errorf("%d rows of %d payments, %d differences", len(made.Rows), made.Payments, len(made.Differences))
	}
	for i := 1; i < len(made.Rows); i++ {
		if made.Rows[i].Number <= made.Rows[i-1].Number {
			t.Fatalf("row %d is of payment %d, after %d", i, made.Rows[i].Number, made.Rows[i-1].Number)
		}
	}
	stop()
}
