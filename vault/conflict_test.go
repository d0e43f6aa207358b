package main

import (
	"fmt"
	"testing"

	"github.com/google/uuid"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// TestTheNinthConflictIsTheLastThatIsTold: of twelve other instructions under a sale's id nine are
// answered, and a finding reports the ninth.
func TestTheNinthConflictIsTheLastThatIsTold(t *testing.T) {
	s := newSite(t)
	stop := s.serve()
	s.enrol()
	sale := draft{id: uuid.NewString(), account: aCard,
		order: `{"operation":"sale","reference":"first","amount":1999,"currency":"USD"}`}
	s.send(sale)
	s.wait("the sale", func() bool {
		var payments []control.Payment
		s.json(&payments, "payment", "list", "--merchant", "shop-1", "--status", "approved")
		return len(payments) == 1
	})
	told := func() int {
		results, err := s.relay.Results(t.Context(), "shop-1", 0, 100)
		s.must(err)
		return len(results) - 1 // without the approval
	}
	for n := range book.MaxConflicts + 3 {
		other := sale
		other.order = fmt.Sprintf(`{"operation":"sale","reference":"other %d","amount":%d,"currency":"USD"}`, n, 100+n)
		s.send(other)
	}
	last := s.send(draft{account: aCard, // is answered after them
		order: `{"operation":"sale","reference":"another","amount":5,"currency":"XXX"}`})
	s.wait("the last answer", func() bool {
		code, _ := s.command("payment", "show", "shop-1/"+last[0])
		return code == 0
	})
	s.wait("nine conflicts and the last answer", func() bool { return told() == 10 })
	var st control.Status
	s.json(&st, "status")
	if st.Findings[book.FindingConflicts] != 1 {
		t.Errorf("findings %v", st.Findings)
	}
	s.verifyLog()
	stop()
	s.checkLedger()
}
