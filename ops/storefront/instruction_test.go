package main

import (
	"strings"
	"testing"

	"nightdrop/shared/envelope"
)

// TestEveryOperationTakesWhatTheVaultTakes tries every operation with every set of members: the
// command line and the vault's own rule agree.
func TestEveryOperationTakesWhatTheVaultTakes(t *testing.T) {
	names := []string{"amount", "currency", "token", "of", "descriptor", "account", "code"}
	taken := 0
	for _, op := range operations() {
		for set := range 1 << len(names) {
			i := instruction{order: envelope.Order{Operation: op, Reference: "order-1"}}
			for n, name := range names {
				if set&(1<<n) != 0 {
					i.fill(name)
				}
			}
			ours, theirs := i.check("--"), i.order.CheckMembers(i.account, i.code)
			if (ours == nil) != (theirs == nil) {
				t.Errorf("%s with %v: here %v, at the vault %v", op, i.given(), ours, theirs)
			}
			if ours == nil {
				taken++
			}
		}
	}
	// sale and authorize 2*2*2 each, refund and payout 2 each, the others 1 each.
	if want := 2*8 + 2*2 + 5; taken != want {
		t.Errorf("%d sets are taken, want %d", taken, want)
	}
}

func (i *instruction) fill(name string) {
	switch name {
	case "amount":
		i.order.Amount = 1999
	case "currency":
		i.order.Currency = "EUR"
	case "token":
		i.order.Token = "tok_" + strings.Repeat("a", 26)
	case "of":
		i.order.Of = "0198c0de-0000-7000-8000-000000000001"
	case "descriptor":
		i.order.Descriptor = "BOOKSHOP"
	case "account":
		i.account = true
	case "code":
		i.code = true
	}
}

func TestInstructionsSayWhatIsWrong(t *testing.T) {
	const id = "0198c0de-0000-7000-8000-000000000001"
	for want, order := range map[string]envelope.Order{
		"capture needs --of":             {Operation: envelope.OpCapture, Amount: 1, Reference: "r"},
		"void takes no --amount":         {Operation: envelope.OpVoid, Of: id, Amount: 1, Reference: "r"},
		"payout needs either --account":  {Operation: envelope.OpPayout, Amount: 1, Currency: "USD", Reference: "r"},
		"--operation is one of sale":     {Operation: "charge", Reference: "r"},
		"--of is the id":                 {Operation: envelope.OpVoid, Of: "order-1", Reference: "r"},
		"--token is tok_":                {Operation: envelope.OpForget, Token: "tok_1", Reference: "r"},
		"--amount is from 1 to 99999999": {Operation: envelope.OpCapture, Of: id, Amount: 100_000_000, Reference: "r"},
		"--reference":                    {Operation: envelope.OpVoid, Of: id, Reference: "card 4242424242424242"},
	} {
		err := instruction{order: order}.check("--")
		if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "4242") {
			t.Errorf("want %q, got %v", want, err)
		}
	}
}
