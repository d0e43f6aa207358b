package main

import (
	"slices"
	"strings"
	"testing"

	"nightdrop/vault/internal/control"
)

// The status says how full the channel is and who has more than its share.
func TestStatusTellsOfTheStreams(t *testing.T) {
	s := newSite(t)
	s.configure(map[string]string{"payments_per_day = 0": "payments_per_day = 10000"})
	stop := s.serve()
	defer stop()
	s.enrol()
	var status control.Status
	s.wait("the streams to be looked at", func() bool {
		status = control.Status{}
		s.json(&status, "status")
		return len(status.Streams) == 3 && !slices.ContainsFunc(status.Streams, func(s control.Stream) bool { return s.MaxBytes == 0 })
	})
	for _, stream := range status.Streams {
		if len(stream.Notes) == 0 || !strings.Contains(stream.Notes[0], "too small for") || !strings.Contains(stream.Notes[0], "at the relay") {
			t.Errorf("%s, %d bytes: %q", stream.Name, stream.MaxBytes, stream.Notes)
		}
	}
	if code, out := s.command("status"); code != 0 || !strings.Contains(out, "stream RESULTS") || !strings.Contains(out, "too small for 30 days at 20000 results a day") {
		t.Errorf("status says\n%s", out)
	}
	var table strings.Builder
	printStreams(&table, control.Status{ResultShares: &control.ResultShares{Results: 191, Over: []control.Holding{{Merchant: "shop-1", Results: 480}},
		Purged: []control.Holding{{Merchant: "shop-1", Results: 1200}}}})
	for _, want := range []string{"shop-1: 480 results, of 191 for each merchant", "shop-1: 1200 of its oldest results; vault results resend shop-1"} {
		if !strings.Contains(table.String(), want) {
			t.Errorf("the table lacks %q:\n%s", want, table.String())
		}
	}
}
