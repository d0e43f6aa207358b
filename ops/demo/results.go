package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// shopResult is one line of `storefront results --json`.
type shopResult struct {
	Serial     uint64
	ID, Digest string
	Facts      struct{ Status, Code string }
}

// readResults lets every shop read its results until each receipt has a final one, and checks the bad ones' codes.
func (d *demo) readResults(ctx context.Context) error {
	statuses, serials, final := map[string]int{}, uint64(0), map[string]shopResult{} // final: by digest
	for _, shop := range d.shops {
		last, err := d.readShop(ctx, shop, func(r shopResult) {
			statuses[r.Facts.Status]++
			final[r.Digest] = r
		})
		if err != nil {
			return err
		}
		serials += last
	}
	for _, bad := range d.bad {
		got, want := bad.refused, answers[bad.defect]
		if !want.byRelay {
			got = final[bad.digest].Facts.Code
		}
		if got != want.code {
			return fmt.Errorf("a bad envelope (%s) was answered %q, not %q", bad.defect, got, want.code)
		}
		d.tally.rejected++
	}
	d.tally.accepted = d.tally.posted - len(d.bad)
	d.say("The shops read %d results, sealed to them alone, in unbroken chains: %s.", serials, counted(statuses))
	d.say("  Every one of the %d bad envelopes got exactly the answer that its kind must get.", len(d.bad))
	return nil
}

// readShop reads until nothing of the shop waits for a final result, and returns the last serial.
func (d *demo) readShop(ctx context.Context, shop string, take func(shopResult)) (last uint64, err error) {
	payments, err := d.payments(ctx, shop)
	if err != nil {
		return 0, err
	}
	want := map[string]string{} // digest: the status that its last result must tell
	for _, p := range payments {
		want[p.Digest] = p.Stage
	}
	for _, bad := range d.bad {
		if bad.merchant == shop && bad.defect == "id-conflict" {
			want[bad.digest] = "rejected"
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
			take(r)
			last = r.Serial
			if want[r.Digest] == r.Facts.Status {
				delete(want, r.Digest)
			}
		}
	}
	return last, nil
}
