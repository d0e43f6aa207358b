package daemon

import (
	"errors"
	"fmt"
	"testing"

	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/ledger"
)

// TestNothingLeavesAfterAFailure: once the process must end, no message of any kind reaches the line.
func TestNothingLeavesAfterAFailure(t *testing.T) {
	f := &failure{failed: make(chan struct{})}
	a := halting{sentNothing{}, f}
	f.fail(fmt.Errorf("the first: %w", ledger.ErrUnknownOutcome))
	f.fail(errors.New("the second"))
	if _, open := <-f.failed; open || !errors.Is(f.reason(), ledger.ErrUnknownOutcome) {
		t.Errorf("the reason is %v", f.reason())
	}
	ctx := t.Context()
	d := &Daemon{failure: failure{failed: make(chan struct{})}}
	d.failure.fail(ledger.ErrUnknownOutcome)
	if st, err := d.State(); !errors.Is(err, ledger.ErrUnknownOutcome) || st.Acquirer != "" {
		t.Errorf("its status is %+v, %v", st, err)
	}
	_, authorise := a.Authorise(ctx, acquirer.Request{})
	_, capture := a.Capture(ctx, acquirer.Capture{})
	_, reverse := a.Reverse(ctx, acquirer.Reversal{})
	_, reconcile := a.Reconcile(ctx, acquirer.Totals{})
	for i, err := range []error{authorise, capture, reverse, reconcile} {
		if !errors.Is(err, acquirer.ErrNotSent) || !errors.Is(err, ledger.ErrUnknownOutcome) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if a.Ready() == nil {
		t.Error("the line counts as ready")
	}
}

// sentNothing is an acquirer that must not be asked.
type sentNothing struct{ acquirer.Acquirer }
