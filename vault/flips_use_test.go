package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"nightdrop/ops/flips"
	"nightdrop/ops/simulator/host"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/control"
)

// Subjects of a truth.
const (
	atHost   = "at the acquirer's host"
	atBank   = "at the bank"
	results  = "results"
	payments = "payments"
	batches  = "batches"
)

// outcome is how a life with a flip ended.
type outcome struct {
	relayFailed error    // the channel or the relay did not start
	startFailed error    // the daemon did not start
	refused     error    // the unlock failed
	ended       error    // why the daemon ended by itself
	complaints  []string // what commands failed with
	restless    bool     // something did not come to an end
	findings    map[book.Finding]uint64
	journal     string // of the status, where it is not ready
	said        []string
	truth       flips.Truth
}

// patience is for how long a vault that is not done may commit nothing before a life goes on
// without waiting for it, and patienceAgain the same where a first verdict was the worst: the
// machine may have been busy.
const (
	patience      = 700 * time.Millisecond
	patienceAgain = 5 * time.Second
	lifeWait      = time.Minute // a life that takes longer hangs

	// resultsWait is how long a vault has to find out what RESULTS lost, and to publish it again.
	resultsWait = 25 * time.Second

	restlessPatience = 200 * time.Millisecond // in a life that did not come to rest before
)

// live lays the picture out with a flip, lives through it and returns what came of it.
func (p *picture) live(ctx context.Context, dir string, flipped flips.Flip,
	patience time.Duration) (o outcome, err error) {
	if err := p.disk.Lay(dir, flipped); err != nil {
		return o, err
	}
	return p.resume(ctx, dir, patience)
}

// resume lives through what is laid out in a directory.
func (p *picture) resume(ctx context.Context, dir string, patience time.Duration) (o outcome, err error) {
	began := time.Now()
	l := &life{town: p.town, dir: dir, said: &warnings{},
		clock: func() time.Time { return p.stopped.Add(time.Minute + time.Since(began)) }}
	ctx, cancel := context.WithTimeout(ctx, lifeWait)
	defer cancel()
	defer func() {
		o.said = l.said.all()
		err = errors.Join(err, p.outside(l, &o), ctx.Err())
	}()
	if err := l.startHost(); err != nil {
		return o, err
	}
	if o.relayFailed = l.startRelay(ctx); o.relayFailed != nil {
		return o, nil
	}
	if o.startFailed = l.startVault(); o.startFailed != nil {
		l.daemon = nil
		return o, nil
	}
	if o.refused = l.unlock(ctx); o.refused != nil {
		// A daemon that finds damage just after the unlock may end before it answers, with the
		// reason.
		select {
		case <-l.ended:
			o.refused = errors.Join(o.refused, l.err)
		case <-time.After(restlessPatience):
		}
		return o, nil
	}
	if waits := l.waitsForJournal(ctx); waits != "" {
		// It takes and sends nothing; custodians end a doubt, and whoever wrote what is foreign has
		// to clear it away.
		o.complaints = append(o.complaints, waits)
		if !strings.Contains(waits, "--confirm-ledger") {
			o.journal = waits
			return o, nil
		}
		if err := l.unlockWith(ctx, control.UnlockOptions{ConfirmLedger: true}); err != nil {
			o.complaints = append(o.complaints, err.Error())
		}
	}
	p.use(ctx, l, &o, patience)
	return o, nil
}

// use goes on with every kind of use, then asks the vault what is so.
func (p *picture) use(ctx context.Context, l *life, o *outcome, patience time.Duration) {
	complain := func(what string, err error) {
		if err != nil {
			o.complaints = append(o.complaints, fmt.Sprintf("%s: %v", what, err))
		}
	}
	o.truth = flips.Truth{}
	done := func(n int) {
		if !l.settles(n, patience) {
			o.restless = true
			patience = min(patience, restlessPatience)
		}
	}
	done(p.payments)
	complain("post again", <-l.channel.PublishBag(p.relays[0].Name(), "again", p.bag))
	complain("post", l.post(ctx, slices.Concat(p.again, p.later)))
	done(p.payments + len(p.later) - 1)
	complain("post", l.post(ctx, p.last))
	done(p.payments + len(p.later) - 1 + len(p.last))
	_, err := l.client.CloseBatches(ctx, control.BatchQuery{}, nil)
	complain("close", err)
	_, err = l.client.Settle(ctx, 0, "", nil)
	complain("settle", err)
	_, err = l.client.PublishDirectory(ctx)
	complain("publish", err)
	done(p.payments + len(p.later) - 1 + len(p.last))
	waittest.Within(resultsWait, func() bool { return p.readResults(l, o) || !l.alive() })
	p.ask(ctx, l, o, complain)
	if !l.alive() {
		o.ended = l.err
	}
}

