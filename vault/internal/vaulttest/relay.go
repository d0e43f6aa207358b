package vaulttest

import (
	"encoding/hex"
	"testing"

	"github.com/google/uuid"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
)

// Relay signs bags; the vault knows it.
type Relay struct {
	Signer *note.Signer
	tb     testing.TB
}

// SetRelays makes relays whose bags the vault accepts.
func (v *Vault) SetRelays(names ...string) []*Relay {
	v.TB.Helper()
	relays := make([]*Relay, len(names))
	vkeys := make([]string, len(names))
	for n, name := range names {
		relays[n] = &Relay{Signer: Signer(v.TB, name), tb: v.TB}
		vkeys[n] = relays[n].Signer.Verifier().String()
	}
	v.Append("", book.RelaysSet{Relays: vkeys})
	return relays
}

// Run is one process of a relay: it numbers and links its bags.
type Run struct {
	Relay    *Relay
	ID       string
	Window   int
	Number   uint64           // of the last bag
	Previous string           // its digest
	After    *envelope.BagRef // for number 1
}

// Start begins a run with a window of 4.
func (r *Relay) Start() *Run {
	id := uuid.New()
	return &Run{Relay: r, ID: hex.EncodeToString(id[:]), Window: 4, Previous: envelope.ZeroDigest}
}

// Restart begins a run that names the end of this one.
func (r *Run) Restart() *Run {
	next := r.Relay.Start()
	next.After = r.End()
	return next
}

// End names the last bag.
func (r *Run) End() *envelope.BagRef {
	return &envelope.BagRef{Run: r.ID, Number: r.Number, Digest: r.Previous}
}

// Bag packs the next bag of the run.
func (r *Run) Bag(envelopes ...[]byte) channel.Message {
	r.Relay.tb.Helper()
	r.Number++
	b := envelope.Bag{Relay: r.Relay.Signer.Name(), Run: r.ID, Number: r.Number, Previous: r.Previous, Window: r.Window}
	if r.Number == 1 {
		b.After = r.After
	}
	msg, digest, err := envelope.PackBag(b, envelopes, r.Relay.Signer)
	if err != nil {
		r.Relay.tb.Fatal(err)
	}
	r.Previous = digest
	return channel.Message{Subject: "bag." + r.Relay.Signer.Name(), Data: msg}
}

// Fork returns a copy of the run: both then give the same numbers.
func (r *Run) Fork() *Run {
	fork := *r
	return &fork
}
