package book

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
)

var update = flag.Bool("update", false, "write the golden file of events anew; members may be added to it, never renamed")

const goldenFile = "testdata/events.jsonl"

// examples is one event of every kind, every member set.
func examples() []Event {
	at := envelope.At(time.Date(2026, 11, 20, 10, 0, 0, 0, time.UTC))
	trace := Trace{STAN: 7, RRN: "632400000007", Terminal: "TERM0001", Acceptor: "ACCEPTOR1", Sent: at}
	total := Total{Currency: "USD", Count: 3, Amount: 5997, Credits: 1, CreditAmount: 99}
	bodies := []Body{
		VaultCreated{Vault: "vault.example", Generation: 1, Signer: "vault.example+0a1b2c3d+AQ=="},
		VaultUnlocked{Version: "1.0.0", Shares: []int{1, 3}},
		VaultLocked{},
		KeysChanged{Created: []KeySchedule{{Name: "day-0a1b2c3d-xwing", From: at, Until: at, Dies: at}}, Destroyed: []envelope.KeyName{"code-0a1b2c3e-x25519"}},
		RelaysSet{Relays: []string{"relay-1+0a1b2c3d+AQ=="}},
		DirectoryIssued{Serial: 4},
		MembersIssued{Serial: 5},
		IntegrityFound{Finding: FindingBagMissing, Relay: "relay-1", Run: "00ff", Number: 2, Through: 3, Index: 4, Detail: "<words>"},
		MerchantAdded{Name: "Shop", Verifiers: []string{"shop-1+0a1b2c3d+AQ=="}, ReplyKeys: []string{"reply-0a1b2c3d-xwing+AQ=="}, Acceptor: "ACCEPTOR1", Currencies: []string{"USD"}, Checked: true},
		MerchantSuspended{},
		MerchantResumed{},
		BagCommitted{Relay: "relay-1", Run: "00ff", Number: 2, Previous: "aa", After: &envelope.BagRef{Run: "00fe", Number: 9, Digest: "bb"}, Window: 4, Received: 1, Repeated: 2, Rejected: 3, Ignored: 4},
		EnvelopeReceived{ID: "id", Digest: "dd", Until: at, Operation: envelope.OpSale, Amount: 1999, Currency: "USD", Reference: "order 7", Descriptor: "SHOP", Masked: "424242******4242", Brand: "visa", Fingerprint: "ff", WithCode: true,
			Method: MethodCard, Of: "of", Token: "tok_x"},
		EnvelopeRejected{ID: "id", Digest: "dd", Code: envelope.CodeLuhn, Remembered: true, Operation: envelope.OpSale, Amount: 1999, Currency: "USD", Reference: "order 7", Masked: "424242******4242", Of: "of", Token: "tok_x"},
		PaymentRefused{ID: "id", Code: envelope.CodeLate},
		AuthorisationIntended{ID: "id", Trace: trace, Batch: 1},
		AuthorisationAnswered{ID: "id", Code: "iso-00", Approval: "A1B2C3"},
		AuthorisationUnanswered{ID: "id"},
		ReversalIntended{ID: "id", Trace: trace, Try: 1},
		ReversalAnswered{ID: "id", Code: "iso-00"},
		ReversalAbandoned{ID: "id", Tries: 6},
		BatchOpened{Batch: 1, Method: MethodCard},
		BatchClosing{Batch: 1},
		BatchClosed{Batch: 1, Totals: []Total{total}, HashTotal: 6},
		ReconciliationIntended{Batch: 1, Currency: "USD", Trace: trace},
		ReconciliationAnswered{Batch: 1, Agreed: true, Host: total},
		PaymentSettled{ID: "id", Batch: 1},
		BatchSettled{Batch: 1},
		CaptureIntended{ID: "id", Trace: trace, Batch: 1, Try: 2},
		CaptureAnswered{ID: "id", Code: "iso-00", Approval: "A1B2C3"},
		CaptureAbandoned{ID: "id", Tries: 6},
		OutcomeUnknown{ID: "id"},
		AuthorisationExpired{ID: "id"},
		PaymentResolved{ID: "id", As: envelope.StatusReversed, Reason: "the acquirer's clerk said so"},
		PaymentResent{ID: "id", Reason: "the acquirer is up again"},
		PaymentVoided{ID: "id"},
		EntryAccepted{ID: "id", Batch: 2, Standard: "WEB"},
		FileBegun{Name: "nightdrop-20261120-A.ach", Day: "2026-11-20", Modifier: 1, Effective: "2026-11-23", Batches: []uint32{2}},
		EntryIntended{ID: "id", File: "nightdrop-20261120-A.ach", Trace: "123456780000001", Sequence: 1, Company: "1234567890", Masked: "******34", Fingerprint: "ff"},
		FileIntended{Name: "nightdrop-20261120-A.ach", Digest: "ff", Entries: 1, Debits: 5997, Credits: 99, EntryHash: 12345678},
		FileWritten{Name: "nightdrop-20261120-A.ach"},
		AnswerTaken{Name: "returns.ach", Digest: "ff", Created: at, Items: 3, Left: []AnswerLeft{{Record: 4, Trace: "123456780000002", Code: "R01", Problem: "not ours"}}, LeftCount: 1},
		PaymentReturned{ID: "id", Code: "ach-R01", Reason: "the bank's clerk said so"},
		ChangeNotified{ID: "id", Code: "C01", Told: true},
		EntryAcknowledged{ID: "id"},
		AccountStored{ID: "id", Token: "tok_x"},
		AccountUpdated{ID: "id", Whole: true},
		AccountForgotten{ID: "id"},
		MerchantPolicySet{Policy: Policy{Limits: []Limit{{Currency: "USD", Payment: 1, Day: 2, PayoutDay: 3}}, RefundPercent: 20, Payees: PayeesConsumer,
			Storage: true, StoresPerDay: 9, Company: Company{Name: "Shop", ID: "1234567890"}}, Checked: true},
		VaultStarted{Version: "1.0.0", At: at},
		VaultStopped{},
		AccessRefused{Call: "POST /unlock", Code: "not-allowed", Times: 2, First: at, Last: at},
		AuditorAdded{Name: "anna", Key: "anna+auditor-0a1b2c3d-xwing+AQ=="},
		AuditorRemoved{Name: "anna"},
		LogExported{Dir: "/media/log", Bodies: 256, Failed: true},
		PaymentCorrected{ID: "id", As: envelope.StatusReversed, Reason: "the listing has it not"},
		BatchAdjusted{Batch: 1, Total: Total{Currency: "USD", Count: 1, Amount: -77, Credits: -1, CreditAmount: 5}, Payment: "id", Reason: "booked twice there"},
		BatchAgreed{Batch: 1, By: ByWord, Totals: []Total{{Currency: "USD", Count: 1, Amount: 77}}, Reason: "the host has no 0500"},
		ResultsResent{From: 12, Through: 40},
		FindingAcknowledged{Number: 17, Withdrawn: true},
		MerchantUpdated{Name: "Shop 2", Currencies: []string{"EUR"}, Acceptor: "ACCEPTOR2", AddedVerifiers: []string{"shop-1+0a1b2c3e+AQ=="}, RetiredVerifiers: []string{"shop-1+0a1b2c3d+AQ=="},
			AddedReplyKeys: []string{"reply-0a1b2c3e-xwing+AQ=="}, RetiredReplyKeys: []string{"reply-0a1b2c3d-xwing+AQ=="}},
		FileMadeAgain{Name: "nightdrop-20261120-A.ach"},
	}
	events := make([]Event, len(bodies))
	for i, body := range bodies {
		events[i] = Event{Time: at, Actor: "user:root", Origin: "socket", Purpose: "a test", Evidence: "ee", Merchant: "shop-1", Body: body}
	}
	return events
}

