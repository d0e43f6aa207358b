package replay

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/book"
)

// storyOf returns a payment's story from a fresh export.
func (v *vault) storyOf(merchant, id string) (*Story, error) {
	v.t.Helper()
	x, err := audit.OpenExport(v.export(), v.signer.Verifier())
	v.must(err)
	state, err := LoadState(bytes.NewReader(v.opening.Bytes()), v.signer.Verifier(), v.anna)
	v.must(err)
	defer state.Close()
	s, _, err := StoryOf(v.t.Context(), Options{Export: x, Identity: v.anna, From: state}, merchant, id)
	return s, err
}

func (s *Story) kinds(t *testing.T) (kinds []string) {
	t.Helper()
	for _, c := range s.Chapters {
		var e book.Event
		if err := json.Unmarshal(c.Event, &e); err != nil {
			t.Fatal(err)
		}
		kinds = append(kinds, e.Body.Kind())
	}
	return kinds
}

func TestAPaymentsStory(t *testing.T) {
	v := newVault(t)
	pay := v.sale(1250)
	v.sale(99)
	v.settle()
	v.refund(pay, 300)
	v.sale(1)
	story, err := v.storyOf(shop, pay)
	v.must(err)
	want := []string{"envelope-received", "authorisation-intended", "authorisation-answered", "batch-closing", "batch-closed", "reconciliation-intended",
		"reconciliation-answered", "payment-settled", "batch-settled", "envelope-received", "authorisation-intended", "authorisation-answered"}
	if kinds := story.kinds(t); !slices.Equal(kinds, want) {
		t.Errorf("told %v", kinds)
	}
	var text strings.Builder
	v.must(story.Write(&text))
	for _, part := range []string{"payment shop-1/" + pay + ": 12 entries of a log of", "by vault from host", "told approved, iso-00, 12.50 USD", "told settled, iso-00",
		"told refunded, iso-00, 3.00 USD"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("%q is not in\n%s", part, &text)
		}
	}
	if _, err := v.storyOf(shop, id(4711)); !errors.Is(err, ErrNoPayment) {
		t.Errorf("no such payment: %v", err)
	}
	if _, err := v.storyOf("shop-2", pay); !errors.Is(err, ErrNoPayment) {
		t.Errorf("another merchant's: %v", err)
	}
}

