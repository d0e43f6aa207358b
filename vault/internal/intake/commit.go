package intake

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// commit makes all effects of a group durable together. A crash before it means that the group is
// read again; a crash after it, that its bags are recognised. It then destroys the keys of deleted
// accounts.
func (i *Intake) commit(ctx context.Context, g *group) error {
	var done *committer
	err := i.commitCounting(ctx, func(tx *ledger.Tx, counts *attemptCounts) error {
		done = i.committer(tx, g, counts)
		return done.commitAll()
	})
	if err != nil {
		return fmt.Errorf("commit %d bags: %w", len(g.bags), err)
	}
	for key := range done.answered {
		i.answers.Add(key, i.Now())
	}
	for key, previous := range done.links {
		i.links.Add(key, previous)
	}
	for key := range done.strays {
		i.strays.Add(key, true)
	}
	for _, f := range done.found {
		i.lines.Warn(string(f.Finding), "integrity finding", "finding", f.Finding, "relay", f.Relay, "run", f.Run, "number", f.Number, "index", f.Index, "detail", f.Detail, "count", f.Times())
	}
	if done.exhausted {
		i.Logger.Error("payments are refused, as the last batch number is used: take another vault into service")
	}
	return done.destroy()
}

// committer is one try at committing a group. The ledger may try twice, so it changes only tx and
// itself.
type committer struct {
	*Intake
	tx       *ledger.Tx
	group    *group
	state    txState
	answered map[string]bool   // of this try: resends, refusals and conflicts
	links    map[string]string // of this try
	found    []book.IntegrityFound
	counts   *attemptCounts
	strays   map[stray]bool  // of this try
	used     map[uint32]bool // slots of stored accounts in records of this try
	dead     []uint32        // slots whose records it deleted

	exhausted bool // a batch was needed and no number is left
}

func (i *Intake) committer(tx *ledger.Tx, g *group, counts *attemptCounts) *committer {
	return &committer{Intake: i, tx: tx, group: g, state: txState{tx}, answered: map[string]bool{}, links: map[string]string{}, used: map[uint32]bool{},
		counts: counts, strays: map[stray]bool{}}
}

func (c *committer) commitAll() error {
	g := c.group
	v, err := c.tx.Vault()
	if err != nil {
		return err
	}
	if !slices.Equal(v.Relays, g.relays) {
		if err := c.reopen(v.Relays); err != nil {
			return err
		}
	}
	for _, b := range g.bags {
		if err := c.bag(b); err != nil {
			return err
		}
	}
	last := g.bags[len(g.bags)-1].message
	if last.Sequence == 0 {
		return nil
	}
	return c.tx.SetBagHint(ledger.Hint{Sequence: last.Sequence, Digest: digestOf(last)})
}

// reopen opens the bags again after a change of the relays.
func (c *committer) reopen(relays []string) error {
	g := c.group
	keys, err := verifiers(relays)
	if err != nil {
		return err
	}
	bags := make([]*bag, len(g.bags))
	for n, b := range g.bags {
		bags[n] = openBag(b.message, keys)
		bags[n].verdicts = make([]verdict, len(bags[n].envelopes))
		for k, e := range bags[n].envelopes {
			if bags[n].verdicts[k], err = c.judgeAgain(e); err != nil {
				return err
			}
		}
	}
	g.relays, g.keys, g.bags = relays, keys, bags
	return nil
}

// bag commits one bag: its position in the relay's chain, its envelopes, then the bag itself.
func (c *committer) bag(b *bag) error {
	if b.finding != "" {
		if c.seenBefore(b) {
			return nil
		}
		return c.append(b, b.found(b.finding, b.detail))
	}
	seen, _, err := c.tx.Bag(b.claim.Relay, b.claim.Run, b.claim.Number)
	if err != nil || slices.Contains(seen.Digests, b.digest) {
		return err
	}
	if err := c.chain(b, seen); err != nil {
		return err
	}
	counts, err := c.envelopes(b)
	if err != nil {
		return err
	}
	n := b.claim
	counts.Relay, counts.Run, counts.Number, counts.Previous, counts.After, counts.Window = n.Relay, n.Run, n.Number, n.Previous, n.After, n.Window
	return c.append(b, counts)
}

