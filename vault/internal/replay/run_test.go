package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/envelope/vector"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/replay/spill"
)

// same compares a replayed state with the vault's own.
func same(t *testing.T, s *State, m *book.State) {
	t.Helper()
	got := map[book.Key]book.Payment{}
	if err := s.state.payments.Each(func(p book.Payment) error {
		got[book.Key{Merchant: p.Merchant, ID: p.ID}] = p
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, book.Payments.In(m)) {
		t.Errorf("%d payments differ from the vault's %d", len(got), len(book.Payments.In(m)))
	}
	for _, table := range book.Tables {
		if table.Bucket() != book.Payments.Name && table.Member() != "" && !reflect.DeepEqual(recordsOf(t, table, s.state.State), recordsOf(t, table, m)) {
			t.Errorf("%s differ from the vault's own", table.Bucket())
		}
	}
}

// recordsOf are a table's records, as JSON by key.
func recordsOf(t *testing.T, table book.Kind, s *book.State) map[string]string {
	t.Helper()
	records := map[string]string{}
	err := table.Records(s, func(at book.Place, record any) error {
		text, err := json.Marshal(record)
		records[string(at.Key)] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return records
}

func TestAReplayComesToTheVaultsState(t *testing.T) {
	v := newVault(t)
	v.month()
	r, state, err := v.replay(v.export(), given{})
	v.must(err)
	if err := r.Err(); err != nil {
		t.Fatal(err)
	}
	if r.From != 2 || r.Through != v.tail.Size() || r.Opened != r.Through-2 || r.By != ByVault || r.First != -1 {
		t.Errorf("%+v", r)
	}
	same(t, state, v.state)
	if r.Results != int64(book.Merchants.In(v.state)[shop].Results) || r.Found[book.FindingMessage] != 1 || r.Sums.Payments != uint64(v.pays) || r.Sums.Settled != 3 {
		t.Errorf("results %d, found %v, sums %+v", r.Results, r.Found, r.Sums)
	}
	var settled, standing book.Total
	for _, p := range book.Payments.In(v.state) {
		to := map[book.Stage]*book.Total{book.StageSettled: &settled, book.StageApproved: &standing}[p.Stage]
		switch {
		case to == nil:
		case p.Credit():
			to.Currency, to.Credits, to.CreditAmount = p.Currency, to.Credits+1, to.CreditAmount+p.Amount
		default:
			to.Currency, to.Count, to.Amount = p.Currency, to.Count+1, to.Amount+p.Amount
		}
	}
	if want := []Money{{standing, "standing"}, {settled, "settled"}}; !reflect.DeepEqual(r.Sums.Money, want) {
		t.Errorf("money %+v, want %+v", r.Sums.Money, want)
	}
}

// TestAReplayGoesOnFromWhereItEnded: a saved state and the new entries come to what all entries
// come to, and the log must be the same one.
func TestAReplayGoesOnFromWhereItEnded(t *testing.T) {
	v := newVault(t)
	v.month()
	before := v.export()
	r, state, err := v.replay(before, given{})
	v.must(errors.Join(err, r.Err()))
	var saved bytes.Buffer
	v.must(state.Save(&saved, v.anna))
	v.begin(v.anna)
	v.month()
	after := v.export()
	r, state, err = v.replay(after, given{from: saved.Bytes()})
	v.must(errors.Join(err, r.Err()))
	if r.By != ByReplay || r.From != state.Size-r.Opened || r.Through != v.tail.Size() {
		t.Errorf("%+v", r)
	}
	same(t, state, v.state)
	saved.Reset()
	v.must(state.Save(&saved, v.anna))
	if r, _, err = v.replay(before, given{from: saved.Bytes()}); err != nil || !errors.Is(r.Err(), ErrDiverged) {
		t.Errorf("an export that ends before the state: %v", errors.Join(err, r.Err()))
	}
	other := newVault(t)
	other.signer, other.anna = v.signer, v.anna
	other.month()
	other.month()
	if r, _, err = other.replay(other.export(), given{from: saved.Bytes()}); err != nil || !errors.Is(r.Err(), ErrDiverged) {
		t.Errorf("another log of the same length: %v", errors.Join(err, r.Err()))
	}
}

func TestWhatCannotBeReplayedIsSaid(t *testing.T) {
	v := newVault(t)
	v.month()
	empty, err := NewState(origin)
	v.must(err)
	defer empty.Close()
	var none bytes.Buffer
	v.must(empty.Save(&none, v.anna))
	dir := v.export()
	r, _, err := v.replay(dir, given{from: none.Bytes()})
	v.must(err)
	if !errors.Is(r.Err(), ErrNoState) || !strings.Contains(r.Gap, "entries 0 to 1 ") || r.Opened != v.tail.Size()-2 || r.Sums != nil {
		t.Errorf("without a state: %v, %+v", r.Err(), r)
	}
	cora, err := keyring.NewAuditor("cora")
	v.must(err)
	if r, _, err = v.replay(dir, given{who: cora}); err != nil || !errors.Is(r.Err(), ErrNoKey) || r.Closed != v.tail.Size()-2 {
		t.Errorf("a stranger's key: %v", errors.Join(err, r.Err()))
	}
	// Anna's time ends; the rest of the log is verified and stays closed.
	v.do("", book.AuditorRemoved{Name: "anna"})
	end := v.tail.Size()
	v.begin()
	v.sale(100)
	if r, _, err = v.replay(v.export(), given{}); err != nil || r.Err() != nil || r.Through != end || r.Closed != 3 {
		t.Errorf("after her time: %v, through %d, closed %d", errors.Join(err, r.Err()), r.Through, r.Closed)
	}
}

func TestSavedStatesAreWholeAndSigned(t *testing.T) {
	v := newVault(t)
	good := v.opening.String()
	lines := strings.SplitAfter(good, "\n")
	for name, text := range map[string]string{
		"empty":             "",
		"cut":               strings.Join(lines[:len(lines)-2], ""),
		"a line too few":    strings.Join(append(append([]string{}, lines[:2]...), lines[3:]...), ""),
		"altered":           strings.Replace(good, `"generation":1`, `"generation":2`, 1),
		"of another log":    strings.Replace(good, `"origin":"vault.example"`, `"origin":"other.example"`, 1),
		"of another size":   strings.Replace(good, `"size":2`, `"size":3`, 1),
		"without signature": good[:strings.LastIndex(good, `,"note":`)] + "}}\n",
		"more behind it":    good + "{}\n",
		"a foreign member":  strings.Replace(good, `"by":`, `"from":1,"by":`, 1),
	} {
		if s, err := LoadState(strings.NewReader(text), v.signer.Verifier(), v.anna); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	s, err := LoadState(strings.NewReader(good), newVault(t).signer.Verifier(), v.anna)
	if !errors.Is(err, ErrState) {
		t.Errorf("signed by another vault of that name: %v, %v", s, err)
	}
	var last lastLine
	if err := json.Unmarshal([]byte(lines[len(lines)-2]), &last); err != nil || last.End == nil {
		t.Fatalf("the last line is %+v, %v", last, err)
	}
	if text, err := vector.OpenByMod([]byte(last.End.Note), v.signer.Verifier()); err != nil || !strings.Contains(text, last.End.SHA256) {
		t.Errorf("x/mod opens its note as %q, %v", text, err)
	}
}

// TestAStateOfAReplayIsItsOwners: whoever gets at it, as on a stick, can take it away and no more.
func TestAStateOfAReplayIsItsOwners(t *testing.T) {
	v := newVault(t)
	v.month()
	_, state, err := v.replay(v.export(), given{})
	v.must(err)
	var saved, forged bytes.Buffer
	v.must(state.Save(&saved, v.anna))
	mallory, err := keyring.NewAuditor("anna") // of her name
	v.must(err)
	v.must(state.Save(&forged, mallory))
	good := saved.String()
	relabelled := strings.Replace(v.opening.String(), `"by":"vault"`, `"by":"replay"`, 1)
	for name, text := range map[string]string{
		"saved under another key":    forged.String(),
		"of no owner":                good[:strings.LastIndex(good, `,"code":`)] + "}}\n",
		"the opening, as a replay's": relabelled[:strings.LastIndex(relabelled, `{"end":`)] + resealed(relabelled),
	} {
		if s, err := LoadState(strings.NewReader(text), v.signer.Verifier(), v.anna); !errors.Is(err, ErrState) {
			t.Errorf("%s: %v, %v", name, s, err)
		}
	}
	// And as one by the vault it needs the vault's signature.
	if s, err := LoadState(strings.NewReader(strings.Replace(good, `"by":"replay"`, `"by":"vault"`, 1)), v.signer.Verifier(), v.anna); !errors.Is(err, ErrState) {
		t.Errorf("as the vault's: %v, %v", s, err)
	}
	s, err := LoadState(&swapped{strings.NewReader(good), strings.NewReader(v.opening.String())}, v.signer.Verifier(), v.anna)
	if !errors.Is(err, ErrState) {
		t.Errorf("exchanged between reading and reading: %v, %v", s, err)
	}
}

// resealed is the last line of a text's state with the digest that it has now.
func resealed(text string) string {
	sum := sha256.Sum256([]byte(text[:strings.LastIndex(text, `{"end":`)]))
	return fmt.Sprintf("{\"end\":{\"sha256\":\"%x\"}}\n", sum)
}

// swapped is a file that is another when it is read again.
type swapped struct {
	*strings.Reader
	other *strings.Reader
}

func (s *swapped) Seek(offset int64, whence int) (int64, error) {
	s.Reader = s.other
	return s.Reader.Seek(offset, whence)
}

// TestAStoreGivesWhatIsLeaving: also where the read itself makes room. Under the race detector,
// reading goes on beside the writing of it.
func TestAStoreGivesWhatIsLeaving(t *testing.T) {
	b, err := newSpilled()
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	trace := &book.Trace{STAN: 7}
	for round := range 3 {
		for i := range 2*spill.Recent + spill.Recent/2 {
			p, found, err := b.Payment(shop, id(i))
			if err != nil || found != (round > 0) || found && (p.ID != id(i) || p.Amount != int64(round)) {
				t.Fatalf("round %d: %s is %+v, %v, %v", round, id(i), p, found, err)
			}
			if err := book.Payments.Put(b.State, book.Payment{Merchant: shop, ID: id(i), Amount: int64(round + 1), Messages: book.Messages{Trace: trace}}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestALargeBatchReplays: the payments of one batch are more than stay in memory.
func TestALargeBatchReplays(t *testing.T) {
	v := newVault(t)
	v.long = true
	for range 3 * spill.Recent {
		v.sale(1999)
	}
	v.settle()
	r, _, err := v.replay(v.export(), given{})
	v.must(errors.Join(err, r.Err()))
	if r.Through != v.tail.Size() || r.Sums.Payments != 3*spill.Recent {
		t.Errorf("%+v", r)
	}
}

func TestStatementsAgree(t *testing.T) {
	v := newVault(t)
	early := v.checkpoint()
	v.directory(1)
	issued := v.do(shop, book.EnvelopeRejected{ID: id(9999), Digest: strings.Repeat("a", 64), Code: envelope.CodeLuhn, Remembered: true})
	v.bag(1)
	v.month()
	s := NewStatements(v.signer.Verifier())
	for _, msg := range [][]byte{early, v.checkpoint(), v.signDirectory(1), v.signPosition(1, digestOf(1)), v.signResult(issued)} {
		v.must(s.Add(msg))
	}
	r, _, err := v.replay(v.export(), given{statements: s})
	v.must(errors.Join(err, r.Err()))
	if r.Compared != 5 || len(r.Not) != 0 {
		t.Errorf("%d statements agree, not compared: %v", r.Compared, r.Not)
	}
	if s.Add([]byte("something")) == nil || s.Add(bytes.Replace(early, []byte("\n4\n"), []byte("\n5\n"), 1)) == nil {
		t.Error("a statement that the vault never made is taken")
	}
}
