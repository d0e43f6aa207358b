package storefront_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/storefront/relaytest"
)

// A sale from its keys to its answer. The relay is one of this process, with a vault's answer, so
// that the example runs.
func Example() {
	relay, stop := aRelay()
	defer stop()
	dir, err := os.MkdirTemp("", "shop-")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx := context.Background()

	identity, err := storefront.NewIdentity("acme-shoes") // later: storefront.LoadIdentity
	if err != nil {
		log.Fatal(err)
	}
	client, err := storefront.New(storefront.Config{Relay: relay.URL, Vault: relay.Vault.Verifier(), Identity: identity, HTTP: relay.Client()})
	if err != nil {
		log.Fatal(err)
	}
	outbox, err := storefront.OpenOutbox(filepath.Join(dir, "outbox"))
	if err != nil {
		log.Fatal(err)
	}

	sealed, err := client.Seal(ctx, storefront.Payment{
		Order:   envelope.Order{Operation: envelope.OpSale, Reference: "order-1", Amount: 1999, Currency: "EUR"},
		Account: []byte(`{"card":{"number":"4242424242424242","expiry":"2031-05"}}`),
	})
	if err != nil {
		log.Fatal(err)
	}
	if sealed, err = outbox.Keep(sealed); err != nil { // before the first post
		log.Fatal(err)
	}
	receipt, err := client.Post(ctx, sealed.Note)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("posted to", receipt.Relay, receipt.Digest == sealed.Digest)

	// what a vault does
	relay.Chain = relay.Results("acme-shoes", identity.ReplyLine(), relay.Approve()...)
	chain, err := outbox.Chain()
	if err != nil {
		log.Fatal(err)
	}
	results, err := client.Results(ctx, &chain, 0)
	if err != nil {
		log.Fatal(err)
	}
	for _, r := range results {
		fmt.Println(r.Facts.Status, r.Facts.Code, envelope.FormatAmount(r.Facts.Amount, r.Facts.Currency), r.Facts.Masked, r.Result.Digest == sealed.Digest)
	}
	ours, err := outbox.Record(results, chain) // once they are where they are to go
	fmt.Println("answered:", ours, err)
	// Output:
	// posted to relay-1 true
	// approved iso-00 19.99 EUR 424242******4242 true
	// answered: 1 <nil>
}

// exampleTB stands for the test that relaytest wants and an example has not.
type exampleTB struct {
	testing.TB
	cleanup func()
}

func (*exampleTB) Helper()               {}
func (e *exampleTB) Cleanup(stop func()) { e.cleanup = stop }
func (*exampleTB) Fatal(args ...any)     { log.Fatal(args...) }
func (*exampleTB) Error(args ...any)     { log.Fatal(args...) }

func aRelay() (relay *relaytest.Relay, stop func()) {
	tb := &exampleTB{}
	relay = relaytest.New(tb)
	return relay, tb.cleanup
}
