package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// answered is one entry of a bank's answer file, as a bank writes it: a return, a notice of change
// (code C01 to C99), or with code "" a new credit.
type answered struct {
	trace  string // of the entry that it answers
	code   string
	amount int64
	name   string // of the holder; "": A SHOPPER
	data   string // corrected data of a notice
}

// bankBatch is a batch of such a file.
type bankBatch struct {
	number  int
	entries []answered
	company string // "": the shop's
}

// bankFile writes a file whose control records hold: origin and destination are those of newMonth
// where they are "".
func bankFile(origin, destination string, batches ...bankBatch) []byte {
	if origin == "" {
		origin, destination = " 231380104", " 121042882"
	}
	lines := []string{fmt.Sprintf("101%10s%10s%s0615A094101%-23s%-23s%8s", destination, origin, time.Now().UTC().Format("060102"), "NIGHTDROP", "OUR BANK", "")}
	var entries, hash, debits, credits int64
	for _, b := range batches {
		if b.company == "" {
			b.company = "1234567890"
		}
		class := "WEB"
		if strings.HasPrefix(b.entries[0].code, "C") {
			class = "COR"
		}
		lines = append(lines, fmt.Sprintf("5200%-16s%-20s%-10s%s%-10s%6s%s%3s1%8s%07d", "CORNER SHOP", "", b.company, class, "PURCHASE", "", time.Now().UTC().Format("060102"), "", "12104288", b.number))
		var count, sum, debit, credit int64
		for i, e := range b.entries {
			own := fmt.Sprintf("12104288%07d", i+1)
			transaction, indicator := "26", 1
			if e.code == "" {
				transaction, indicator = "22", 0
				credit += e.amount
			} else {
				debit += e.amount
			}
			if e.name == "" {
				e.name = "A SHOPPER"
			}
			lines = append(lines, fmt.Sprintf("6%s231380104%-17s%010d%-15s%-22s  %d%s", transaction, "4917226453", e.amount, "ORDER", e.name, indicator, own))
			count, sum = count+1, sum+23138010
			if e.code != "" {
				count++
				kind, rest := "99", fmt.Sprintf("%-6s%-8s%-44s", "", "12104288", "")
				if class == "COR" {
					kind, rest = "98", fmt.Sprintf("%-6s%-8s%-29s%-15s", "", "12104288", e.data, "")
				}
				lines = append(lines, fmt.Sprintf("7%s%s%s%s%s", kind, e.code, e.trace, rest, own))
			}
		}
		lines = append(lines, fmt.Sprintf("8200%06d%010d%012d%012d%-10s%19s%6s%8s%07d", count, sum, debit, credit, b.company, "", "", "12104288", b.number))
		entries, hash, debits, credits = entries+count, hash+sum, debits+debit, credits+credit
	}
	lines = append(lines, fmt.Sprintf("9%06d%06d%08d%010d%012d%012d%39s", len(batches), (len(lines)+10)/10, entries, hash, debits, credits, ""))
	for len(lines)%10 != 0 {
		lines = append(lines, strings.Repeat("9", 94))
	}
	return []byte(strings.Join(lines, "\n") + "\n")
}

// returns is a month with bank sales at the bank.
type returns struct {
	*month
	sales []control.Payment // not answered yet
}

// newReturns serves, and settles n bank sales of different amounts.
func newReturns(t *testing.T, n int) (r *returns, stop func()) {
	amounts := make([]int, n)
	for i := range amounts {
		amounts[i] = 1000 + i
	}
	return newReturnsOf(t, amounts...)
}

// newReturnsOf serves, and settles bank sales of these amounts.
func newReturnsOf(t *testing.T, amounts ...int) (r *returns, stop func()) {
	r = &returns{month: newMonth(t)}
	stop = r.begin()
	var drafts []draft
	for _, amount := range amounts {
		drafts = append(drafts, draft{order: order("sale", fmt.Sprintf(`,"amount":%d,"currency":"USD"`, amount)), account: aBank})
	}
	ids := r.send(drafts...)
	for _, id := range ids {
		r.reaches(id, book.StageAccepted)
	}
	r.endOfDay()
	for _, id := range ids {
		r.sales = append(r.sales, r.payment(id))
	}
	return r, stop
}

func (r *returns) endOfDay() {
	r.t.Helper()
	var closed []control.Batch
	r.json(&closed, "batch", "close", "--all")
	var settled control.Settlement
	r.json(&settled, "batch", "settle", "--all")
}