func TestEventsKeepTheirPermanentForm(t *testing.T) {
	if *update {
		var out []byte
		for _, e := range examples() {
			line, err := e.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			out = append(append(out, line...), '\n')
		}
		if err := os.WriteFile(goldenFile, out, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	data, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	seen := 0
	for _, want := range examples() {
		if !lines.Scan() {
			t.Fatalf("%s has no line in %s", want.Body.Kind(), goldenFile)
		}
		seen++
		var got Event
		if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
			t.Errorf("%s: %v", want.Body.Kind(), err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s reads as %+v, want %+v", want.Body.Kind(), got, want)
		}
		text, err := json.Marshal(got)
		if err != nil || string(text) != lines.Text() {
			t.Errorf("%s is written as\n%s, not\n%s (%v)", want.Body.Kind(), text, lines.Text(), err)
		}
	}
	if lines.Scan() || seen != len(register) {
		t.Errorf("%d events of %d kinds in %s", seen, len(register), goldenFile)
	}
}

// TestEveryBodyIsDecodable finds the types with a Kind in the sources: one that no decoder knows
// could be written and never read.
func TestEveryBodyIsDecodable(t *testing.T) {
	known := map[string]bool{}
	for _, e := range examples() {
		known[reflect.TypeOf(e.Body).Name()] = true
		if _, ok := register[e.Body.Kind()]; !ok {
			t.Errorf("%s has no decoder", e.Body.Kind())
		}
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Name.Name != "Kind" || f.Recv == nil {
				continue
			}
			found++
			if body := f.Recv.List[0].Type.(*ast.Ident).Name; !known[body] {
				t.Errorf("%s has a kind and no example", body)
			}
		}
	}
	if found != len(register) {
		t.Errorf("%d types with a kind, %d decoders", found, len(register))
	}
}

func TestEventsOfANewerBuildAreRefused(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		kind bool
	}{
		"kind":           {`{"kind":"moon-landed","time":"2026-11-20T10:00:00Z","actor":"a","origin":"o","body":{}}`, true},
		"member":         {`{"kind":"vault-locked","time":"2026-11-20T10:00:00Z","actor":"a","origin":"o","mood":"good","body":{}}`, false},
		"body's member":  {`{"kind":"vault-locked","time":"2026-11-20T10:00:00Z","actor":"a","origin":"o","body":{"mood":"good"}}`, false},
		"fraction":       {`{"kind":"members-issued","time":"2026-11-20T10:00:00Z","actor":"a","origin":"o","body":{"serial":1.5}}`, false},
		"no body":        {`{"kind":"auditor-removed","time":"2026-11-20T10:00:00Z","actor":"a","origin":"o"}`, false},
		"a body of 7":    {`{"kind":"auditor-removed","time":"2026-11-20T10:00:00Z","actor":"a","origin":"o","body":7}`, false},
		"no kind":        {`{"time":"2026-11-20T10:00:00Z","actor":"a","origin":"o","body":{}}`, true},
		"time of no UTC": {`{"kind":"vault-locked","time":"2026-11-20T10:00:00+01:00","actor":"a","origin":"o","body":{}}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			var e Event
			err := json.Unmarshal([]byte(test.text), &e)
			if err == nil || errors.Is(err, ErrUnknownKind) != test.kind {
				t.Errorf("got %v", err)
			}
		})
	}
	// The order of members is nobody's business.
	var e Event
	if err := json.Unmarshal([]byte(`{"body": {}, "origin": "o", "actor": "a", "time": "2026-11-20T10:00:00Z", "kind": "vault-locked"}`), &e); err != nil || e.Body != (VaultLocked{}) {
		t.Errorf("%+v, %v", e, err)
	}
	if err := json.Unmarshal([]byte(`{"kind":"vault-locked","time":"2026-11-20T10:00:00Z","actor":"a","origin":"o","body":{},"kind":"vault-stopped"}`), &e); err != nil || e.Body != (VaultStopped{}) {
		t.Errorf("%+v, %v", e, err)
	}
	// Of two bodies the last counts, whole, as for any reader of JSON.
	two := `{"kind":"auditor-added","time":"2026-11-20T10:00:00Z","actor":"a","origin":"o","body":{"name":"x","key":"k"},"body":{"name":"","key":"y"}}`
	if err := json.Unmarshal([]byte(two), &e); err != nil || e.Body != (AuditorAdded{Key: "y"}) {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := (Event{}).MarshalJSON(); err == nil {
		t.Error("an event without a body was written")
	}
}
