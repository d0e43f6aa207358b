package settle

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/moov-io/ach"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/acquirer/nacha"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
	"nightdrop/vault/internal/vaulttest"
)

// theFile reads the one file of the outbox, which must be whole for moov-io/ach.
func (c *counter) theFile() (name string, text []byte, file *ach.File) {
	c.t.Helper()
	all, err := os.ReadDir(c.outbox)
	c.must(err)
	if len(all) != 1 {
		c.t.Fatalf("the outbox holds %v", all)
	}
	name = all[0].Name()
	text, err = os.ReadFile(filepath.Join(c.outbox, name))
	c.must(err)
	return name, text, c.readFile(name)
}

// readFile reads a file of the outbox.
func (c *counter) readFile(name string) *ach.File {
	c.t.Helper()
	text, err := os.ReadFile(filepath.Join(c.outbox, name))
	c.must(err)
	reader := ach.NewReader(bytes.NewReader(text))
	reader.SetValidation(&ach.ValidateOpts{BypassOriginValidation: true})
	read, err := reader.Read()
	c.must(err)
	return &read
}

func (c *counter) file(name string) (f book.File) {
	c.t.Helper()
	c.View(func(tx *ledger.Tx) (err error) {
		f, _, err = tx.File(name)
		return err
	})
	return f
}

// TestBankEntriesBecomeAFile: a sale, a refund of another day's sale, and a payout by a stored
// account, of two merchants.
func TestBankEntriesBecomeAFile(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	sold := c.send(c.shop.BankSale(12_345))
	done := c.endOfDay(e)
	if done.Payments != 1 || len(done.Files) != 1 || done.Files[0].Name != "nightdrop-20261124-A.ach" || done.Files[0].Effective != "2026-11-25" {
		t.Fatalf("settled %+v", done)
	}
	c.want("the sale", sold, book.StageSettled, envelope.CodeOK, "accepted", "settled")
	c.must(os.Remove(filepath.Join(c.outbox, "nightdrop-20261124-A.ach"))) // the bank's pick-up

	token := c.Payment("shop-1", c.send(c.shop.Store(vaulttest.Bank("091000019", "998877665544")))).Token
	again, refund, payout := c.send(c.shop.BankSale(50)), c.send(c.shop.Refund(sold, 345)), c.send(c.shop.ByToken(envelope.OpPayout, token, 9900))
	voided := c.send(c.shop.BankSale(60))
	c.send(c.shop.Void(voided))
	second := c.Enrol("shop-2")
	c.Append("shop-2", book.MerchantPolicySet{Policy: book.Policy{Company: book.Company{Name: "SECOND", ID: "2222222222"}}})
	c.take(second.Seal(second.BankSale(700)))
	c.Clock.Pass(10 * time.Hour) // past the cut-off of 16:45 in New York, before Thanksgiving
	done = c.endOfDay(e)
	if done.Payments != 4 || len(done.Batches) != 2 || len(done.Files) != 1 {
		t.Errorf("settled %+v", done)
	}
	name, text, file := c.theFile()
	sum := sha256.Sum256(text)
	if f := c.file(name); name != "nightdrop-20261124-B.ach" || f.Stage != book.FileOut || f.Digest != hex.EncodeToString(sum[:]) || f.Debits != 750 || f.Credits != 10_245 ||
		f.Entries != 4 || f.Effective != "2026-11-27" || f.Created.Format(time.TimeOnly) != "22:00:00" {
		t.Errorf("%s is %+v", name, f)
	}
	c.hasEntries(file, []string{
		"CCD THE SHOP PAYOUT 1 22 998877665544 9900 " + c.Payment("shop-1", payout).Entry + " order 17",
		"PPD THE SHOP REFUND 2 22 12345678 345 " + c.Payment("shop-1", refund).Entry + " order 17",
		"WEB THE SHOP PURCHASE 3 27 12345678 50 " + c.Payment("shop-1", again).Entry + " order 17",
		"WEB SECOND PURCHASE 4 27 12345678 700 091000010000005 order 17",
	})
	c.want("the refund", refund, book.StageSettled, envelope.CodeOK, "accepted", "refunded")
	c.want("the payout", payout, book.StageSettled, envelope.CodeOK, "accepted", "paid-out")
	c.want("the voided sale", voided, book.StageVoided, envelope.CodeOK, "accepted")
	c.changesNothing(e)
}