// ask has the vault tell what is so.
func (p *picture) ask(ctx context.Context, l *life, o *outcome, complain func(string, error)) {
	status, err := l.client.Status(ctx)
	complain("status", err)
	o.findings = status.Findings
	if !strings.HasPrefix(status.Journal, "ready") {
		o.journal = status.Journal
	}
	for _, shop := range p.shops {
		all, err := l.client.Payments(ctx, control.PaymentQuery{Merchant: shop.Merchant(), Oldest: true, Limit: control.MaxPage})
		complain("payments", err)
		for _, paid := range all.Payments {
			o.truth[payments] = append(o.truth[payments],
				fmt.Sprintf("%s %s %d %s %s captured %d refunded %d in a file %v", paid.Reference,
					paid.Operation, paid.Amount,
					paid.Status, paid.Code, paid.Captured, paid.Refunded, paid.File != ""))
		}
	}
	all, err := l.client.Batches(ctx, control.BatchQuery{})
	complain("batches", err)
	for _, b := range all {
		o.truth[batches] = append(o.truth[batches], fmt.Sprintf("%s %s %s %+v", b.Merchant, b.Method,
			b.Status, b.Totals))
	}
}

// outside reads the books of host and bank, and the shops' results, when the vault has ended.
func (p *picture) outside(l *life, o *outcome) error {
	if o.truth == nil {
		o.truth = flips.Truth{}
	}
	stopped := l.stopVault()
	if o.ended == nil && o.refused == nil && o.startFailed == nil {
		o.ended = stopped
	}
	l.stopHost()
	if err := l.stopRelay(); err != nil {
		o.complaints = append(o.complaints, "the relay does not stop: "+err.Error())
	}
	statement, err := host.ReadBook(l.path("book"))
	if err != nil {
		return err
	}
	o.truth[atHost] = hostLines(statement)
	bank, err := l.bankStep()
	if err != nil {
		return err
	}
	for _, f := range bank.List {
		for _, e := range f.Entries {
			o.truth[atBank] = append(o.truth[atBank], fmt.Sprintf("%s %d credit %v %s", e.Company, e.Amount,
				e.Credit, f.State))
		}
	}
	for _, lines := range o.truth {
		slices.Sort(lines)
	}
	return nil
}

// readResults reads the results of all shops, and reports whether none is missing and all is told.
func (p *picture) readResults(l *life, o *outcome) (whole bool) {
	o.truth[results], whole = nil, true
	for i := range p.shops {
		lines, missing, err := p.readShop(l, i)
		if err != nil {
			lines = append(lines, "reading ends with "+err.Error())
		}
		whole = whole && err == nil && !missing
		o.truth[results] = append(o.truth[results], lines...)
	}
	return whole && (p.standard == nil || len(o.truth[results]) == len(p.standard[results]))
}

// readShop reads all results of a shop, as its server does, and returns what each envelope was
// told.
func (p *picture) readShop(l *life, shop int) (lines []string, missing bool, err error) {
	client, err := l.shop(shop)
	if err != nil {
		return nil, false, err
	}
	names := map[string]string{}
	for name, s := range p.names {
		names[s.Digest] = name
	}
	names[p.later[0].Digest] = "another under a known id"
	told := map[string][]string{}
	chain := storefront.Chain{}
	for {
		page, err := client.Results(context.Background(), &chain, 0)
		if err != nil {
			return nil, false, err
		}
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			what := fmt.Sprintf("%s %s %d", r.Facts.Status, r.Facts.Code, r.Facts.Amount)
			if r.Facts.Status == envelope.StatusStored {
				what += " token"
			}
			told[names[r.Result.Digest]] = append(told[names[r.Result.Digest]], what)
		}
	}
	if err := chain.MissingError(); err != nil {
		lines = append(lines, err.Error())
	}
	if chain.First > 1 {
		lines = append(lines, fmt.Sprintf("the chain begins at %d", chain.First))
	}
	for _, name := range slices.Sorted(maps.Keys(told)) {
		lines = append(lines, fmt.Sprintf("%s %s: %s", p.shops[shop].Merchant(), name, strings.Join(told[name], ", ")))
	}
	return lines, chain.First > 1 || len(chain.Missing) > 0, nil
}

// hostLines are the host's book, a line for each transaction.
func hostLines(s host.Statement) (lines []string) {
	for _, t := range s.Transactions {
		lines = append(lines, fmt.Sprintf("%s %d %s reversed %v captured %d refunded %d", t.Kind, t.Amount,
			t.Answer, t.Reversed, t.Captured, t.Refunded))
	}
	if len(s.Doubled) > 0 || s.Conflicts > 0 {
		lines = append(lines, fmt.Sprintf("doubled %v, conflicts %d", s.Doubled, s.Conflicts))
	}
	return lines
}
