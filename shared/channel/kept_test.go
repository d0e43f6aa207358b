package channel

import (
	"testing"
)

// What was published again last says nothing of how far the results go, nor of which comes next:
// readers go by serials.
func TestReadersGoBySerialsWhateverWasPublishedLast(t *testing.T) {
	s := startSite(t)
	v := s.vault(t)
	publishResults(t, v, "shop-1", 600, 620)
	publishResults(t, v, "shop-1", 300, 310) // again, and nothing after it
	publishResults(t, v, "shop-1", 20, 25)
	r := s.relay(t)
	wantResults(t, r, "shop-1", 400, 100, 600, 620)
	wantResults(t, r, "shop-1", 30, 100, 300, 310) // the next, though 600 stands before it
	wantResults(t, r, "shop-1", 0, 100, 20, 25)
	wantResults(t, r, "shop-1", 620, 100, 1, 0)
	publishResults(t, v, "shop-1", 800, 801)
	publishResults(t, v, "shop-1", 21, 21)
	wantResults(t, r, "shop-1", 620, 100, 800, 801)
}

// The vault asks which results of a merchant RESULTS holds, and hears where the acks went.
func TestTheVaultSeesWhichResultsAreKept(t *testing.T) {
	s := startSite(t)
	v := s.vault(t)
	publishResults(t, v, "shop-1", 1, 30)
	publishResults(t, v, "shop-10", 1, 3)
	kept, err := v.KeptResults(t.Context(), "shop-1")
	if err != nil || kept.Results != 30 || len(kept.Serials) != 30 || !kept.Serials[1] || !kept.Serials[30] {
		t.Fatalf("%d results, %v", kept.Results, err)
	}
	s.forgetResults(t, 10)
	if kept, err = v.KeptResults(t.Context(), "shop-1"); err != nil || kept.Results != 20 || kept.Serials[10] || !kept.Serials[11] {
		t.Fatalf("%d results, %v", kept.Results, err)
	}
	if kept, err = v.KeptResults(t.Context(), "shop-2"); err != nil || kept.Results != 0 || kept.Serials == nil {
		t.Fatalf("another: %+v, %v", kept, err)
	}
	if acked := v.ResultsAcked(); acked != (Acked{First: 1, Last: 33}) {
		t.Errorf("acked %+v", acked)
	}
	room, err := v.ResultsRoom(t.Context())
	if err != nil || room.Last != 33 || room.First != 11 || room.Created.IsZero() || room.Oldest.IsZero() {
		t.Errorf("%+v, %v", room, err)
	}
}