// hasEntries compares a file's entries with lines: class, company, description, batch, transaction
// code, account, amount, trace number, identification.
func (c *counter) hasEntries(file *ach.File, want []string) {
	c.t.Helper()
	var got []string
	for _, b := range file.Batches {
		h := b.GetHeader()
		for _, e := range b.GetEntries() {
			got = append(got, fmt.Sprintf("%s %s %s %d %d %s %d %s %s", h.StandardEntryClassCode, h.CompanyName, h.CompanyEntryDescription, h.BatchNumber,
				e.TransactionCode, strings.TrimSpace(e.DFIAccountNumber), e.Amount, e.TraceNumber, strings.TrimSpace(e.IdentificationNumber)))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		c.t.Errorf("the file holds\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestEntriesWhoseAccountIsGone are refused and left out; a file of which nothing is left is not
// written, and its batch is done.
func TestEntriesWhoseAccountIsGone(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	token := c.Payment("shop-1", c.send(c.shop.Store(vaulttest.Bank("091000019", "998877665544")))).Token
	dies, gone := c.send(c.shop.BankSale(100)), c.send(c.shop.ByToken(envelope.OpSale, token, 200))
	c.send(c.shop.Forget(token))
	c.pass(8 * 24 * time.Hour)
	good := c.send(c.shop.BankSale(300))
	done := c.endOfDay(e)
	c.want("the sale whose key died", dies, book.StageRejected, envelope.CodeKeyDead, "accepted", "rejected")
	c.want("the sale by a forgotten account", gone, book.StageRejected, envelope.CodeAccountGone, "accepted", "rejected")
	c.want("the good sale", good, book.StageSettled, envelope.CodeOK, "accepted", "settled")
	_, _, file := c.theFile()
	c.hasEntries(file, []string{"WEB THE SHOP PURCHASE 1 27 12345678 300 " + c.Payment("shop-1", good).Entry + " order 17"})
	if b := done.Batches[0]; b.Done != 1 || len(b.Failed) != 1 || b.Failed[0].Count != 2 || b.Failed[0].Amount != 300 {
		t.Errorf("the batch is %+v", b)
	}
	c.noParts(dies)

	last := c.send(c.shop.BankSale(400))
	c.pass(8 * 24 * time.Hour)
	done = c.endOfDay(e)
	c.want("the last sale", last, book.StageRejected, envelope.CodeKeyDead, "accepted", "rejected")
	if len(done.Files) != 0 || done.Batches[0].Stage != book.BatchDone {
		t.Errorf("settled %+v", done)
	}
	c.theFile() // still the one
	c.changesNothing(e)
}

// fullDisk fails at one step.
type fullDisk struct {
	Disk
	stage, appear error
	keep          bool // what was staged stays, as after a crash
}

func (d fullDisk) Stage(dir, name string) (nacha.StagedFile, error) {
	if d.stage != nil {
		return nil, d.stage
	}
	return d.Disk.Stage(dir, name)
}

func (d fullDisk) Appear(dir, name string) error {
	if d.appear == nil {
		return d.Disk.Appear(dir, name)
	}
	if !d.keep {
		_ = os.Remove(filepath.Join(dir, ".partial-"+name))
	}
	return d.appear
}

// interrupted begins to settle one bank sale on a disk that fails, and returns its id.
func (c *counter) interrupted(disk fullDisk) (id string) {
	c.t.Helper()
	id = c.send(c.shop.BankSale(100))
	disk.Disk = nacha.Disk{}
	e := c.engine(func(cfg *Config) { cfg.Bank.Disk = disk })
	_, err := e.CloseBatch(c.t.Context(), "", "", person(), nil)
	c.must(err)
	if _, err := e.Settle(c.t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, errCrash) {
		c.t.Fatalf("settling on a disk that fails: %v", err)
	}
	if got := c.stage(id); got != book.StageFiling {
		c.t.Errorf("the sale is %s", got)
	}
	return id
}

func TestFileIsFinishedAfterAFailure(t *testing.T) {
	for name, disk := range map[string]fullDisk{"nothing staged": {stage: errCrash}, "staged": {appear: errCrash, keep: true}} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t, 5*time.Second)
			id := c.interrupted(disk)
			begun := c.file("nightdrop-20261124-A.ach")
			c.Clock.Pass(26 * time.Hour) // it is dated as it was begun
			done := c.endOfDay(c.engine(nil))
			if f := done.Files[0]; f.Name != begun.Name || f.Created != begun.Created || begun.Digest != "" && f.Digest != begun.Digest {
				t.Errorf("the file is %+v, it was %+v", f, begun)
			}
			c.theFile()
			c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled")
		})
	}
}

