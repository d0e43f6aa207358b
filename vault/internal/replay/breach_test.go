package replay

import (
	"errors"
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

// A vault of before enrolled two merchants with one acceptor: the replay reports it, at the entry,
// and folds what follows.
func TestAReplayReportsAMerchantOfBeforeThatBreaksARule(t *testing.T) {
	v := newVault(t)
	twin := book.MerchantAdded{Name: "Twin", Verifiers: []string{vaulttest.Signer(t, "twin-1").Verifier().String()},
		ReplyKeys: []string{"reply-00000001-x25519+AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}, Acceptor: "ACCEPTOR1", Currencies: []string{"USD"}}
	at := v.tail.Size()
	v.do("twin-1", twin)
	v.month()
	r, state, err := v.replay(v.export(), given{})
	v.must(err)
	if r.Count != 1 || r.First != at || !strings.Contains(r.Findings[0].What, "acceptor ACCEPTOR1 is merchant "+shop) {
		t.Errorf("%d findings from entry %d: %v", r.Count, r.First, r.Findings)
	}
	if !errors.Is(r.Err(), ErrDiverged) || r.Through != v.tail.Size() {
		t.Errorf("%v, folded through %d of %d", r.Err(), r.Through, v.tail.Size())
	}
	same(t, state, v.state)

	v = newVault(t)
	twin.Acceptor = "ACCEPTOR2"
	v.do("twin-1", twin)
	r, _, err = v.replay(v.export(), given{})
	v.must(err)
	if err := r.Err(); err != nil {
		t.Errorf("a merchant that breaks no rule: %v", err)
	}
}
