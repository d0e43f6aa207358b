package control

import (
	"context"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
	"nightdrop/vault/internal/report"
)

// counter is a vault's desk for batches, files and policies; what the tests do not say panics.
type counter struct {
	Vault
	batches func(BatchQuery) ([]Batch, error)
	settle  func(uint32, book.Method) (Settlement, error)
	files   func(name string, file io.Reader) error
	report  func(ReportQuery, func([]report.Payment) error) (report.Report, error)
	policy  func(string, PolicyChange) error
	resolve func(operator.Actor, Resolution) (Payment, error)
}

func (c counter) Batches(_ context.Context, q BatchQuery) ([]Batch, error) { return c.batches(q) }
func (c counter) CloseBatches(_ context.Context, _ operator.Actor, q BatchQuery, _ operator.Progress) ([]Batch, error) {
	return c.batches(q)
}
func (c counter) Settle(_ context.Context, _ operator.Actor, n uint32, m book.Method, _ operator.Progress) (Settlement, error) {
	return c.settle(n, m)
}
func (c counter) Compare(_ context.Context, n uint32, listing io.Reader) (Comparison, error) {
	return Comparison{Ours: int(n)}, c.files("listing", listing)
}
func (c counter) ImportReturns(_ context.Context, _ operator.Actor, name string, file io.Reader) (Import, error) {
	return Import{Name: name}, c.files(name, file)
}
func (c counter) Report(_ context.Context, q ReportQuery, each func([]report.Payment) error) (report.Report, error) {
	return c.report(q, each)
}
func (c counter) SetPolicy(_ context.Context, _ operator.Actor, id string, change PolicyChange) (Merchant, error) {
	return Merchant{ID: id}, c.policy(id, change)
}
func (c counter) Resolve(_ context.Context, a operator.Actor, r Resolution) (Payment, error) {
	return c.resolve(a, r)
}

func TestBatchesByMethod(t *testing.T) {
	want := BatchQuery{Merchant: "shop-1", Method: book.MethodBank}
	client := NewClient(serve(t, counter{
		batches: func(q BatchQuery) ([]Batch, error) {
			if q != want {
				t.Errorf("query %+v, want %+v", q, want)
			}
			return []Batch{{Number: 18}}, nil
		},
		settle: func(n uint32, m book.Method) (Settlement, error) {
			return Settlement{Payments: int(n)}, methodIs(m, want.Method)
		},
	}), "")
	if list, err := client.Batches(t.Context(), want); err != nil || len(list) != 1 || list[0].Number != 18 {
		t.Errorf("list %v %v", list, err)
	}
	if closed, err := client.CloseBatches(t.Context(), want, nil); err != nil || len(closed) != 1 {
		t.Errorf("closed %v %v", closed, err)
	}
	if s, err := client.Settle(t.Context(), 18, book.MethodBank, nil); err != nil || s.Payments != 18 {
		t.Errorf("settled %+v %v", s, err)
	}
}

func methodIs(got, want book.Method) error {
	if got != want {
		return fmt.Errorf("method %q", got)
	}
	return nil
}

// TestFilesAreStreamed: a file arrives byte for byte, whatever its size up to the limit, and a
// vault that refuses it early is heard.
func TestFilesAreStreamed(t *testing.T) {
	const size = 3 << 20
	var got int64
	var name string
	var early error
	client := NewClient(serve(t, counter{files: func(n string, file io.Reader) (err error) {
		if name = n; early != nil {
			return early
		}
		got, err = io.Copy(io.Discard, file)
		return err
	}}), "")
	file := func() io.Reader { return io.LimitReader(zeros{}, size) }
	if answer, err := client.ImportReturns(t.Context(), "bank 1&2 20261123-000006.ach", file()); err != nil || got != size || name != "bank 1&2 20261123-000006.ach" || answer.Name != name {
		t.Errorf("%d bytes of %q arrived: %+v %v", got, name, answer, err)
	}
	if c, err := client.Compare(t.Context(), 17, file()); err != nil || got != size || c.Ours != 17 {
		t.Errorf("%d bytes of a listing arrived: %+v %v", got, c, err)
	}
	early = &Error{CodeIntegrity, "line 3 is cut"}
	for range 5 {
		if _, err := client.ImportReturns(t.Context(), "bank.ach", io.LimitReader(zeros{}, 20*size)); codeOf(err) != CodeIntegrity {
			t.Errorf("refused early: %v", err)
		}
	}
	early = nil
	if _, err := client.ImportReturns(t.Context(), "bank.ach", io.LimitReader(zeros{}, maxFile+1)); err == nil {
		t.Error("a file over the limit was taken")
	}
}

