package main

import (
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// chain is the digests that the relay's results name and have, and whether they are an unbroken
// chain.
func (s *site) chain() (serials int, whole bool) {
	notes, err := s.relay.Results(s.t.Context(), "shop-1", 0, 100)
	if err != nil {
		return 0, false
	}
	previous := envelope.ZeroDigest
	for n, msg := range notes {
		r, err := envelope.Read[envelope.Result](msg)
		if err != nil || r.Value.Serial != uint64(n+1) || r.Value.Previous != previous {
			return n, false
		}
		previous = r.Digest()
	}
	return len(notes), true
}

// RESULTS vanishes from the relay's disk under a vault that had every ack: the shop's chain is made
// whole, by the same bytes, and people learn of it.
func TestLostResultsArePublishedAgainByTheDaemon(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	defer stop()
	s.enrol()
	s.post(100, 200, 900051)
	s.wait("three results", func() bool { n, _ := s.chain(); return n == 3 })
	s.post(300) // is published when those before it have their acks; its own may not come
	s.wait("a fourth", func() bool { n, _ := s.chain(); return n == 4 })
	before, err := s.relay.Results(t.Context(), "shop-1", 0, 100)
	s.must(err)

	s.relay.Close()
	s.must(s.broker.Close(context.Background()))
	streams, err := filepath.Glob(filepath.Join(s.channel.Dir, "jetstream", "*", "streams", "RESULTS"))
	s.must(err)
	if len(streams) != 1 {
		t.Fatalf("RESULTS is in %v", streams)
	}
	s.must(os.RemoveAll(streams[0]))
	s.runBroker()

	s.wait("the chain to be whole", func() bool { n, whole := s.chain(); return n == 4 && whole })
	after, err := s.relay.Results(t.Context(), "shop-1", 0, 100)
	s.must(err)
	if !slices.EqualFunc(before, after, slices.Equal) {
		t.Error("other bytes were published under the same serials")
	}
	var status control.Status
	s.json(&status, "status")
	if status.Findings[book.FindingResultsLost] != 1 {
		t.Errorf("findings %v", status.Findings)
	}
	lost := regexp.MustCompile("lost results since the unlock, [34] of them")
	noted := slices.ContainsFunc(status.Streams, func(st control.Stream) bool {
		return st.Name == "RESULTS" && lost.MatchString(strings.Join(st.Notes, "; "))
	})
	if !noted {
		t.Errorf("the status does not tell: %+v", status.Streams)
	}
	code, out := s.command("results", "resend", "shop-1", "--reason", "ticket 1")
	if code != 0 || !strings.Contains(out, "results 1 to 4 of 4") {
		t.Errorf("resend: %d, %s", code, out)
	}
}