// TestStagedFileOutlivesItsAccounts: what was staged appears even when its accounts cannot be
// opened any more; without it a person is told.
func TestStagedFileOutlivesItsAccounts(t *testing.T) {
	for _, keep := range []bool{true, false} {
		c := newCounter(t, 5*time.Second)
		id := c.interrupted(fullDisk{appear: errCrash, keep: keep})
		c.pass(8 * 24 * time.Hour)
		_, err := c.engine(nil).Settle(t.Context(), book.AllBatches, "", person(), nil)
		if keep {
			c.must(err)
			c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled")
			continue
		}
		digest := c.file("nightdrop-20261124-A.ach").Digest
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), digest) {
			t.Errorf("a file that is gone: %v", err)
		}
		c.notAtTheBank()
		_, err = c.engine(nil).Settle(t.Context(), book.AllBatches, "", person(), nil)
		if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), digest) || !strings.Contains(err.Error(), id) {
			t.Errorf("a file that cannot be made again: %v", err)
		}
	}
}

// notAtTheBank leaves a person's word that the bank has not got the file that is being made.
func (c *counter) notAtTheBank() {
	c.t.Helper()
	c.must(os.WriteFile(filepath.Join(c.outbox, nacha.StagedName("nightdrop-20261124-A.ach")), nil, 0o600))
}

// TestFileThatMayBeAtTheBankIsNotMadeAgain: the vault fell after the file had appeared, and before
// the log said so, and the file was taken away.
func TestFileThatMayBeAtTheBankIsNotMadeAgain(t *testing.T) {
	for name, copied := range map[string]bool{"the bank has it": true, "the bank has it not": false} {
		t.Run(name, func(t *testing.T) {
			c := newCounter(t, 5*time.Second)
			id := c.interrupted(fullDisk{appear: errCrash, keep: true})
			path := filepath.Join(c.outbox, "nightdrop-20261124-A.ach")
			taken := filepath.Join(t.TempDir(), "taken.ach")
			c.must(nacha.Disk{}.Appear(c.outbox, filepath.Base(path)))
			c.must(os.Rename(path, taken))
			for range 2 {
				_, err := c.engine(nil).Settle(t.Context(), book.AllBatches, "", person(), nil)
				if !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "ask the bank") || c.stage(id) != book.StageFiling {
					t.Errorf("settling: %v, the sale is %s", err, c.stage(id))
				}
			}
			if left, err := os.ReadDir(c.outbox); err != nil || len(left) != 0 {
				t.Errorf("the outbox holds %v, %v", left, err)
			}
			if copied {
				c.must(os.Rename(taken, path))
			} else {
				c.notAtTheBank()
			}
			c.endOfDay(c.engine(nil))
			if _, text, _ := c.theFile(); hex.EncodeToString(digestOf(text)) != c.file(filepath.Base(path)).Digest {
				t.Error("the file is not the one whose digest is in the log")
			}
			c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled")
		})
	}
}

func digestOf(text []byte) []byte {
	sum := sha256.Sum256(text)
	return sum[:]
}

// TestOutboxThatCannotBeUsed: nothing is settled, the person is told what to do, and the next
// settlement goes on.
func TestOutboxThatCannotBeUsed(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.send(c.shop.BankSale(100))
	e := c.engine(nil)
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	away := filepath.Join(t.TempDir(), "away")
	c.must(os.Rename(c.outbox, away))
	check := func(what string, stage book.Stage) {
		t.Helper()
		_, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil)
		if !errors.Is(err, ErrUnavailable) || errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "settle again") || c.stage(id) != stage {
			t.Errorf("%s: %v, the sale is %s", what, err, c.stage(id))
		}
	}
	check("without an outbox, which is not looked at before its file has entries", book.StageFiling)
	c.must(os.WriteFile(c.outbox, nil, 0o600))
	check("with a file in the outbox's place", book.StageFiling)
	c.must(os.Remove(c.outbox))
	c.must(os.Rename(away, c.outbox))
	c.endOfDay(e)
	c.theFile()
	c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled")
}

