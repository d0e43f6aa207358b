package intake

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nightdrop/shared/channel"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// Canaries: account data that is nowhere else.
const (
	canaryCard    = "5555341244441115"
	canaryBad     = "5555341244441116" // with a wrong check digit
	canaryBank    = "90817263540981726"
	canaryRouting = "122105278"
	canaryName    = "Canary Quillfeather"
	canaryCode    = "8461"
)

// No event, result, log line, error or file of the vault holds a number, a name or a code.
func TestAccountDataIsNowhereInClear(t *testing.T) {
	dir := filepath.Dir(t.TempDir()) // which will hold the vault's directory too
	d := bankFixture(t)
	var lines bytes.Buffer
	d.intake.Logger = slog.New(slog.NewJSONHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	said := d.postCanaries()
	d.View(func(tx *ledger.Tx) error {
		size, err := tx.TreeSize()
		for index := range uint64(size) {
			entry, err := tx.LogEntry(index)
			if err != nil {
				return err
			}
			event, err := entry.Event.MarshalJSON()
			if err != nil {
				return err
			}
			said = append(said, event)
		}
		return err
	})
	answers, err := json.Marshal(d.answers())
	if err != nil {
		t.Fatal(err)
	}
	said = append(said, answers, lines.Bytes())
	err = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		said = append(said, content)
		return err
	})
	if err != nil || len(said) < 60 || lines.Len() == 0 {
		t.Fatalf("%d texts, %d bytes of log, %v", len(said), lines.Len(), err)
	}
	for _, text := range said {
		for _, canary := range []string{canaryCard, canaryBad, canaryBank, canaryRouting, canaryName, `"` + canaryCode} {
			if bytes.Contains(text, []byte(canary)) {
				t.Errorf("%s stands in a text of %d bytes", canary, len(text))
			}
		}
	}
}

// postCanaries posts every operation with canaries as account data, and where they do not belong,
// and returns the errors' texts.
func (d *fixture) postCanaries() (said [][]byte) {
	d.TB.Helper()
	card := fmt.Sprintf(`{"card":{"number":%q,"expiry":"2031-12","name":%q}}`, canaryCard, canaryName)
	bad := fmt.Sprintf(`{"card":{"number":%q,"expiry":"2031-12","name":%q}}`, canaryBad, canaryName)
	bank := fmt.Sprintf(`{"bank":{"routing":%q,"account":%q,"type":"savings","name":%q}}`, canaryRouting, canaryBank, canaryName)
	var drafts []vaulttest.Draft
	for _, account := range []string{card, bad, bank, bank[1:], card + bank} {
		for _, draft := range []vaulttest.Draft{d.shop.Sale(), d.shop.BankSale(5), d.shop.Authorize(5), d.shop.Payout(5), d.shop.Store(""),
			d.shop.Refund(earlier, 5), d.shop.Update(token, "2031-01")} {
			draft.Account = account
			if draft.Code != "" {
				draft.Code = `{"code":"` + canaryCode + `"}`
			}
			drafts = append(drafts, draft)
		}
	}
	for _, number := range []string{canaryCard, canaryBank} {
		misplaced := d.shop.Sale()
		misplaced.Order = fmt.Sprintf(`{"operation":"sale","reference":"order 17","amount":%s,"currency":"USD"}`, number)
		drafts = append(drafts, misplaced, d.shop.Capture(number, 5), d.shop.Forget("tok_"+number+"aaaaaaaaaa"), d.shop.Forget(number))
	}
	d.post(drafts...)
	answers := d.answers()
	stored := slices.IndexFunc(drafts, func(draft vaulttest.Draft) bool { return answers[draft.ID].Status == envelope.StatusStored })
	if stored < 0 {
		d.TB.Fatal("no canary was stored")
	}
	kept := answers[drafts[stored].ID].Token
	d.post(d.shop.Update(kept, "2035-01"), d.shop.ByToken(envelope.OpSale, kept, 5))
	record, _ := d.record(kept)
	if err := d.Ring.ForgetStored(record.Slot); err != nil {
		d.TB.Fatal(err)
	}
	d.refused(d.shop.Update(kept, "2035-01"), envelope.CodeAccountGone)

	d.intake.Accounts = lockedAccounts{}
	store := d.shop.Store(card)
	err := d.intake.Take(d.TB.Context(), []channel.Message{d.run.Bag(d.shop.Seal(store))})
	if !errors.Is(err, keyring.ErrLocked) {
		d.TB.Fatalf("taken while locked: %v", err)
	}
	return append(said, []byte(err.Error()))
}
