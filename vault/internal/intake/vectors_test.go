package intake

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/vaulttest"
)

var update = flag.Bool("update", false, "write testdata/vectors")

const vectorsPath = "../../../testdata/vectors/intake/instructions.json"

// instruction is one vector: plaintexts before padding, and the facts of the answer by a vault
// without tokens and payments. Without facts the instruction is accepted.
type instruction struct {
	Name    string `json:"name"`
	Order   string `json:"order"`
	Account string `json:"account,omitempty"`
	Code    string `json:"code,omitempty"`
	Facts   string `json:"facts,omitempty"`
}

type instructions struct {
	Format  string        `json:"format"`
	About   string        `json:"about"`
	Now     envelope.Time `json:"now"`
	ID      string        `json:"id"`
	Policy  book.Policy   `json:"policy"`
	Vectors []instruction `json:"vectors"`
}

const ownID = "0198c0de-0000-7000-8000-000000000007"

// readable is every refusal that the parts alone explain.
func readable() []refusal {
	return slices.Concat(orderRefusals(), accountRefusals(), bankRefusals(), cardOperationRefusals(), payoutRefusals(), storageRefusals())
}

// good is one good instruction of each operation that needs neither token nor payment.
func good(s *vaulttest.Storefront) []named {
	return []named{{"a sale by card", s.Sale()}, {"a sale from a bank account", s.BankSale(2500)}, {"an authorisation", s.Authorize(5000)},
		{"a payout", s.Payout(700)}, {"a card to store", s.Store(goodCard)}, {"a bank account to store", s.Store(payee)}}
}

type named struct {
	name  string
	draft vaulttest.Draft
}

// The vectors are the table of refusals of TestEveryDefectHasItsAnswer, and good instructions.
func TestInstructionVectors(t *testing.T) {
	d := bankFixture(t)
	file := instructions{Format: "instructions", ID: ownID, Now: envelope.At(d.Clock.Now()), Policy: vaulttest.Policy(),
		About: "What the vault answers to an order with its account and code (plaintexts before padding) of envelope `id` at the time `now`, for a merchant of currencies USD and EUR with `policy`. " +
			"No token and no payment is there. facts is line 1 of the result; without it the instruction is taken."}
	for _, g := range good(d.shop) {
		d.post(g.draft)
		if p := d.Payment("shop-1", g.draft.ID); p.Stage == book.StageRejected {
			t.Errorf("%s is answered %s", g.name, p.Code)
		}
		file.Vectors = append(file.Vectors, instruction{Name: g.name, Order: g.draft.Order, Account: g.draft.Account, Code: g.draft.Code})
	}
	for _, r := range readable() {
		draft := d.shop.Sale()
		r.change(&draft)
		facts := r.want
		facts.Status = envelope.StatusRejected
		if facts.Payment == "" {
			facts.Payment = ownID
		}
		line, err := envelope.EncodeFacts(facts)
		if err != nil {
			t.Fatal(err)
		}
		file.Vectors = append(file.Vectors, instruction{Name: r.defect, Order: draft.Order, Account: draft.Account, Code: draft.Code, Facts: string(line)})
	}
	want, err := json.MarshalIndent(file, "", "\t")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.MkdirAll(filepath.Dir(vectorsPath), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(vectorsPath, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(vectorsPath)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(have, want) {
		t.Errorf("%s is not what the tests make: run go test -update and look at the difference", vectorsPath)
	}
}
