package book

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"nightdrop/shared/envelope"
)

// told is what an event tells a merchant.
func (b *book) told(body Body) (envelope.Status, envelope.Code) {
	b.t.Helper()
	issued := b.must(shop, body)
	if issued == nil {
		b.t.Fatalf("%s tells nothing", body.Kind())
	}
	return issued.Facts.Status, issued.Facts.Code
}

func (b *book) wantTold(body Body, status envelope.Status, code envelope.Code) {
	b.t.Helper()
	if s, c := b.told(body); s != status || c != code {
		b.t.Errorf("%s %+v tells %s %s, want %s %s", body.Kind(), body, s, c, status, code)
	}
}

// TestAnswersToRequests: 00 approves by itself and other codes where the event says so; a code that
// was not taken stays with what is unknown.
func TestAnswersToRequests(t *testing.T) {
	b := newBook(t)
	for n := 1; n <= 5; n++ {
		b.inStage(n, StageReceived)
		b.must(shop, AuthorisationIntended{ID: id(n), Trace: b.trace(), Batch: 1})
	}
	b.wantTold(AuthorisationAnswered{ID: id(1), Code: "iso-08", Approval: "A1", Approved: true}, envelope.StatusApproved, "iso-08")
	// as logs of before have it
	b.wantTold(AuthorisationAnswered{ID: id(2), Code: "iso-08"}, envelope.StatusDeclined, "iso-08")
	b.wantTold(AuthorisationUnanswered{ID: id(3), Code: "iso-68"}, envelope.StatusUnknown, "iso-68")
	b.wantTold(AuthorisationUnanswered{ID: id(4)}, envelope.StatusUnknown, envelope.CodeNoAnswer)
	for _, code := range []envelope.Code{envelope.CodeLate, "ach-R01", "iso-0", "iso-0000", "iso-a1", "00"} {
		b.misfits(shop, AuthorisationUnanswered{ID: id(5), Code: code})
	}
	b.must(shop, ReversalIntended{ID: id(3), Trace: b.trace(), Try: 1})
	b.wantTold(ReversalAnswered{ID: id(3), Code: "iso-94"}, envelope.StatusReversed, "iso-94")
	if total := Batches.In(b.State)[1].Totals; len(total) != 1 || total[0].Count != 1 {
		t.Errorf("the batch has %+v, want the sale that 08 approved", total)
	}
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
}

// TestAnswersToCaptures: what stands is booked, whatever the code; what does not is repeated with
// the code in the log, or left to a person.
func TestAnswersToCaptures(t *testing.T) {
	b := newBook(t)
	b.card(original, envelope.OpAuthorize, 0)
	captures := []int{1, 2, 3}
	for _, n := range captures {
		b.must(shop, order(n, envelope.OpCapture, 30, original))
		b.must(shop, b.captureOf(n))
	}
	again := b.captureOf(1).(CaptureIntended)
	again.Code = "iso-91"
	b.must(shop, again)
	if got := b.payment(1); got.Answer != "iso-91" || got.First != "iso-91" || got.Tries != 2 || got.Stage != StageCapturing {
		t.Errorf("repeated after 91: %+v", got)
	}
	b.wantTold(CaptureAnswered{ID: id(1), Code: "iso-94", Stands: true}, envelope.StatusCaptured, "iso-94")
	b.wantTold(OutcomeUnknown{ID: id(2), Code: "iso-25"}, envelope.StatusUnknown, "iso-25")
	b.must(shop, CaptureAbandoned{ID: id(2), Tries: 1, Code: "iso-25"})
	if got := b.payment(2); got.Answer != "iso-25" || got.First != "iso-25" || got.Stage != StageManual {
		t.Errorf("left to a person: %+v", got)
	}
	if got := b.payment(original); got.Captured != 30 || got.Capturing != 90 {
		t.Errorf("the authorisation has %d captured, %d under way", got.Captured, got.Capturing)
	}
	// as logs of before have it
	b.wantTold(CaptureAnswered{ID: id(3), Code: "iso-94"}, envelope.StatusDeclined, "iso-94")
	b.misfits(shop, CaptureAbandoned{ID: id(2), Tries: 1, Code: "no-answer"})
	if err := b.Verify(); err != nil {
		t.Error(err)
	}
}