func TestAnotherFileOfTheName(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.interrupted(fullDisk{appear: errCrash, keep: true})
	path := filepath.Join(c.outbox, "nightdrop-20261124-A.ach")
	c.must(os.WriteFile(path, []byte("something else"), 0o600))
	for range 2 {
		if _, err := c.engine(nil).Settle(t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, ErrFileThere) {
			t.Errorf("with another file in its place: %v", err)
		}
	}
	if text, err := os.ReadFile(path); err != nil || string(text) != "something else" {
		t.Errorf("the other file holds %q, %v", text, err)
	}
	c.must(os.Remove(path))
	c.endOfDay(c.engine(nil))
	c.want("the sale", id, book.StageSettled, envelope.CodeOK, "accepted", "settled")

	next := c.send(c.shop.BankSale(100))
	c.must(os.WriteFile(filepath.Join(c.outbox, "nightdrop-20261124-B.ach"), nil, 0o600))
	e := c.engine(nil)
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	if _, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, ErrFileThere) || c.stage(next) != book.StageAccepted {
		t.Errorf("with a file of the next name: %v, the sale is %s", err, c.stage(next))
	}
}

// TestChangedSettingsDoNotMakeAnotherFile: after its digest is in the log, a file is the same bytes
// or none.
func TestChangedSettingsDoNotMakeAnotherFile(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	c.interrupted(fullDisk{appear: errCrash})
	c.notAtTheBank()
	e := c.engine(func(cfg *Config) { cfg.Bank.Sender.OriginName = "ANOTHER NAME" })
	if _, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, ErrConflict) || !strings.Contains(err.Error(), "put the bank's settings") {
		t.Errorf("with other settings: %v", err)
	}
	if left, err := os.ReadDir(c.outbox); err != nil || len(left) != 0 {
		t.Errorf("the outbox holds %v, %v", left, err)
	}
	c.notAtTheBank()
	if done := c.endOfDay(c.engine(nil)); done.Payments != 1 {
		t.Errorf("with the settings put back: %+v", done)
	}
}

func TestSettlingEntriesRefusals(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	id := c.send(c.shop.BankSale(100))
	e := c.engine(func(cfg *Config) { cfg.Bank = nil })
	_, err := e.CloseBatch(t.Context(), "shop-1", book.MethodCard, person(), nil)
	c.must(err)
	if got := c.batch(1).Stage; got != book.BatchOpen {
		t.Errorf("closing the card batch left the bank batch %s", got)
	}
	closed, err := e.CloseBatch(t.Context(), "shop-1", book.MethodBank, person(), nil)
	c.must(err)
	if len(closed) != 1 || closed[0].ID() != "bank-000001" {
		t.Errorf("closed %+v", closed)
	}
	if done, err := e.Settle(t.Context(), book.AllBatches, book.MethodCard, person(), nil); err != nil || len(done.Batches) != 0 {
		t.Errorf("settling cards: %+v, %v", done, err)
	}
	if _, err := e.Settle(t.Context(), 1, "", person(), nil); !errors.Is(err, ErrConflict) {
		t.Errorf("settling entries without a bank: %v", err)
	}
	policy := vaulttest.Policy()
	policy.Company.Name = " A SPACE BEFORE"
	c.Append("shop-1", book.MerchantPolicySet{Policy: policy})
	if _, err := c.engine(nil).Settle(t.Context(), 1, "", person(), nil); !errors.Is(err, ErrConflict) || c.stage(id) != book.StageAccepted {
		t.Errorf("settling for a company that no file can name: %v", err)
	}
}