// cause is what causes an event: a bag or an envelope.
type cause interface {
	event() book.Event // without a body
}

// event returns a bag's event; the actor is its relay.
func (b *bag) event() book.Event {
	actor := "vault"
	if b.finding == "" {
		actor = "relay:" + b.claim.Relay
	}
	return book.Event{Actor: actor, Origin: fmt.Sprintf("bag:%s/%s/%d", b.claim.Relay, b.claim.Run, b.claim.Number), Evidence: b.digest}
}

// event returns an envelope's event. One that belongs to no merchant has none.
func (v verdict) event() book.Event {
	e := v.bag.event()
	e.Origin, e.Evidence = fmt.Sprintf("%s/%d", e.Origin, v.index), v.digest
	if v.finding == "" || v.finding == book.FindingForgedEnvelope {
		e.Merchant = v.envelope.Merchant
	}
	return e
}

// found returns a finding about a bag.
func (b *bag) found(f book.Finding, detail string) book.IntegrityFound {
	return book.IntegrityFound{Finding: f, Relay: b.claim.Relay, Run: b.claim.Run, Number: b.claim.Number, Detail: detail}
}

// found returns a finding about an envelope.
func (v verdict) found(f book.Finding, detail string) book.IntegrityFound {
	found := v.bag.found(f, detail)
	found.Index = v.index
	return found
}

// append appends an event; for a finding, only where one is due.
func (c *committer) append(of cause, body book.Body) error {
	e := of.event()
	if f, ok := body.(book.IntegrityFound); ok {
		if !c.due(e.Merchant, &f) {
			return nil
		}
		c.found = append(c.found, f)
		body = f
	}
	e.Body = body
	_, err := c.tx.Append(e)
	return err
}

// due reports whether an event is due for a finding, and sets its count. One is always due for
// missing bags, as it moves the position; only a relay's bag can cause it.
func (c *committer) due(merchant string, f *book.IntegrityFound) bool {
	if f.Finding == book.FindingBagMissing {
		return true
	}
	from := source{finding: f.Finding, merchant: merchant}
	if slices.ContainsFunc(c.group.keys, func(v note.Verifier) bool { return v.Name() == f.Relay }) {
		from.relay = f.Relay
	}
	return c.counts.due(from, c.tx.Now().Time, f)
}

// envelopes commits a bag's envelopes and counts their outcomes.
func (c *committer) envelopes(b *bag) (book.BagCommitted, error) {
	var counts book.BagCommitted
	for index := range b.verdicts {
		v, err := c.renew(b, index)
		if err != nil {
			return counts, err
		}
		v.bag, v.index = b, index
		known, err := c.committedBefore(v)
		if err != nil {
			return counts, err
		}
		if v.finding != "" && !known {
			if err := c.append(v, v.found(v.finding, v.detail)); err != nil {
				return counts, err
			}
		}
		if err := c.envelope(v, known, &counts); err != nil {
			return counts, err
		}
	}
	return counts, nil
}

// judgeAgain judges by the transaction's state.
func (c *committer) judgeAgain(msg []byte) (verdict, error) {
	v, err := c.judge(c.state, msg)
	c.group.sealed(v)
	return v, err
}

// renew returns the verdict on an envelope, judged again if its merchant or the policy changed
// since.
func (c *committer) renew(b *bag, index int) (verdict, error) {
	v := b.verdicts[index]
	if v.digest == "" {
		return v, nil
	}
	m, _, err := c.tx.Merchant(v.envelope.Merchant)
	if err != nil || m.Version == v.version && reflect.DeepEqual(m.Policy, v.policy) {
		return v, err
	}
	return c.judgeAgain(b.envelopes[index])
}