// TestRetired: an answer to an advice declines nothing in what is written now.
func TestRetired(t *testing.T) {
	for body, retired := range map[Body]bool{
		CaptureAnswered{Code: "iso-94"}: true, CaptureAnswered{Code: "iso-05"}: true, CaptureAnswered{Code: "iso-94", Stands: true}: false,
		CaptureAnswered{Code: "iso-00"}: false, AuthorisationAnswered{Code: "iso-05"}: false, ReversalAnswered{Code: "iso-94"}: false,
	} {
		if err := Retired(body); errors.Is(err, ErrTransition) != retired {
			t.Errorf("%s %+v: %v, want it retired %v", body.Kind(), body, err, retired)
		}
	}
}

// TestOptionalMembersOfAnswers keeps their permanent form; without them events are as they were.
func TestOptionalMembersOfAnswers(t *testing.T) {
	trace := Trace{STAN: 1, RRN: "632400000001", Terminal: "TERM0001", Acceptor: "SHOP", Sent: envelope.At(began)}
	const traceText = `{"stan":1,"rrn":"632400000001","terminal":"TERM0001","acceptor":"SHOP","sent":"2026-11-20T10:00:00Z"}`
	for text, body := range map[string]Body{
		`{"id":"x","code":"iso-08","approval":"A1","approved":true}`:             AuthorisationAnswered{ID: "x", Code: "iso-08", Approval: "A1", Approved: true},
		`{"id":"x","code":"iso-68"}`:                                             AuthorisationUnanswered{ID: "x", Code: "iso-68"},
		`{"id":"x","trace":` + traceText + `,"try":2,"code":"iso-91"}`:           ReversalIntended{ID: "x", Trace: trace, Try: 2, Code: "iso-91"},
		`{"id":"x","tries":1,"code":"iso-12"}`:                                   ReversalAbandoned{ID: "x", Tries: 1, Code: "iso-12"},
		`{"id":"x","trace":` + traceText + `,"batch":7,"try":2,"code":"iso-96"}`: CaptureIntended{ID: "x", Trace: trace, Batch: 7, Try: 2, Code: "iso-96"},
		`{"id":"x","code":"iso-94","stands":true}`:                               CaptureAnswered{ID: "x", Code: "iso-94", Stands: true},
		`{"id":"x","tries":2,"code":"iso-25"}`:                                   CaptureAbandoned{ID: "x", Tries: 2, Code: "iso-25"},
		`{"id":"x","code":"iso-25"}`:                                             OutcomeUnknown{ID: "x", Code: "iso-25"},
		`{"id":"x"}`:                                                             OutcomeUnknown{ID: "x"},
		`{"id":"x","tries":6}`:                                                   CaptureAbandoned{ID: "x", Tries: 6},
		`{"id":"x","code":"iso-00"}`:                                             CaptureAnswered{ID: "x", Code: "iso-00"},
		`{"id":"x","trace":` + traceText + `,"batch":7,"try":1}`:                 CaptureIntended{ID: "x", Trace: trace, Batch: 7, Try: 1},
	} {
		event := Event{Time: envelope.At(began), Actor: "vault", Origin: "host", Merchant: shop, Body: body}
		want := `{"kind":"` + body.Kind() + `","time":"2026-11-20T10:00:00Z","actor":"vault","origin":"host","merchant":"shop-1","body":` + text + `}`
		written, err := event.MarshalJSON()
		if err != nil || string(written) != want {
			t.Errorf("written as\n%s, not\n%s (%v)", written, want, err)
		}
		var read Event
		if err := json.Unmarshal(written, &read); err != nil || !reflect.DeepEqual(read, event) {
			t.Errorf("%s reads as %+v (%v)", written, read, err)
		}
	}
}