// next is a sale that was not answered yet.
func (r *returns) next() control.Payment {
	r.t.Helper()
	p := r.sales[0]
	r.sales = r.sales[1:]
	if p.Status != book.StageSettled || len(p.Entry) != 15 {
		r.t.Fatalf("sale %+v", p)
	}
	return p
}

func returnOf(p control.Payment, code string) answered {
	return answered{trace: p.Entry, code: code, amount: p.Amount}
}

// importing imports a file by the command line and returns its exit code and what is told of it.
// The file stays as it was.
func (r *returns) importing(file []byte) (code int, told control.Import) {
	r.t.Helper()
	path := filepath.Join(r.t.TempDir(), "returns.ach")
	r.must(os.WriteFile(path, file, 0o600))
	code, out := r.command("returns", "import", path, "--json")
	var all []control.Import
	if out != "" {
		r.must(json.Unmarshal([]byte(out), &all))
		told = all[0]
	}
	if after, err := os.ReadFile(path); err != nil || !bytes.Equal(after, file) {
		r.t.Errorf("the file is gone or altered: %v", err)
	}
	return code, told
}

// TestFilesAsBanksWriteThem: each was refused whole; what is ours of it is taken.
func TestFilesAsBanksWriteThem(t *testing.T) {
	r, stop := newReturns(t, 14)
	one := func(p control.Payment) []byte {
		return bankFile("", "", bankBatch{number: 1, entries: []answered{returnOf(p, "R01")}})
	}
	for name, write := range map[string]func(p control.Payment) []byte{
		"blank lines at the end": func(p control.Payment) []byte { return append(one(p), "\n\n   \n"...) },
		"trailing blanks stripped": func(p control.Payment) []byte {
			lines := strings.Split(string(one(p)), "\n")
			for i := range lines {
				lines[i] = strings.TrimRight(lines[i], " ")
			}
			return []byte(strings.Join(lines, "\r\n"))
		},
		"batch numbers 7 and 3": func(p control.Payment) []byte {
			return bankFile("", "", bankBatch{number: 7, entries: []answered{returnOf(p, "R01")}}, bankBatch{number: 3, entries: []answered{returnOf(r.next(), "R02")}})
		},
		"batch numbers 1 and 1": func(p control.Payment) []byte {
			return bankFile("", "", bankBatch{number: 1, entries: []answered{returnOf(p, "R01")}}, bankBatch{number: 1, entries: []answered{returnOf(r.next(), "R02")}})
		},
		"Ctrl-Z": func(p control.Payment) []byte { return append(one(p), 0x1a) },
		"no nines": func(p control.Payment) []byte {
			return bytes.ReplaceAll(one(p), []byte(strings.Repeat("9", 94)+"\n"), nil)
		},
		"a name in Latin-1": func(p control.Payment) []byte {
			return bytes.Replace(one(p), []byte("A SHOPPER"), []byte("\xc1 SHOPPER"), 1)
		},
		"a code of later": func(p control.Payment) []byte {
			return bankFile("", "", bankBatch{number: 1, entries: []answered{returnOf(p, "R97")}})
		},
	} {
		p := r.next()
		code, told := r.importing(write(p))
		if code != 0 || told.Returns < 1 || told.LeftCount != 0 {
			t.Errorf("%s: exit code %d, %+v", name, code, told)
		}
		if now := r.payment(p.ID); now.Status != book.StageReturned {
			t.Errorf("%s: the sale is %s", name, now.Status)
		}
	}
	stop()
	r.checkLedger()
}

