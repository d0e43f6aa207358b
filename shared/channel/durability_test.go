package channel

import (
	"errors"
	"os"
	"testing"

	"nightdrop/shared/waittest"
)

func TestEverythingSurvivesARestart(t *testing.T) {
	t.Parallel()
	s := startSite(t)
	r, v := s.relay(t), s.vault(t)
	bags, ended := collectBags(t, v, 0)
	mustAck(t, r.PublishBag("relay-a", "m1", []byte("before")))
	mustAck(t, v.PublishResult("shop", 1, "id", []byte("result")))
	mustAck(t, v.PublishJournal(3, "j1", []byte("entries")))
	if err := v.PublishNotice(t.Context(), NoticeMembers, []byte("members")); err != nil {
		t.Fatal(err)
	}
	waittest.Receive(t, "the bag before", bags)
	r.Close()
	s.close(t)
	waittest.For(t, "the vault to notice", func() bool { return v.writes.up() != nil })
	if err := waittest.Receive(t, "an answer", v.PublishResult("shop", 2, "id", nil)); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("without a broker: %v, want unavailable", err)
	}
	s.start(t)
	r = s.relay(t)
	waittest.For(t, "the vault to reconnect", v.Connected)
	if m, err := v.BagAt(t.Context(), 1); err != nil || string(m.Data) != "before" {
		t.Fatalf("bag 1: %q, %v", m.Data, err)
	}
	mustAck(t, r.PublishBag("relay-a", "m2", []byte("after")))
	if m := waittest.Receive(t, "the bag after", bags); string(m.Data) != "after" {
		t.Fatalf("after the restart came %q", m.Data)
	}
	if found, err := r.Results(t.Context(), "shop", 0, 10); err != nil || len(found) != 1 {
		t.Fatalf("results: %q, %v", found, err)
	}
	if info, err := v.writes.info(t.Context(), streamJournal); err != nil || info.State.Last != 1 {
		t.Fatalf("journal: %+v, %v", info, err)
	}
	select {
	case err := <-ended:
		t.Fatalf("Bags ended: %v", err)
	default:
	}
}

// copyTree copies a store as a restored backup would.
func copyTree(t *testing.T, from, to string) {
	t.Helper()
	if err := os.RemoveAll(to); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

func TestBagsNoticeAStreamThatLostItsTail(t *testing.T) {
	t.Parallel()
	for name, after := range map[string]struct {
		old    bool // the store goes back to an old copy; else it is empty
		refill int  // and is filled with other bags before the vault comes back
	}{
		"old copy":                      {old: true},
		"old copy, filled up by others": {old: true, refill: 30},
		"empty":                         {},
		"empty, filled up by others":    {refill: 30},
	} {
		t.Run(name, func(t *testing.T) {
			s := startSite(t)
			publish := func(from, to int) {
				r := s.relay(t)
				for i := from; i < to; i++ {
					mustAck(t, r.PublishBag("relay-a", "", textf("%s bag %d", t.Name(), i)))
				}
				r.Close()
			}
			publish(0, 10)
			s.close(t)
			copyTree(t, s.config.Dir, s.file("copy"))
			s.start(t)
			v := s.vault(t)
			bags, ended := collectBags(t, v, 5)
			publish(10, 20)
			for i := 4; i < 20; i++ {
				waittest.Receive(t, "a bag", bags)
			}
			s.close(t)
			if after.old {
				copyTree(t, s.file("copy"), s.config.Dir)
			} else if err := os.RemoveAll(s.config.Dir); err != nil {
				t.Fatal(err)
			}
			if after.refill > 0 { // while the vault cannot reach the broker
				listen := s.config.Listen
				s.config.Listen = anyPort
				s.start(t)
				publish(100, 100+after.refill)
				s.close(t)
				s.config.Listen = listen
			}
			s.start(t)
			if err := waittest.Receive(t, "Bags to end", ended); !errors.Is(err, ErrRewound) {
				t.Fatalf("Bags ended with %v, want rewound", err)
			}
		})
	}
}

func TestNoBrokerIsUnavailable(t *testing.T) {
	s := newSite(t)
	s.start(t)
	s.close(t) // its address is known and nobody listens
	v, err := DialVault(t.Context(), s.options("vault"))
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	r, err := DialRelay(t.Context(), s.options("relay"))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	checks := map[string]error{
		"bag":     <-r.PublishBag("relay-a", "m", []byte("bag")),
		"ready":   r.Ready(),
		"result":  <-v.PublishResult("shop", 1, "id", []byte("result")),
		"journal": <-v.PublishJournal(1, "j", []byte("entry")),
		"notice":  v.PublishNotice(t.Context(), NoticePosition, []byte("note")),
		"purge":   v.PurgeBags(t.Context(), 10),
	}
	_, checks["results"] = r.Results(t.Context(), "shop", 0, 1)
	_, checks["results of"] = r.ResultsOf(t.Context(), "shop", "id")
	_, checks["bag at"] = v.BagAt(t.Context(), 1)
	for name, err := range checks {
		if !errors.Is(err, ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
	}
}
