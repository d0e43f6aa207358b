package control

import (
	"context"
	"io"
	"strings"
	"testing"

	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/operator"
)

// corrector is a vault that takes differences and listings into batches.
type corrector struct {
	Vault
	batch  uint32
	actor  operator.Actor
	taken  Adjustment
	listed string
}

func (c *corrector) Adjust(_ context.Context, a operator.Actor, n uint32, d Adjustment) (Batch, error) {
	c.batch, c.actor, c.taken = n, a, d
	return Batch{Number: n}, nil
}

func (c *corrector) Agree(_ context.Context, a operator.Actor, n uint32, listing io.Reader) (Comparison, error) {
	text, err := io.ReadAll(listing)
	c.batch, c.actor, c.listed = n, a, string(text)
	return Comparison{Theirs: len(text)}, err
}

func TestAdjustmentsAndListingsOfBatches(t *testing.T) {
	v := &corrector{}
	client := NewClient(serve(t, v), "case 17")
	want := Adjustment{Total: book.Total{Currency: "EUR", Count: -1, Amount: -77}, Payment: "one", Evidence: strings.Repeat("ab", 32)}
	if b, err := client.Adjust(t.Context(), 17, want); err != nil || b.Number != 17 || v.taken != want || v.batch != 17 || v.actor.Purpose != "case 17" {
		t.Errorf("adjusted %+v: %+v by %+v, %v", b, v.taken, v.actor, err)
	}
	if c, err := client.Agree(t.Context(), 18, strings.NewReader("a listing")); err != nil || c.Theirs != 9 || v.batch != 18 || v.listed != "a listing" {
		t.Errorf("agreed %+v by %q, %v", c, v.listed, err)
	}
	if _, err := client.Adjust(t.Context(), 0, want); codeOf(err) != CodeUsage {
		t.Errorf("no batch: %v", err)
	}
}
