package main

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nightdrop/shared/note"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
	"nightdrop/vault/internal/keyring"
)

// auditor makes an auditor's key as its owner does, and has it enrolled.
func (s *site) auditor(name string) *keyring.Auditor {
	s.t.Helper()
	path := filepath.Join(s.t.TempDir(), name+".key")
	var made control.NewAuditor
	s.json(&made, "audit", "auditor", "keygen", "--name", name, "--out", path)
	var added control.Auditor
	s.json(&added, "audit", "auditor", "add", name, "--key", made.Key, "--reason", "audit of 2026")
	key, err := keyring.LoadAuditor(path)
	s.must(err)
	return key
}

// exported exports the log and reads it with an auditor's key: every event that opens, in order.
func (s *site) exported(dir string, who audit.Identity) (events []book.Event) {
	s.t.Helper()
	var st control.Status
	s.json(&st, "status")
	var out control.Export
	s.json(&out, "audit", "export", dir, "--reason", "for the auditors")
	vault, err := note.ParseVerifier(st.Verifier)
	s.must(err)
	x, err := audit.OpenExport(dir, vault)
	s.must(err)
	s.must(x.Entries(s.t.Context(), 0, who, func(e audit.Entry) error {
		if errors.Is(e.Err, audit.ErrNotYours) {
			return nil
		}
		var event book.Event
		if err := errors.Join(e.Err, json.Unmarshal(e.Event, &event)); err != nil {
			return err
		}
		events = append(events, event)
		return nil
	}))
	return events
}

func kindsOf(events []book.Event) (kinds []string) {
	for _, e := range events {
		kinds = append(kinds, e.Body.Kind())
	}
	return kinds
}

// TestStartsStopsAndRefusalsStandInTheLog: what was refused while the vault was locked is told at
// the next unlock, what is refused later at once, with who, what, when, from where and how it
// ended.
func TestStartsStopsAndRefusalsStandInTheLog(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	stop() // the first unlock; from here on a daemon is started by hand
	stop = s.serveLocked()
	for range 2 {
		if code, _ := s.command("merchant", "list"); code != 3 {
			t.Errorf("a locked vault lists: exit code %d", code)
		}
	}
	if code, _ := s.command("unlock", "--share", s.shares[0]); code != 4 {
		t.Errorf("one share: exit code %d", code)
	}
	var unlocked control.Unlocked
	s.json(&unlocked, "unlock", "--share", s.shares[0], "--share", s.shares[1])
	if code, _ := s.command("unlock", "--share", s.shares[0], "--share", s.shares[0]); code != 4 {
		t.Errorf("one share twice: exit code %d", code)
	}
	stop()

	events := s.readLog().events
	kinds := kindsOf(events)
	started := slices.Index(kinds, book.VaultStarted{}.Kind())
	stopped := slices.Index(kinds, book.VaultStopped{}.Kind())
	if started != 1 || stopped < started || kinds[stopped-1] != "vault-locked" || kinds[stopped+1] != "vault-started" || kinds[len(kinds)-1] != "vault-stopped" {
		t.Errorf("the log tells of %v", kinds)
	}
	var refused []book.AccessRefused
	for _, e := range events {
		if b, ok := e.Body.(book.AccessRefused); ok {
			if e.Actor == "" || e.Origin != "socket" || b.First.IsZero() || b.Last.Before(b.First.Time) {
				t.Errorf("a refusal by %q from %q: %+v", e.Actor, e.Origin, b)
			}
			b.First, b.Last = e.Time, e.Time
			refused = append(refused, b)
		}
	}
	want := []book.AccessRefused{{Call: "GET /merchants", Code: "locked", Times: 2}, {Call: "POST /unlock", Code: "not-allowed", Times: 1},
		{Call: "POST /unlock", Code: "not-allowed", Times: 1}}
	for i := range min(len(want), len(refused)) {
		want[i].First, want[i].Last = refused[i].First, refused[i].Last
	}
	if !slices.Equal(refused, want) {
		t.Errorf("refused %+v", refused)
	}
	s.checkLedger()
}

