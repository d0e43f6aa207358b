package channel

import (
	"errors"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/waittest"
)

// publishResults sends results from..to (inclusive) of a merchant; the note is its serial, and
// three share an id.
func publishResults(t *testing.T, v *Vault, merchant string, from, to uint64) {
	t.Helper()
	var acks []Ack
	for serial := from; serial <= to; serial++ {
		acks = append(acks, v.PublishResult(merchant, serial, resultID(serial), textf("%s %d", merchant, serial)))
	}
	for _, ack := range acks {
		mustAck(t, ack)
	}
}

func resultID(serial uint64) string { return string(textf("id-%d", serial/3)) }

// wantResults checks that results are the serials from..to of a merchant, in order; none when to <
// from.
func wantResults(t *testing.T, r *Relay, merchant string, after uint64, limit int, from, to uint64) {
	t.Helper()
	found, err := r.Results(t.Context(), merchant, after, limit)
	if err != nil {
		t.Fatalf("results after %d: %v", after, err)
	}
	var want []string
	for serial := from; serial <= to; serial++ {
		want = append(want, string(textf("%s %d", merchant, serial)))
	}
	var got []string
	for _, note := range found {
		got = append(got, string(note))
	}
	if strings.Join(got, ",") != strings.Join(want, ",") {
		t.Fatalf("results after %d, limit %d: %d: %q, want %q", after, limit, len(got), got, want)
	}
}

// forgetResults removes the head of the stream up to and with a sequence, as age does.
func (s *site) forgetResults(t *testing.T, sequence uint64) {
	t.Helper()
	var done struct {
		Success bool `json:"success"`
	}
	err := s.keepers.relay.call(t.Context(), purgeSubject(streamResults), map[string]uint64{"seq": sequence + 1}, &done)
	if err != nil || !done.Success {
		t.Fatalf("purge results: %v", err)
	}
}

func TestResultsComeInOrderOfSerial(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	wantResults(t, r, "shop", 0, 100, 1, 0)
	publishResults(t, v, "shop", 1, 250)
	publishResults(t, v, "shop-b", 1, 5)
	wantResults(t, r, "shop", 0, 100, 1, 100)
	wantResults(t, r, "shop", 100, 100, 101, 200)
	wantResults(t, r, "shop", 200, 100, 201, 250)
	wantResults(t, r, "shop", 250, 100, 1, 0)
	wantResults(t, r, "shop", 9_007_199_254_740_991, 100, 1, 0)
	wantResults(t, r, "shop", 17, 3, 18, 20)
	wantResults(t, r, "shop", 0, 1_000_000, 1, 100)
	wantResults(t, r, "shop-b", 0, 100, 1, 5)

	// Published again, the same bytes under the same serials: they move to the end of the stream,
	// not of the order.
	publishResults(t, v, "shop", 3, 7)
	wantResults(t, r, "shop", 0, 100, 1, 100)
	wantResults(t, r, "shop", 250, 100, 1, 0)
}

func TestResultsOfOneEnvelope(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	publishResults(t, v, "shop", 1, 30)
	publishResults(t, v, "shop-b", 1, 30)
	publishResults(t, v, "shop", 9, 9) // again: it stays the oldest of its id
	found, err := r.ResultsOf(t.Context(), "shop", "id-3")
	if err != nil || len(found) != 3 || string(found[0]) != "shop 9" || string(found[2]) != "shop 11" {
		t.Fatalf("results of id-3: %q, %v", found, err)
	}
	if found, err := r.ResultsOf(t.Context(), "shop", "id-99"); err != nil || len(found) != 0 {
		t.Fatalf("results of an unknown id: %q, %v", found, err)
	}
}

func TestResultsBeginAtTheOldestThatIsLeft(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	publishResults(t, v, "other", 1, 3)
	publishResults(t, v, "shop", 1, 600) // sequences 4 to 603
	s.forgetResults(t, 453)              // serials 1 to 450
	wantResults(t, r, "shop", 0, 100, 451, 550)
	wantResults(t, r, "shop", 449, 100, 451, 549)
	wantResults(t, r, "shop", 550, 100, 551, 600)
	wantResults(t, r, "shop", 600, 100, 1, 0)
	wantResults(t, r, "other", 0, 100, 1, 0)

	// Serial 460, published again, is all that is left of the first 520 when these have aged out.
	publishResults(t, v, "shop", 460, 460)
	s.forgetResults(t, 523)
	wantResults(t, r, "shop", 0, 1, 460, 460)
	wantResults(t, r, "shop", 455, 10, 460, 460)
	publishResults(t, v, "shop", 601, 601)
	wantResults(t, r, "shop", 460, 10, 521, 530)

	// All are gone but one that was published again.
	publishResults(t, v, "shop", 470, 470)
	s.forgetResults(t, 605)
	wantResults(t, r, "shop", 0, 100, 470, 470)
	wantResults(t, r, "shop", 470, 100, 1, 0)
}

func TestHeightsAreBelievedForAWhile(t *testing.T) {
	h, err := newHeights()
	if err != nil {
		t.Fatal(err)
	}
	if h.reached("shop", 7) {
		t.Fatal("an unknown merchant's height is known")
	}
	h.set("shop", 7)
	for i := range heightUses {
		if h.reached("shop", 6) || !h.reached("shop", 7) {
			t.Fatalf("use %d: wrong", i)
		}
	}
	if h.reached("shop", 7) {
		t.Fatal("believed for ever")
	}
}

func TestArrivalsWakeThoseWhoWait(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	mine, stopMine := r.ResultArrived("shop")
	also, stopAlso := r.ResultArrived("shop")
	other, stopOther := r.ResultArrived("shop-b")
	publishResults(t, v, "shop", 1, 20)
	waittest.Receive(t, "my wake", mine)
	wantResults(t, r, "shop", 0, 1, 1, 1) // it is there when the wake comes
	waittest.Receive(t, "the other waiter's wake", also)
	select {
	case <-other:
		t.Fatal("another merchant's waiter was woken")
	case <-time.After(50 * time.Millisecond):
	}
	for _, stop := range []func(){stopMine, stopMine, stopAlso, stopOther} {
		stop()
	}
	if left := len(r.arrivals.waiting); left != 0 {
		t.Fatalf("%d merchants are still waited for", left)
	}
}

func TestSubjectsRefuseWildcards(t *testing.T) {
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	for _, bad := range []string{"", "*", ">", "a.b", "a b", "A", "é", "a\r\nb", strings.Repeat("a", 65)} {
		_, results := r.Results(t.Context(), bad, 0, 1)
		_, of := r.ResultsOf(t.Context(), "shop", bad)
		for name, err := range map[string]error{
			"relay":    <-r.PublishBag(bad, "m", nil),
			"merchant": <-v.PublishResult(bad, 1, "id", nil),
			"id":       <-v.PublishResult("shop", 1, bad, nil),
			"results":  results,
			"of":       of,
			"notice":   v.PublishNotice(t.Context(), Notice(bad), nil),
		} {
			if !errors.Is(err, ErrSubject) {
				t.Errorf("%s %q: %v, want a subject error", name, bad, err)
			}
		}
	}
	if err := <-v.PublishResult("shop", 0, "id", nil); !errors.Is(err, ErrSubject) {
		t.Errorf("serial 0: %v", err)
	}
}