// TestStoriesThatProveNothing: one defect each.
func TestStoriesThatProveNothing(t *testing.T) {
	v := newVault(t)
	pay := v.sale(1250)
	v.sale(1)
	story, err := v.storyOf(shop, pay)
	v.must(err)
	good, err := story.Encode()
	v.must(err)
	checked, c, err := CheckStory(good, v.signer.Verifier())
	if err != nil || c.Size != v.tail.Size() || len(checked.Chapters) != 3 {
		t.Fatalf("%+v, %v", c, err)
	}
	change := func(f func(s *Story)) []byte {
		var s Story
		v.must(json.Unmarshal(good, &s))
		f(&s)
		text, err := s.Encode()
		v.must(err)
		return text
	}
	for name, text := range map[string][]byte{
		"other facts":          bytes.Replace(good, []byte(`1250`), []byte(`1251`), 4),
		"facts left out":       change(func(s *Story) { s.Chapters[2].Facts = "" }),
		"another place":        change(func(s *Story) { s.Chapters[2].Index++ }),
		"another salt":         change(func(s *Story) { s.Chapters[2].Salt[0]++ }),
		"another entry":        change(func(s *Story) { s.Chapters[2].Entry = s.Chapters[1].Entry }),
		"a short hash":         change(func(s *Story) { s.Chapters[2].Entry = "ab" }),
		"a hash too few":       change(func(s *Story) { s.Chapters[2].Proof = s.Chapters[2].Proof[1:] }),
		"another order":        change(func(s *Story) { slices.Reverse(s.Chapters) }),
		"an entry twice":       change(func(s *Story) { s.Chapters = append(s.Chapters, s.Chapters[2]) }),
		"no entries":           change(func(s *Story) { s.Chapters = nil }),
		"another checkpoint":   change(func(s *Story) { s.Checkpoint = string(newVault(t).checkpoint()) }),
		"an older checkpoint":  change(func(s *Story) { s.Checkpoint = strings.Replace(s.Checkpoint, "\n10\n", "\n9\n", 1) }),
		"an event that is not": change(func(s *Story) { s.Chapters[2].Event = json.RawMessage(`{"kind":"nothing"}`) }),
		"another format":       bytes.Replace(good, []byte("story/v1"), []byte("story/v2"), 1),
		"another payment":      change(func(s *Story) { s.Payment = id(2) }),
		"another merchant":     change(func(s *Story) { s.Merchant = "shop-2" }),
		"another payment's and merchant's, events too": bytes.ReplaceAll(change(func(s *Story) { s.Payment, s.Merchant = id(2), "shop-2" }),
			[]byte(`"id": "`+id(1)), []byte(`"id": "`+id(2))),
		"no JSON": []byte(`{"format":"nightdrop/story/v1"`),
	} {
		if bytes.Equal(text, good) {
			t.Fatalf("%s: nothing was changed", name)
		}
		if s, _, err := CheckStory(text, v.signer.Verifier()); !errors.Is(err, ErrStory) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
}

// TestWhatIsNoStory: another file was given by mistake.
func TestWhatIsNoStory(t *testing.T) {
	v := newVault(t)
	for _, text := range []string{"", "story", "{}", v.opening.String()} {
		if _, _, err := CheckStory([]byte(text), v.signer.Verifier()); !errors.Is(err, ErrForm) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
	for _, text := range []string{"story", "{}", `{"format":"nightdrop/story/v1"}`} {
		if _, err := LoadState(strings.NewReader(text), v.signer.Verifier(), v.anna); !errors.Is(err, ErrForm) {
			t.Errorf("%.20q: %v", text, err)
		}
	}
}

// TestAnOperationsStory is its payment's.
func TestAnOperationsStory(t *testing.T) {
	v := newVault(t)
	pay := v.sale(1250)
	v.settle()
	refund := v.refund(pay, 300)
	if _, err := v.storyOf(shop, refund); !errors.Is(err, ErrOperation) || !strings.Contains(err.Error(), pay) {
		t.Errorf("%v", err)
	}
	v.open() // also where it was taken before
	if _, err := v.storyOf(shop, refund); !errors.Is(err, ErrOperation) || !strings.Contains(err.Error(), pay) {
		t.Errorf("of the state: %v", err)
	}
}

// TestAStoryFromAnEarlierState has the batches and files of what was taken before it.
func TestAStoryFromAnEarlierState(t *testing.T) {
	v := newVault(t)
	old := v.sale(99)
	v.settle()
	refund := v.refund(old, 1) // in a batch of its own
	pay := v.sale(1250)
	v.open()
	v.settle()
	want := []string{"batch-closing", "batch-closed", "reconciliation-intended", "reconciliation-answered", "payment-settled", "batch-settled"}
	for _, id := range []string{pay, old} {
		story, err := v.storyOf(shop, id)
		v.must(err)
		if kinds := story.kinds(t); id == pay && !slices.Equal(kinds, want) || id == old && (len(kinds) < 5 || kinds[0] != want[0]) {
			t.Errorf("%s (its refund is %s): told %v", id, refund, kinds)
		}
	}
}

// TestABankEntrysStory has the file that it went out in.
func TestABankEntrysStory(t *testing.T) {
	v := newVault(t)
	v.do(shop, book.MerchantPolicySet{Policy: book.Policy{Company: book.Company{ID: "1234567890", Name: "SHOP"}}})
	batch := v.record().NextBatch
	v.do(shop, book.BatchOpened{Batch: batch, Method: book.MethodBank})
	v.do(shop, book.EnvelopeReceived{ID: id(1), Digest: strings.Repeat("b", 64), Operation: envelope.OpSale, Amount: 500, Currency: "USD", Reference: "r",
		Masked: "******6789", Method: book.MethodBank})
	v.do(shop, book.EntryAccepted{ID: id(1), Batch: batch, Standard: "WEB"})
	b := book.Batches.In(v.state)[batch]
	v.do(shop, book.BatchClosing{Batch: batch})
	v.do(shop, book.BatchClosed{Batch: batch, Totals: b.Totals, HashTotal: b.HashTotal})
	const file = "nacha-20261123-A.ach"
	content := []byte("101 and so on")
	s := NewStatements(v.signer.Verifier())
	s.AddFile("/outbox/"+file, content)
	v.do("", book.FileBegun{Name: file, Day: "2026-11-23", Modifier: 1, Effective: "2026-11-24", Batches: []uint32{batch}})
	v.do(shop, book.EntryIntended{ID: id(1), File: file, Trace: "123456780000001", Sequence: 1})
	v.do("", book.FileIntended{Name: file, Digest: s.files[file], Entries: 1, Debits: 500})
	v.do("", book.FileWritten{Name: file})
	v.do(shop, book.PaymentSettled{ID: id(1), Batch: batch})
	v.do(shop, book.BatchSettled{Batch: batch})
	v.do(shop, book.PaymentReturned{ID: id(1), Code: envelope.ACHCode("R01")})
	story, err := v.storyOf(shop, id(1))
	v.must(err)
	want := []string{"envelope-received", "entry-accepted", "batch-closing", "batch-closed", "file-begun", "entry-intended", "file-intended", "file-written",
		"payment-settled", "batch-settled", "payment-returned"}
	if kinds := story.kinds(t); !slices.Equal(kinds, want) {
		t.Errorf("told %v", kinds)
	}
	dir := v.export()
	r, _, err := v.replay(dir, given{statements: s})
	v.must(errors.Join(err, r.Err()))
	if r.Compared != 1 || len(r.Sums.Money) != 1 || r.Sums.Money[0].State != "returned" {
		t.Errorf("%+v, %+v", r, r.Sums)
	}
	for name, content := range map[string]string{file: "another", "nacha-20261123-B.ach": "101 and so on"} {
		s := NewStatements(v.signer.Verifier())
		s.AddFile(name, []byte(content))
		if r, _, err = v.replay(dir, given{statements: s}); err != nil || !errors.Is(r.Err(), ErrDiverged) {
			t.Errorf("%s holding %q: %v", name, content, errors.Join(err, r.Err()))
		}
	}
}