// TestAnOddItemStopsNothing: what is ours beside it is taken, it is listed with its record and why,
// the log has both, and the exit code is 1.
func TestAnOddItemStopsNothing(t *testing.T) {
	r, stop := newReturns(t, 12)
	for name, c := range map[string]struct {
		odd func(p control.Payment) answered // p is another sale of ours
		why string
	}{
		"an entry of another system": {func(control.Payment) answered { return answered{trace: "231380109999999", code: "R01", amount: 1015} }, "no entry of ours"},
		"a new credit":               {func(control.Payment) answered { return answered{amount: 500} }, "new entries"},
		"a dishonoured return":       {func(p control.Payment) answered { return returnOf(p, "R61") }, "dishonoured"},
		"a contested return":         {func(p control.Payment) answered { return returnOf(p, "R77") }, "contested"},
		"another amount":             {func(p control.Payment) answered { return answered{trace: p.Entry, code: "R01", amount: p.Amount + 1} }, "its amount is not"},
	} {
		ours, other := r.next(), r.next()
		code, told := r.importing(bankFile("", "", bankBatch{number: 1, entries: []answered{returnOf(ours, "R01"), c.odd(other)}}))
		if code != 1 || told.Returns != 1 || told.LeftCount != 1 || told.Left[0].Record != 5 || !strings.Contains(told.Left[0].Problem, c.why) {
			t.Errorf("%s: exit code %d, %+v", name, code, told)
		}
		if now := r.payment(ours.ID); now.Status != book.StageReturned || now.Code != "ach-R01" {
			t.Errorf("%s: ours is %s %s", name, now.Status, now.Code)
		}
		if now := r.payment(other.ID); now.Status != book.StageSettled {
			t.Errorf("%s: the other is %s", name, now.Status)
		}
	}
	ours := r.next()
	path := filepath.Join(t.TempDir(), "mixed.ach")
	mixed := bankFile("", "", bankBatch{number: 1, entries: []answered{returnOf(ours, "R01"), {trace: "231380109999999", code: "R01", amount: 7}}})
	r.must(os.WriteFile(path, mixed, 0o600))
	code, out := r.command("returns", "import", path)
	if code != 1 || !strings.Contains(out, "no entry of ours has its trace number") || !strings.Contains(out, "231380109999999") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	if code, out := r.command("returns", "import", path); code != 0 || !strings.Contains(out, "already taken") || !strings.Contains(out, "no entry of ours") {
		t.Errorf("again: exit code %d\n%s", code, out)
	}
	if code, _ := r.importing(bytes.Replace(mixed, []byte("0000000007"), []byte("0000000008"), 1)); code != 7 {
		t.Errorf("a file whose control records do not hold: exit code %d", code)
	}
	stop()
	log := r.readLog()
	taken := 0
	for _, e := range log.events {
		if b, is := e.Body.(book.AnswerTaken); is && b.LeftCount == 1 && len(b.Left) == 1 && e.Evidence == b.Digest {
			taken++
		}
	}
	if found := log.find(book.FindingAnswerFile); taken != 6 || len(found) != 7 {
		t.Errorf("%d files with something left, %d findings", taken, len(found))
	}
	r.checkLedger()
}

// TestFilesOfOtherBanks: the control records hold and a trace number fits, but the bank, the
// addressee or the company is another: nothing is taken.
func TestFilesOfOtherBanks(t *testing.T) {
	r, stop := newReturns(t, 1)
	p := r.next()
	batch := bankBatch{number: 1, entries: []answered{returnOf(p, "R01")}}
	others := batch
	others.company = "1337818896"
	for name, file := range map[string][]byte{"of another bank": bankFile(" 091000019", " 121042882", batch), "for somebody else": bankFile(" 231380104", "1987654321", batch),
		"of another company": bankFile("", "", others)} {
		if code, told := r.importing(file); code != 1 || told.Returns != 0 {
			t.Errorf("%s: exit code %d, %+v", name, code, told)
		}
	}
	if now := r.payment(p.ID); now.Status != book.StageSettled {
		t.Errorf("the sale is %s", now.Status)
	}
	if code, told := r.importing(bankFile("0231380104", "0121042882", batch)); code != 0 || told.Returns != 1 {
		t.Errorf("with zeros where others have blanks: exit code %d, %+v", code, told)
	}
	stop()
	r.checkLedger()
}

// TestNoticesByTheCommandLine: two notices of one entry, one without its data, are both told, and
// once.
func TestNoticesByTheCommandLine(t *testing.T) {
	r, stop := newReturns(t, 1)
	p := r.next()
	notice := func(code, data string) answered { return answered{trace: p.Entry, code: code, data: data} }
	file := bankFile("", "", bankBatch{number: 2, entries: []answered{notice("C01", "99887766"), notice("C13", "")}})
	if code, told := r.importing(file); code != 0 || told.Changes != 2 {
		t.Errorf("exit code %d, %+v", code, told)
	}
	if code, told := r.importing(bankFile("", "", bankBatch{number: 9, entries: []answered{notice("C13", ""), notice("C01", "11")}})); code != 0 || told.Changes != 0 || told.Repeats != 2 {
		t.Errorf("again: exit code %d, %+v", code, told)
	}
	now := r.payment(p.ID)
	if !slices.Equal(now.Notices, []string{"C01", "C13"}) || len(now.Results) != 4 || now.Status != book.StageSettled {
		t.Errorf("the sale is %+v", now)
	}
	if code, out := r.command("payment", "show", "shop-1/"+p.ID); code != 0 || !strings.Contains(out, "C01 C13") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	stop()
	r.checkLedger()
}