// committedBefore reports whether the same instruction was committed before.
func (c *committer) committedBefore(v verdict) (bool, error) {
	if v.version == 0 {
		return false, nil
	}
	p, known, err := c.tx.Payment(v.envelope.Merchant, v.envelope.ID)
	return known && p.Digest == v.digest, err
}

// envelope commits one envelope, by the current state, with earlier envelopes of the same bag.
func (c *committer) envelope(v verdict, taken bool, counts *book.BagCommitted) error {
	switch {
	case taken:
		counts.Repeated++
		if !c.mayResend(v) {
			return nil
		}
		return c.tx.ResendResults(v.envelope.Merchant, v.envelope.ID)
	case v.finding == book.FindingForgedEnvelope:
		reported, err := c.refuse(v)
		if reported {
			counts.Rejected++
		} else {
			counts.Ignored++
		}
		return err
	case v.finding != "":
		counts.Ignored++
		return nil
	}
	first, known, err := c.tx.Payment(v.envelope.Merchant, v.envelope.ID)
	if err != nil {
		return err
	}
	switch {
	case known && !first.MayRefuse(v.digest):
		return c.conflictAgain(v, first, counts)
	case known:
		v.code, v.order, v.account = envelope.CodeIDConflict, envelope.Order{}, particulars{}
	case c.tx.Now().After(v.envelope.Until.Time) && v.code != envelope.CodeMerchantSuspended:
		v.code, v.order, v.account = envelope.CodeLate, envelope.Order{}, particulars{}
	case v.code == envelope.CodeOK:
		if v.code, err = c.standing(&v); err != nil {
			return err
		}
	}
	if v.code != envelope.CodeOK {
		counts.Rejected++
		if err := c.reject(v, !known); err != nil {
			return err
		}
		return c.reportBounds(v)
	}
	counts.Received++
	return c.receive(v)
}

// conflictAgain handles a conflicting digest of a known id that was refused before, or is one too
// many to be answered.
func (c *committer) conflictAgain(v verdict, first book.Payment, counts *book.BagCommitted) error {
	serial, refused := first.Refused(v.digest)
	if !refused {
		counts.Ignored++
		return nil
	}
	counts.Repeated++
	if !c.mayResend(v) {
		return nil
	}
	return c.tx.ResendResult(v.envelope.Merchant, serial)
}

// mayResend reports whether an answered envelope's results may be published again: once in
// resendEvery.
func (c *committer) mayResend(v verdict) bool {
	key := "resend/" + v.envelope.Merchant + "/" + v.digest
	if at, ok := c.answers.Get(key); c.answered[key] || ok && within(at, c.Now(), resendEvery) {
		return false
	}
	c.answered[key] = true
	return true
}

func within(at, now time.Time, d time.Duration) bool {
	passed := now.Sub(at)
	return 0 <= passed && passed < d
}

// refuse answers a merchant about an envelope under its name that none of its keys signed, within
// the day's allowance and once a process. The ledger does not remember the id: else a stranger
// could use up the merchant's ids.
func (c *committer) refuse(v verdict) (reported bool, err error) {
	key := "forged/" + v.envelope.Merchant + "/" + v.digest
	m, _, err := c.tx.Merchant(v.envelope.Merchant)
	if err != nil || !m.MayRefuse(c.tx.Now()) || c.answered[key] || c.answers.Contains(key) {
		return false, err
	}
	c.answered[key] = true
	return true, c.reject(v, false)
}

func (c *committer) reject(v verdict, remembered bool) error {
	o := v.order
	return c.append(v, book.EnvelopeRejected{ID: v.envelope.ID, Digest: v.digest, Code: v.code, Remembered: remembered,
		Operation: o.Operation, Amount: o.Amount, Currency: o.Currency, Reference: o.Reference, Masked: v.account.masked, Of: o.Of, Token: o.Token,
		Mismatch: v.mismatch, Compared: v.compared, Limit: v.limit})
}
