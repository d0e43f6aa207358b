package ledger

import (
	"errors"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// intended takes payments and gives each a trace number, which it returns.
func (v *vault) intended(n int) (ids []string, traces []book.Trace) {
	v.t.Helper()
	for range n {
		id := v.newID()
		v.commit(func(tx *Tx) error {
			if err := receive(tx, shop, id); err != nil {
				return err
			}
			trace, err := v.next(tx)
			if err != nil {
				return err
			}
			m, _, err := tx.Merchant(shop)
			if err != nil {
				return err
			}
			ids, traces = append(ids, id), append(traces, trace)
			_, err = tx.Append(vaultEvent(shop, book.AuthorisationIntended{ID: id, Trace: trace, Batch: m.OpenBatch}))
			return err
		})
	}
	return ids, traces
}

func (v *vault) next(tx *Tx) (book.Trace, error) {
	state, err := tx.Vault()
	if err != nil {
		return book.Trace{}, err
	}
	return state.NextTrace([]string{"TERM0001"}, "ACCEPTOR1", tx.Now(), tx.HoldsTrace)
}

func stans(traces []book.Trace) (all []uint32) {
	for _, t := range traces {
		all = append(all, t.STAN)
	}
	return all
}

// TestOpenMessagesHoldTheirTraceNumbers over two midnights: of three requests of Friday the second
// is answered, and on Saturday, Sunday and after a restart nobody else gets the numbers of the
// others, until they are answered too.
func TestOpenMessagesHoldTheirTraceNumbers(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error {
		_, err := tx.Append(vaultEvent(shop, book.BatchOpened{Batch: 1, Method: book.MethodCard}))
		return err
	})
	friday, first := v.intended(3)
	v.answer(friday[1])
	v.clock.Pass(24 * time.Hour)
	_, second := v.intended(2) // these stay open as well
	if got := stans(second); got[0] != 2 || got[1] != 4 {
		t.Errorf("on Saturday %v were given while 1 and 3 of Friday are open", got)
	}
	v.close()
	v.open()
	v.clock.Pass(24 * time.Hour)
	third, traces := v.intended(2)
	if got := stans(traces); got[0] != 5 || got[1] != 6 {
		t.Errorf("on Sunday %v were given while 1, 2, 3 and 4 are open", got)
	}
	v.answer(friday[0], friday[2], third[0])
	v.clock.Pass(24 * time.Hour)
	if _, traces = v.intended(3); traces[0].STAN != 1 || traces[1].STAN != 3 || traces[2].STAN != 5 {
		t.Errorf("on Monday %v were given while 2, 4 and 6 are open", stans(traces))
	}
	seen := map[string]bool{}
	for _, t := range append(append(first, second...), traces...) {
		seen[t.RRN] = true
	}
	if len(seen) != 8 {
		t.Errorf("reference numbers were given twice: %v", seen)
	}
}

// TestWhatIsRolledBackHoldsNothing: an answer that is not committed gives no trace number free, nor
// does an intent take one.
func TestWhatIsRolledBackHoldsNothing(t *testing.T) {
	v := newVault(t)
	v.commit(func(tx *Tx) error {
		_, err := tx.Append(vaultEvent(shop, book.BatchOpened{Batch: 1, Method: book.MethodCard}))
		return err
	})
	ids, _ := v.intended(1)
	broken := errors.New("broken off")
	err := v.Commit(t.Context(), func(tx *Tx) error {
		if err := answered(tx, ids[0]); err != nil {
			return err
		}
		if err := tx.writeBack(); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	v.clock.Pass(24 * time.Hour)
	if _, traces := v.intended(1); traces[0].STAN != 2 {
		t.Errorf("number %d was given while 1 is open", traces[0].STAN)
	}
}

func answered(tx *Tx, id string) error {
	_, err := tx.Append(vaultEvent(shop, book.AuthorisationAnswered{ID: id, Code: envelope.ISOCode("05")}))
	return err
}

func (v *vault) answer(ids ...string) {
	v.t.Helper()
	for _, id := range ids {
		v.commit(func(tx *Tx) error { return answered(tx, id) })
	}
}