// TestAuditorsByTheCommandLine: what an auditor sees begins and ends with the words of the
// operator.
func TestAuditorsByTheCommandLine(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	anna := s.auditor("anna")
	if code, _ := s.command("merchant", "suspend", "shop-1"); code != 0 {
		t.Fatal("merchant suspend")
	}
	var removed control.Auditor
	s.json(&removed, "audit", "auditor", "remove", "anna", "--reason", "over")
	if removed.Removed == nil {
		t.Errorf("removed %+v", removed)
	}
	bert := s.auditor("bert")
	var all []control.Auditor
	s.json(&all, "audit", "auditor", "list")
	if len(all) != 2 || all[0].Name != "anna" || all[0].Removed == nil || all[1].Removed != nil || all[1].KeyName == "" {
		t.Errorf("auditors %+v", all)
	}
	for name, test := range map[string]struct {
		code int
		args []string
	}{
		"a name again":         {6, []string{"add", "anna", "--key", anna.Line()}},
		"another name":         {2, []string{"add", "cora", "--key", anna.Line()}},
		"no key":               {2, []string{"add", "cora"}},
		"a key that is none":   {2, []string{"add", "cora", "--key", "cora+auditor-00000000-xwing+AA=="}},
		"removed again":        {6, []string{"remove", "anna"}},
		"a stranger":           {5, []string{"remove", "cora"}},
		"a reason with a card": {2, []string{"remove", "bert", "--reason", "4242 4242 4242 4242"}},
		"keygen without out":   {2, []string{"keygen", "--name", "cora"}},
		"keygen of no name":    {2, []string{"keygen", "--name", "C", "--out", filepath.Join(t.TempDir(), "k")}},
	} {
		if code, _ := s.command(append([]string{"audit", "auditor"}, test.args...)...); code != test.code {
			t.Errorf("%s: exit code %d, want %d", name, code, test.code)
		}
	}
	dir := filepath.Join(t.TempDir(), "log")
	if got, want := kindsOf(s.exported(dir, anna)), []string{"auditor-added", "merchant-suspended", "members-issued", "auditor-removed"}; !slices.Equal(got, want) {
		t.Errorf("anna reads %v, want %v", got, want)
	}
	events := s.exported(dir, bert)
	last := events[len(events)-1]
	if told, ok := last.Body.(book.LogExported); !ok || told.Dir != dir || last.Purpose != "for the auditors" || kindsOf(events)[0] != "auditor-added" {
		t.Errorf("bert reads last %+v", last)
	}
	if code, _ := s.command("audit", "export", filepath.Join(t.TempDir(), "4242424242424242")); code != 2 {
		t.Errorf("a directory that may be a card number: exit code %d", code)
	}
	if code, _ := s.command("audit", "export", filepath.Join(dir, "checkpoint")); code == 0 {
		t.Error("an export into a file")
	}
	events = s.exported(dir, bert)
	if failed, ok := events[len(events)-2].Body.(book.LogExported); !ok || !failed.Failed {
		t.Errorf("the failed export is not told: %v", kindsOf(events))
	}
	stop()
	s.checkLedger()
}

// canaries are account data that the test has a storefront seal, in the forms in which they could
// come out again.
func canaries() (forms []string, codes *regexp.Regexp) {
	for _, secret := range []string{"4242424242424242", "5555555555554444", "4000056655665556", "4242424242424241", "004917226453", "Anne Example", "Hidden Holder"} {
		forms = append(forms, secret, strings.ToUpper(secret), base64.StdEncoding.EncodeToString([]byte(secret))[:len(secret)/3*4],
			hex.EncodeToString([]byte(secret)), strings.Join(strings.Split(secret, ""), " "))
		if len(secret) == 16 {
			forms = append(forms, secret[:4]+" "+secret[4:8]+" "+secret[8:12]+" "+secret[12:], secret[:4]+"-"+secret[4:8]+"-"+secret[8:12]+"-"+secret[12:],
				secret[4:13]) // more than first six and last four leave
		}
	}
	return forms, regexp.MustCompile(`(^|[^0-9A-Za-z])(7391|739)([^0-9A-Za-z]|$)`)
}

// TestNoAccountDataIsInTheLog feeds account data through every path on which it comes into the
// vault, sound and not, and looks for it in every event that an auditor opens, in the export's
// files and on its page.
func TestNoAccountDataIsInTheLog(t *testing.T) {
	m := newMonth(t)
	stop := m.begin()
	anna := m.auditor("anna")
	ids := m.sell()
	m.feedCanaries(ids)
	settled := m.closeAndSettleAll()
	m.checkReturns(ids)
	if len(settled.Files) != 1 {
		t.Errorf("settled %+v", settled)
	}
	dir := filepath.Join(t.TempDir(), "log")
	events := m.exported(dir, anna)
	forms, codes := canaries()
	masked, seen := 0, map[string]bool{}
	for i, e := range events {
		seen[e.Body.Kind()] = true
		text, err := json.Marshal(e)
		m.must(err)
		for _, form := range forms {
			if strings.Contains(string(text), form) {
				t.Errorf("event %d, %s, holds account data", i, e.Body.Kind())
			}
		}
		if codes.Match(text) {
			t.Errorf("event %d, %s, holds a security code", i, e.Body.Kind())
		}
		if strings.Contains(string(text), "******") {
			masked++
		}
	}
	if masked == 0 {
		t.Error("control: no event has a masked number, so nothing was looked at")
	}
	for _, kind := range []string{"envelope-received", "envelope-rejected", "authorisation-intended", "authorisation-answered", "reversal-intended", "reversal-answered",
		"capture-intended", "capture-answered", "payment-voided", "entry-accepted", "entry-intended", "file-begun", "file-intended", "file-written", "answer-taken",
		"payment-returned", "account-stored", "account-updated", "account-forgotten", "integrity-found", "payment-settled", "batch-settled"} {
		if !seen[kind] {
			t.Errorf("no %s came about, so nothing is known of it", kind)
		}
	}
	m.searchFiles(dir, forms)
	stop()
	m.checkLedger()
}

