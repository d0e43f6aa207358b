package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/storefront"
)

// postBad posts the bad envelopes that are made by hand, but for those that need a good one before
// them.
func (d *demo) postBad(ctx context.Context) error {
	return d.postDefects(ctx, func(o order) bool { return o.byHand() && o.defect != "id-conflict" })
}

// postMorning lets every shop post the orders of the first round.
func (d *demo) postMorning(ctx context.Context) error {
	began := time.Now()
	total, err := d.postRound(ctx, 1)
	if err != nil {
		return err
	}
	d.say("The shops' servers sealed and posted %d orders in %.1f s; each has a receipt, signed after the bag was on disk.", total, time.Since(began).Seconds())
	if err := d.postDefects(ctx, func(o order) bool { return o.defect == "id-conflict" }); err != nil {
		return err
	}
	kinds, byHand, byRelay := map[string]bool{}, 0, 0
	for _, o := range d.orders {
		if o.defect != "" {
			kinds[o.defect] = true
		}
		if o.byHand() {
			byHand++
		}
		if answers[o.defect].byRelay {
			byRelay++
		}
	}
	d.say("Of the bad ones of %d kinds, %d are made by hand. The relay refused %d (unsealed, forged, late, oversize ...);", len(kinds), byHand, byRelay)
	d.say("  the others look right from outside (a moved part, a number that fails Luhn ...): only the vault can see.")
	return nil
}

// postRound lets every shop post its orders of a round from a CSV file, all shops at once.
func (d *demo) postRound(ctx context.Context, round int) (total int, err error) {
	group, groupCtx := errgroup.WithContext(ctx)
	accepted := make([]int, len(d.shops))
	for i, shop := range d.shops {
		group.Go(func() (err error) {
			accepted[i], err = d.postShop(groupCtx, shop, round)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err
	}
	for _, n := range accepted {
		total += n
	}
	d.tally.posted += total
	return total, d.noteBad(round)
}

func (d *demo) postShop(ctx context.Context, shop string, round int) (accepted int, err error) {
	file, count, err := d.writeShopFile(shop, round)
	if err != nil {
		return 0, err
	}
	out, err := d.site.ShopRun(ctx, shop, "post", "--csv", file, "--json")
	if err != nil {
		return 0, err
	}
	var summary struct{ Posted, Accepted int }
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		return 0, err
	}
	if summary.Posted != count || summary.Accepted != count {
		return 0, fmt.Errorf("%s: %d of %d orders have a receipt", shop, summary.Accepted, count)
	}
	// The shop's list holds numbers in clear; it is the only file here that does, and it has done
	// its work.
	return count, os.Remove(file)
}

// noteBad notes the bad ones that the shops posted themselves.
func (d *demo) noteBad(round int) error {
	for _, o := range d.orders {
		if o.round != round || o.defect == "" || o.byHand() {
			continue
		}
		outbox, err := storefront.OpenOutbox(d.site.Outbox(o.merchant))
		if err != nil {
			return err
		}
		kept, err := outbox.Find(o.id)
		if err != nil {
			return err
		}
		d.bad = append(d.bad, badEnvelope{defect: o.defect, merchant: o.merchant, id: o.id, digest: kept.Digest})
	}
	return nil
}

func (d *demo) postDefects(ctx context.Context, which func(order) bool) error {
	client, err := d.site.HTTPClient()
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	directory, err := d.directory(ctx, client)
	if err != nil {
		return err
	}
	for _, o := range d.orders {
		if !which(o) {
			continue
		}
		signer, err := d.signer(o.merchant)
		if err != nil {
			return err
		}
		c := culprit{relay: d.site.Origin(), http: client, signer: signer, directory: directory, takenID: d.takenID(o.merchant)}
		bad, err := c.post(ctx, o)
		if err != nil {
			return err
		}
		want := answers[o.defect]
		if want.byRelay && bad.refused != want.code || !want.byRelay && bad.refused != "" {
			return fmt.Errorf("the relay answered %q to a bad envelope (%s)", bad.refused, o.defect)
		}
		d.bad = append(d.bad, bad)
		d.tally.posted++
	}
	return nil
}

// takenID is an id under which the shop has posted something else, not taken twice.
func (d *demo) takenID(shop string) string {
	notes, err := filepath.Glob(filepath.Join(d.site.Outbox(shop), "*", "*.note"))
	if err != nil {
		return ""
	}
	slices.Sort(notes)
	for _, path := range notes {
		id := strings.TrimSuffix(filepath.Base(path), ".note")
		taken := slices.ContainsFunc(d.bad, func(b badEnvelope) bool { return b.id == id })
		if envelope.ValidID(id) && !taken {
			return id
		}
	}
	return ""
}

func (d *demo) signer(shop string) (*note.Signer, error) {
	data, err := os.ReadFile(d.site.Identity(shop))
	if err != nil {
		return nil, err
	}
	var file struct{ Signer string }
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, errors.New("the shop's identity is damaged")
	}
	return note.ParseSigner(file.Signer)
}

func (d *demo) directory(ctx context.Context, client *http.Client) (envelope.Directory, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, d.site.Origin()+"/v1/directory", nil)
	if err != nil {
		return envelope.Directory{}, err
	}
	response, err := client.Do(request)
	if err != nil {
		return envelope.Directory{}, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, note.MaxDirectoryBytes))
	if err != nil {
		return envelope.Directory{}, err
	}
	vault, err := note.ParseVerifier(d.site.Verifier)
	if err != nil {
		return envelope.Directory{}, err
	}
	directory, err := envelope.Open[envelope.Directory](body, vault)
	return directory.Value, err
}
