package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
)

// shopResult is one line of `storefront results --json`.
type shopResult struct {
	Serial     uint64
	ID, Digest string
	Facts      struct{ Status, Code, Token string }
}

// readTokens reads results until every stored account has its token.
func (d *demo) readTokens(ctx context.Context) error {
	for _, shop := range storing {
		payments, err := d.payments(ctx, shop)
		if err != nil {
			return err
		}
		stored := map[string]string{}
		for _, p := range payments {
			if p.Operation == "store" {
				stored[p.Digest] = p.answered()
			}
		}
		if _, err := d.readShop(ctx, shop, stored); err != nil {
			return err
		}
	}
	for _, r := range d.results {
		if r.Facts.Status == "stored" {
			d.tokens[r.ID] = r.Facts.Token
		}
	}
	return nil
}

// readResults lets every shop read its results until each receipt has a final one, and checks the
// bad ones' codes.
func (d *demo) readResults(ctx context.Context) error {
	serials := uint64(0)
	for _, shop := range d.shops {
		payments, err := d.payments(ctx, shop)
		if err != nil {
			return err
		}
		want := map[string]string{} // digest: the status that its last result must have
		for _, p := range payments {
			if err := d.inOrder(p); err != nil {
				return err
			}
			want[p.Digest] = p.answered()
		}
		for _, bad := range d.bad {
			if bad.merchant == shop && bad.defect == "id-conflict" {
				want[bad.digest] = "rejected"
			}
		}
		last, err := d.readShop(ctx, shop, want)
		if err != nil {
			return err
		}
		serials += last
	}
	for _, bad := range d.bad {
		got, want := bad.refused, answers[bad.defect]
		if !want.byRelay {
			got = d.results[bad.digest].Facts.Code
		}
		if got != want.code {
			return fmt.Errorf("a bad envelope (%s) was answered %q, not %q", bad.defect, got, want.code)
		}
		d.tally.rejected++
	}
	d.tally.accepted = d.tally.posted - len(d.bad)
	d.say("The shops read %d results, sealed to them alone, in unbroken chains:", serials)
	d.say("  %s.", counted(d.statuses))
	d.say("  Every one of the %d bad orders got exactly the answer that its kind must get.", len(d.bad))
	return nil
}

// inOrder reports a good order that was refused: the vault rejects bad ones only, and what builds
// on an approved payment is taken.
func (d *demo) inOrder(p vaultPayment) error {
	bad := slices.ContainsFunc(d.bad, func(b badEnvelope) bool { return b.id == p.ID && b.defect != "id-conflict" })
	if !bad && (p.Status == "rejected" || p.Status == "declined" && p.Of != "") {
		return fmt.Errorf("a %s that is in order was %s with %s", p.Operation, p.Status, p.Code)
	}
	return nil
}

// readShop reads until each wanted digest has its status, and returns the last serial.
func (d *demo) readShop(ctx context.Context, shop string, want map[string]string) (last uint64, err error) {
	for digest, status := range want {
		if d.results[digest].Facts.Status == status {
			delete(want, digest)
		}
	}
	for deadline := time.Now().Add(patience); len(want) > 0; {
		if time.Now().After(deadline) {
			d.tally.lost += len(want)
			return last, fmt.Errorf("%s: %d envelopes have no final result after %s", shop, len(want), patience)
		}
		out, err := d.site.ShopRun(ctx, shop, "results", "--json", "--wait", "5s")
		if err != nil {
			return last, err
		}
		lines := bufio.NewScanner(strings.NewReader(out))
		for lines.Scan() {
			var r shopResult
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				return last, err
			}
			d.results[r.Digest] = r
			d.statuses[r.Facts.Status]++
			last = r.Serial
			if want[r.Digest] == r.Facts.Status {
				delete(want, r.Digest)
			}
		}
	}
	return last, nil
}