type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

// TestReportRowsStream: rows come before the report, in order; an end without a report is an error.
func TestReportRowsStream(t *testing.T) {
	var asked ReportQuery
	var failure error
	client := NewClient(serve(t, counter{report: func(q ReportQuery, each func([]report.Payment) error) (report.Report, error) {
		asked = q
		for i := 0; each != nil && i < 3; i++ {
			if err := each([]report.Payment{{Number: uint64(2*i + 1), Reference: "<x>"}, {Number: uint64(2*i + 2)}}); err != nil {
				return report.Report{}, err
			}
		}
		return report.Report{Subject: "card-000017"}, failure
	}}), "")
	want := ReportQuery{Batch: 17, From: "2026-11-01", To: "2026-11-30", Merchant: "shop-1", Rows: true}
	var numbers []uint64
	each := func(rows []report.Payment) error {
		for _, r := range rows {
			numbers = append(numbers, r.Number)
		}
		return nil
	}
	r, err := client.Report(t.Context(), want, each)
	if err != nil || r.Subject != "card-000017" || asked != want || fmt.Sprint(numbers) != "[1 2 3 4 5 6]" {
		t.Errorf("report %+v, rows %v, asked %+v (%v)", r, numbers, asked, err)
	}
	want.Rows, numbers = false, nil
	if r, err := client.Report(t.Context(), want, each); err != nil || r.Subject == "" || numbers != nil {
		t.Errorf("without rows: %+v %v %v", r, numbers, err)
	}
	full := errors.New("the disk is full")
	if _, err := client.Report(t.Context(), ReportQuery{Batch: 17, Rows: true}, func([]report.Payment) error { return full }); !errors.Is(err, full) {
		t.Errorf("where rows cannot be kept: %v", err)
	}
	failure = &Error{CodeNotFound, "there is no batch"}
	if _, err := client.Report(t.Context(), ReportQuery{Batch: 18}, each); codeOf(err) != CodeNotFound {
		t.Errorf("no batch: %v", err)
	}
}

func TestPolicyAndResolution(t *testing.T) {
	day, percent, storage, name, payees := int64(100), 0, false, "CORNER SHOP", book.PayeesConsumer
	want := PolicyChange{Limits: []LimitChange{{Currency: "USD", Day: &day}}, RefundPercent: &percent, Storage: &storage, CompanyName: &name, Payees: &payees}
	var got PolicyChange
	var actor operator.Actor
	var resolution Resolution
	client := NewClient(serve(t, counter{
		policy: func(_ string, change PolicyChange) error { got = change; return nil },
		resolve: func(a operator.Actor, r Resolution) (Payment, error) {
			actor, resolution = a, r
			return Payment{ID: r.ID}, nil
		},
	}), "the acquirer's clerk said so")
	if m, err := client.SetPolicy(t.Context(), "shop-1", want); err != nil || m.ID != "shop-1" || !reflect.DeepEqual(got, want) {
		t.Errorf("policy %+v (%v), want %+v", got, err, want)
	}
	r := Resolution{Merchant: "shop-1", ID: "one", As: "reversed"}
	if p, err := client.Resolve(t.Context(), r); err != nil || p.ID != "one" || resolution != r || !strings.Contains(actor.Purpose, "clerk") {
		t.Errorf("resolution %+v by %+v: %v", resolution, actor, err)
	}
}