// TestFilesOfADay: thirty-six, then tomorrow.
func TestFilesOfADay(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	for n := 1; n <= book.MaxFilesPerDay; n++ {
		c.Append("shop-1", book.BatchOpened{Batch: uint32(n), Method: book.MethodBank}, book.BatchClosing{Batch: uint32(n)}, book.BatchClosed{Batch: uint32(n)})
		c.Append("", book.FileBegun{Name: fmt.Sprint("file ", n), Day: "2026-11-24", Modifier: n, Effective: "2026-11-25", Batches: []uint32{uint32(n)}},
			book.FileIntended{Name: fmt.Sprint("file ", n), Digest: strings.Repeat("0", 64)}, book.FileWritten{Name: fmt.Sprint("file ", n)})
	}
	id := c.send(c.shop.BankSale(100))
	e := c.engine(nil)
	_, err := e.CloseBatch(t.Context(), "", "", person(), nil)
	c.must(err)
	if _, err := e.Settle(t.Context(), book.AllBatches, "", person(), nil); !errors.Is(err, ErrUnavailable) || c.stage(id) != book.StageAccepted {
		t.Errorf("the file after the last: %v", err)
	}
	c.Clock.Pass(17*time.Hour + time.Minute) // midnight in New York
	if done := c.endOfDay(e); len(done.Files) != 1 || done.Files[0].Name != "nightdrop-20261125-A.ach" {
		t.Errorf("the next day: %+v", done)
	}
}

// TestTraceNumbersBeginAgain: entries whose numbers started from 1 again within a file get batches
// of their own, for in each the numbers ascend.
func TestTraceNumbersBeginAgain(t *testing.T) {
	found := sorting{ids: map[class][]string{}}
	for i, sequence := range []uint32{book.MaxSequence - 1, book.MaxSequence, 1, 2} {
		p := book.Payment{ID: fmt.Sprint(i), Batch: 7, Operation: envelope.OpSale,
			BankEntry: book.BankEntry{Standard: "WEB", Entry: nacha.TraceNumber("09100001", sequence)}}
		if err := found.add(p); err != nil {
			t.Fatal(err)
		}
	}
	before, after := class{batch: 7, standard: "WEB", description: "PURCHASE"}, class{batch: 7, again: true, standard: "WEB", description: "PURCHASE"}
	want := map[class][]string{before: {"0", "1"}, after: {"2", "3"}}
	if !reflect.DeepEqual(found.ids, want) || before.compare(after) >= 0 || after.compare(class{batch: 8}) >= 0 {
		t.Errorf("batches %v, want %v in this order", found.ids, want)
	}
}

// TestDropParts: a bank account is kept for refunds until its key dies, and one that waits for its
// file keeps its part until it is refused.
func TestDropParts(t *testing.T) {
	c := newCounter(t, 5*time.Second)
	e := c.engine(nil)
	first := c.send(c.shop.BankSale(100))
	c.endOfDay(e)
	c.pass(2 * 24 * time.Hour)
	second := c.send(c.shop.BankSale(100))
	c.endOfDay(e)
	waits := c.send(c.shop.BankSale(100))
	has := func(id string) (found bool) {
		c.View(func(tx *ledger.Tx) (err error) {
			_, found, err = tx.Part("shop-1", id, envelope.PartAccount)
			return err
		})
		return found
	}
	c.must(e.DropParts(t.Context(), nil))
	if !has(first) || !has(second) || !has(waits) {
		t.Error("parts were dropped although nothing died")
	}
	var key envelope.KeyName
	c.View(func(tx *ledger.Tx) error {
		part, _, err := tx.Part("shop-1", second, envelope.PartAccount)
		key = part.Key
		return err
	})
	c.must(e.DropParts(t.Context(), []envelope.KeyName{key}))
	if !has(first) || has(second) || !has(waits) {
		t.Errorf("after its key died: %v %v %v", has(first), has(second), has(waits))
	}
	c.pass(partLife + time.Hour)
	c.must(e.DropParts(t.Context(), nil))
	if has(first) || !has(waits) {
		t.Errorf("by age: %v %v", has(first), has(waits))
	}
	c.endOfDay(e)
	c.want("the sale that waited", waits, book.StageRejected, envelope.CodeKeyDead, "accepted", "rejected")
	if has(waits) {
		t.Error("the part of a refused entry is there")
	}
}
