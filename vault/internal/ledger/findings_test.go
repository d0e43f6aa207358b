package ledger

import (
	"slices"
	"testing"

	"nightdrop/vault/internal/book"
)

func found(f book.IntegrityFound) book.Event {
	return book.Event{Actor: "vault", Origin: "channel", Body: f}
}

// TestFindingsAreRemembered: each has a number and its entry of the log, and a person's word stays
// until it is taken back.
func TestFindingsAreRemembered(t *testing.T) {
	v := newVault(t)
	forked := book.IntegrityFound{Finding: book.FindingBagForked, Relay: "relay-1", Run: "00112233445566778899aabbccddeeff", Number: 3}
	many := book.IntegrityFound{Finding: book.FindingUnknownRelay, Count: 20}
	silent := book.IntegrityFound{Finding: book.FindingHostSilent, Detail: "10 messages"}
	answers := book.IntegrityFound{Finding: book.FindingHostAnswers}
	for _, f := range []book.IntegrityFound{forked, many, silent, answers, forked} {
		v.commit(func(tx *Tx) error { _, err := tx.Append(found(f)); return err })
	}
	word := func(number uint64, withdrawn bool) error {
		return v.Commit(t.Context(), func(tx *Tx) error {
			_, err := tx.Append(book.Event{Actor: "user:eve", Origin: "socket", Purpose: "ticket 4711",
				Body: book.FindingAcknowledged{Number: number, Withdrawn: withdrawn}})
			return err
		})
	}
	for _, step := range []struct {
		number    uint64
		withdrawn bool
		taken     bool
		open      uint64
	}{
		{2, false, true, 3}, {2, false, false, 3}, {23, false, false, 3}, {26, false, false, 3}, {0, false, false, 3}, {24, true, false, 3},
		{2, true, true, 23}, {1, false, true, 22}, {22, false, true, 21}, {24, false, true, 20},
	} {
		if err := word(step.number, step.withdrawn); (err == nil) != step.taken {
			t.Errorf("finding %d, withdrawn %v: %v", step.number, step.withdrawn, err)
		}
		v.view(func(tx *Tx) error {
			state, err := tx.Vault()
			if got := state.OpenFindings(); got != step.open {
				t.Errorf("after finding %d %d are open, want %d", step.number, got, step.open)
			}
			return err
		})
	}
	v.close()
	v.open()
	v.view(func(tx *Tx) error {
		var numbers []uint64
		err := tx.Findings(0, func(f book.Found) error {
			numbers = append(numbers, f.Number)
			index, err := tx.FindingEntry(f)
			if err != nil {
				return err
			}
			e, err := tx.LogEntry(uint64(index))
			if err == nil && e.Event.Body != book.Body(f.What) {
				t.Errorf("entry %d does not tell of finding %d", index, f.Number)
			}
			return err
		})
		if want := []uint64{24, 23, 22, 2, 1}; !slices.Equal(numbers, want) {
			t.Errorf("findings %d, want %d", numbers, want)
		}
		return err
	})
	if err := v.Check(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