// feedCanaries sends what is wrong in every way that intake tells apart, and the operations that
// sell leaves out.
func (m *month) feedCanaries(ids map[string]string) {
	m.t.Helper()
	const named = `{"card":{"number":"5555555555554444","expiry":"2031-12","name":"Hidden Holder"}}`
	sale := order("sale", `,"amount":100,"currency":"USD"`)
	sent := m.send(
		draft{order: sale, account: named, code: `{"code":"739"}`},
		draft{order: sale, account: `{"card":{"number":"4242424242424241","expiry":"2031-12"}}`},
		draft{order: sale, account: `{"card":{"number":"4242424242424242","expiry":"2001-12"}}`},
		draft{order: sale, account: `{"card":{"number":"4242424242424242","expiry":"2031-12"},"pan":"4000056655665556"}`},
		draft{order: sale, account: `not JSON: 4000056655665556`},
		draft{order: sale, account: `{"bank":{"routing":"121042883","account":"004917226453","type":"checking","name":"Anne Example"}}`},
		draft{order: sale, account: named, code: `{"code":"7391 4242424242424242"}`},
		draft{order: `{"operation":"sale","reference":"4000056655665556","amount":100,"currency":"USD"}`, account: named},
		draft{order: `{"operation":"sale","reference":"x","amount":100,"currency":"USD","descriptor":"4000 4000056655665556"}`, account: named},
		draft{order: `{"operation":"sale","number":"4000056655665556"}`, account: named},
		draft{order: `4000056655665556`, account: named},
		draft{order: order("sale", `,"amount":100,"currency":"4242424242424242"`), account: named},
		draft{order: order("capture", `,"amount":100,"of":"4000056655665556"`)},
		draft{order: order("sale", `,"amount":100,"currency":"USD","token":"tok_4000056655665556"`)},
		draft{order: order("refund", `,"amount":1,"of":"`+ids["hold"]+`"`), account: named},
	)
	token := m.payment(ids["store"]).Token
	m.send(draft{order: order("update", `,"token":"`+token+`"`), account: `{"card":{"expiry":"2032-01"}}`})
	m.send(draft{order: order("sale", `,"amount":150,"currency":"USD","token":"`+token+`"`), code: `{"code":"739"}`})
	gone := m.send(draft{order: order("sale", `,"amount":175,"currency":"USD"`), account: aCard})[0]
	m.reaches(gone, book.StageApproved)
	m.send(draft{order: order("void", `,"of":"`+gone+`"`)})
	m.reaches(gone, book.StageVoided)
	debit := m.send(draft{order: order("sale", `,"amount":185,"currency":"USD"`), account: aBank})[0]
	m.reaches(debit, book.StageAccepted)
	m.send(draft{order: order("void", `,"of":"`+debit+`"`)})
	m.reaches(debit, book.StageVoided)
	m.send(draft{order: order("forget", `,"token":"`+token+`"`)})
	m.reaches(sent[0], book.StageApproved)
	// the host hangs up
	lost := m.send(draft{order: order("sale", `,"amount":900102,"currency":"USD"`), account: named, code: `{"code":"739"}`})[0]
	m.reaches(lost, book.StageReversed)
}

// closeAndSettleAll ends the day.
func (m *month) closeAndSettleAll() (settled control.Settlement) {
	m.t.Helper()
	var closed []control.Batch
	m.json(&closed, "batch", "close", "--all")
	m.json(&settled, "batch", "settle", "--all")
	return settled
}

// searchFiles looks for account data in every file below dir.
func (m *month) searchFiles(dir string, forms []string) {
	m.t.Helper()
	pages := 0
	m.must(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if filepath.Base(path) == "summary.html" {
			pages++
			if !strings.Contains(string(data), "<svg") || strings.Contains(string(data), "******") || strings.Contains(string(data), "shop-1") {
				m.t.Errorf("the page is not as it should be:\n%s", data)
			}
		}
		for _, form := range forms {
			if strings.Contains(string(data), form) {
				m.t.Errorf("%s holds account data", d.Name())
			}
		}
		return err
	}))
	if pages != 1 {
		m.t.Errorf("%d pages", pages)
	}
}
