// Package storefront is the Go SDK of a shop's server: it pins a vault by one line, seals and signs
// payments, posts them to a relay until they are answered, and reads, checks and opens the results.
//
//	identity, err := storefront.LoadIdentity("shop-1.key")
//	client, err := storefront.New(storefront.Config{Relay: "https://relay.example", Vault: vkey, Identity: identity})
//	outbox, err := storefront.OpenOutbox("outbox")
//	sealed, err := client.Seal(ctx, storefront.Payment{Order: order, Account: account, Code: code})
//	sealed, err = outbox.Keep(sealed)                 // before the first post, until its result arrives
//	receipt, err := client.Post(ctx, sealed.Note)     // the same bytes, again and again, until it is answered
//	results, err := client.Results(ctx, &chain, wait) // in order, complete, opened
//	ours, err := outbox.Record(results, chain)        // only once they are where they are to go: what was recorded is not read again
//
// A relay's silence proves nothing: pay again under a new id only on a result that carries the
// digest of what was posted, or when the unbroken chain of results has reached one created over an
// hour after the envelope's until (specification 4): Outbox.Lapsed reports it.
//
// Results that are missing are named by their serials (Chain.MissingError): the reader goes on
// after them, proves no silence across them, and takes them when the vault's operator had them
// published again (`vault results resend`).
//
// A result is proved again, by today's log, from a copy of its tiles that anybody may keep (package
// proof/tiles); the same copy shows that all that was seen of the log is one log:
//
//	source, err := tiles.Open("https://logs.example/vault", nil)
//	log, err := client.OpenTiles(ctx, source)
//	later, err := client.ProveLater(ctx, log, opened)
//	agreement, err := client.CheckTiles(ctx, log)
package storefront