// TestReturnsByHand: what the bank told otherwise is recorded with its evidence; its file is then a
// repeat, another reason is listed, and R61 to R77 return nothing.
func TestReturnsByHand(t *testing.T) {
	r, stop := newReturns(t, 2)
	p, other := r.next(), r.next()
	evidence := filepath.Join(t.TempDir(), "letter.pdf")
	r.must(os.WriteFile(evidence, []byte("Dear customer"), 0o600))
	resolve := func(id string, more ...string) int {
		code, _ := r.command(append([]string{"payment", "resolve", "shop-1/" + id, "--as", "returned", "--reason", "the bank's letter"}, more...)...)
		return code
	}
	for name, c := range map[string]struct {
		code int
		more []string
	}{
		"no code":               {2, []string{"--evidence", evidence}},
		"no evidence":           {2, []string{"--code", "ach-R03"}},
		"evidence that is none": {5, []string{"--code", "ach-R03", "--evidence", evidence + "x"}},
		"a notice":              {2, []string{"--code", "ach-C03", "--evidence", evidence}},
		"a dishonoured return":  {2, []string{"--code", "ach-R61", "--evidence", evidence}},
		"a contested return":    {2, []string{"--code", "ach-R77", "--evidence", evidence}},
		"no code of a bank":     {2, []string{"--code", "iso-51", "--evidence", evidence}},
	} {
		if code := resolve(p.ID, c.more...); code != c.code {
			t.Errorf("%s: exit code %d, want %d", name, code, c.code)
		}
	}
	if code := resolve(p.ID, "--code", "ach-R03", "--evidence", evidence); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if code := resolve(p.ID, "--code", "ach-R03", "--evidence", evidence); code != 6 {
		t.Errorf("twice: exit code %d", code)
	}
	digest := sha256.Sum256([]byte("Dear customer"))
	now := r.payment(p.ID)
	if now.Status != book.StageReturned || now.Code != "ach-R03" || len(now.Decisions) != 1 || now.Decisions[0].As != "returned" ||
		now.Decisions[0].Reason != "the bank's letter" || now.Decisions[0].Evidence != hex.EncodeToString(digest[:]) {
		t.Errorf("the sale is %+v", now)
	}
	if code, out := r.command("payment", "show", "shop-1/"+p.ID); code != 0 || !strings.Contains(out, "the bank's letter") || !strings.Contains(out, hex.EncodeToString(digest[:])) {
		t.Errorf("exit code %d\n%s", code, out)
	}
	code, told := r.importing(bankFile("", "", bankBatch{number: 1, entries: []answered{returnOf(p, "R03"), returnOf(p, "R04"), returnOf(p, "R62"), returnOf(other, "R01")}}))
	if code != 1 || told.Returns != 1 || told.Repeats != 1 || told.LeftCount != 2 {
		t.Errorf("the bank's file: exit code %d, %+v", code, told)
	}
	if again := r.payment(p.ID); again.Code != "ach-R03" || len(again.Results) != len(now.Results) {
		t.Errorf("the sale is %+v", again)
	}
	stop()
	r.checkLedger()
}

// TestAWithheldRefundSaysWhy: a refund that waits when its sale comes back is not sent, and its
// code is the return's.
func TestAWithheldRefundSaysWhy(t *testing.T) {
	r, stop := newReturns(t, 1)
	p := r.next()
	refund := r.send(draft{order: order("refund", fmt.Sprintf(`,"amount":%d,"of":"%s"`, p.Amount, p.ID))})[0]
	r.reaches(refund, book.StageAccepted)
	if code, told := r.importing(bankFile("", "", bankBatch{number: 1, entries: []answered{returnOf(p, "R01")}})); code != 0 || told.Returns != 1 {
		t.Fatalf("exit code %d, %+v", code, told)
	}
	r.endOfDay()
	r.reaches(refund, book.StageRejected)
	if now := r.payment(refund); now.Code != "ach-R01" || now.Withheld != "ach-R01" {
		t.Errorf("the refund is %+v", now)
	}
	if code, out := r.command("payment", "show", "shop-1/"+refund); code != 0 || !strings.Contains(out, "the sale that it refunds came back (ach-R01)") {
		t.Errorf("exit code %d\n%s", code, out)
	}
	stop()
	r.checkLedger()
}
