package book

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

// MaxBatch is the last number of a batch: six digits on the wire to the acquirer, none used twice.
const MaxBatch = 999_999

// MayOpenBatch reports whether a number is left for another batch. If not, what would join one is
// refused (result code limit).
func (v Vault) MayOpenBatch() bool { return v.NextBatch <= MaxBatch }

// BatchStage is where a batch stands.
type BatchStage string

// The stages of a batch.
const (
	BatchOpen    BatchStage = "open"    // new authorisations join
	BatchCutover BatchStage = "closing" // none join; some are still in flight
	BatchFixed   BatchStage = "closed"  // immutable
	BatchDiffers BatchStage = "differs" // the acquirer's totals are not ours
	BatchDone    BatchStage = "settled" // final
)

// Batches are kept by number.
var Batches = &Table[uint32, Batch]{Name: "batches", Line: "batch", Key: func(b Batch) uint32 { return b.Number },
	Bytes: func(number uint32) []byte { return binary.BigEndian.AppendUint32(nil, number) }}

// Batch returns a batch.
func (s *State) Batch(number uint32) (Batch, bool, error) { return Batches.Get(s, number) }

// Batch collects a merchant's payments of one method.
type Batch struct {
	Number   uint32        `json:"number"` // 1 to 999999, unique in the vault
	Merchant string        `json:"merchant"`
	Method   Method        `json:"method"`
	Stage    BatchStage    `json:"stage"`
	Opened   envelope.Time `json:"opened"`
	Closed   envelope.Time `json:"closed,omitzero"`
	Settled  envelope.Time `json:"settled,omitzero"`
	Totals   []Total       `json:"totals,omitempty"` // of what stands, by currency, sorted
	// sum of the numbers of what stands, modulo 10^10: shows whether it is the same payments
	HashTotal uint64 `json:"hashTotal,omitempty"`
	// authorising, capturing, voiding: answers to come
	Outstanding int64 `json:"outstanding,omitempty"`
	// unknown or manual: reversals, or a person's decision, to come
	Unresolved int64 `json:"unresolved,omitempty"`
	Done       int64 `json:"done,omitempty"` // payments settled
	// bank: entries whose account could not be opened for the file
	Failed []Total `json:"failed,omitempty"`
	File   string  `json:"file,omitempty"`   // bank: the settlement file
	Agreed []Total `json:"agreed,omitempty"` // currencies whose totals the host confirmed
	Host   []Total `json:"host,omitempty"`   // the host's totals where they differ
	// of Totals: payments that a person's correction has taken out since
	Corrected int64 `json:"corrected,omitempty"`
	// what the acquirer has otherwise, and why that is accepted; oldest first
	Lines []Adjustment `json:"lines,omitempty"`
	By    Way          `json:"by,omitempty"` // what it was agreed by, where not by the host's 0510
}

// ID is the batch's name to the outside: "card-000017".
func (b Batch) ID() string { return BatchID(b.Method, b.Number) }

// AllBatches stands for every batch where one may be named: their numbers begin at 1.
const AllBatches uint32 = 0

// BatchID is a batch's name to the outside: 1 to 32 of a-z0-9-.
func BatchID(m Method, number uint32) string { return fmt.Sprintf("%s-%06d", m, number) }

// Count is the number of payments that stand, in all currencies.
func (b Batch) Count() int64 { return countOf(b.Totals) }

// Due is how many of them are still to be settled.
func (b Batch) Due() int64 { return b.Count() - countOf(b.Failed) - b.Done - b.Corrected }

func countOf(totals []Total) (n int64) {
	for _, t := range totals {
		n += t.Count + t.Credits
	}
	return n
}

// Total is one currency's control total, by sign.
type Total struct {
	Currency     string `json:"currency"`
	Count        int64  `json:"count"`                  // of debits: sales and captures
	Amount       int64  `json:"amount"`                 // of debits, minor units
	Credits      int64  `json:"credits,omitempty"`      // number of credits: refunds and payouts
	CreditAmount int64  `json:"creditAmount,omitempty"` // minor units
}

// BatchOpened starts a merchant's batch.
type BatchOpened struct {
	Batch  uint32 `json:"batch"`
	Method Method `json:"method"`
}

// Kind implements Body.
func (BatchOpened) Kind() string { return "batch-opened" }

// BatchClosing cuts over: no new authorisation joins the batch.
type BatchClosing struct {
	Batch uint32 `json:"batch"`
}

// Kind implements Body.
func (BatchClosing) Kind() string { return "batch-closing" }

// BatchClosed fixes the batch's content for ever.
type BatchClosed struct {
	Batch     uint32  `json:"batch"`
	Totals    []Total `json:"totals"` // by currency, sorted
	HashTotal uint64  `json:"hashTotal,omitempty"`
}

// Kind implements Body.
func (BatchClosed) Kind() string { return "batch-closed" }

// BatchSettled reports that every payment of the batch is settled.
type BatchSettled struct {
	Batch uint32 `json:"batch"`
}

// Kind implements Body.
func (BatchSettled) Kind() string { return "batch-settled" }

// inBatch changes a batch of the event's merchant, which must stand in stage unless that is empty.
func (f *fold) inBatch(number uint32, stage BatchStage, change func(Batch) Batch) error {
	b, ok, err := f.Batch(number)
	if err != nil {
		return err
	}
	if !ok {
		return misfit("no batch %d", number)
	}
	if b.Merchant != f.event.Merchant {
		return misfit("batch %d is another merchant's", number)
	}
	if stage != "" && b.Stage != stage {
		return misfit("batch %d is %s", number, b.Stage)
	}
	return Batches.Put(f.State, change(b))
}

func (f *fold) batchOpened(b BatchOpened) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	m, ok, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	open := m.open(b.Method)
	if !ok || open == nil || *open != 0 || b.Batch != v.NextBatch || !v.MayOpenBatch() {
		return misfit("batch %d cannot be opened for %s", b.Batch, f.event.Merchant)
	}
	v.NextBatch++
	*open = b.Batch
	if err := TheVault.Put(f.State, v); err != nil {
		return err
	}
	if err := Merchants.Put(f.State, m); err != nil {
		return err
	}
	return Batches.Put(f.State, Batch{Number: b.Batch, Merchant: m.ID, Method: b.Method, Stage: BatchOpen, Opened: f.event.Time})
}

// open is where the merchant keeps the number of its open batch; nil for an unknown method.
func (m *Merchant) open(method Method) *uint32 {
	switch method {
	case MethodCard:
		return &m.OpenBatch
	case MethodBank:
		return &m.OpenBank
	}
	return nil
}

// Open returns the number of the merchant's open batch of a method; 0 where there is none.
func (m Merchant) Open(method Method) uint32 {
	if open := m.open(method); open != nil {
		return *open
	}
	return 0
}

func (f *fold) batchClosing(b BatchClosing) error {
	if err := f.inBatch(b.Batch, BatchOpen, func(batch Batch) Batch { batch.Stage = BatchCutover; return batch }); err != nil {
		return err
	}
	return f.leaveBatch(b.Batch)
}

func (f *fold) leaveBatch(number uint32) error {
	m, _, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	for _, method := range []Method{MethodCard, MethodBank} {
		if open := m.open(method); *open == number {
			*open = 0
			return Merchants.Put(f.State, m)
		}
	}
	return misfit("batch %d is not an open batch of %s", number, m.ID)
}

func (f *fold) batchClosed(b BatchClosed) error {
	batch, ok, err := f.Batch(b.Batch)
	if err != nil {
		return err
	}
	if !ok || batch.Stage != BatchCutover || batch.Outstanding != 0 || batch.Unresolved != 0 {
		return misfit("batch %d cannot be closed yet", b.Batch)
	}
	if !slices.Equal(batch.Totals, b.Totals) || batch.HashTotal != b.HashTotal {
		return misfit("control totals of batch %d are not the ledger's", b.Batch)
	}
	return f.inBatch(b.Batch, BatchCutover, func(batch Batch) Batch { batch.Stage, batch.Closed = BatchFixed, f.event.Time; return batch })
}

func (f *fold) batchSettled(b BatchSettled) error {
	batch, ok, err := f.Batch(b.Batch)
	if err != nil {
		return err
	}
	if !ok || batch.Due() != 0 {
		return misfit("batch %d has payments that are not settled", b.Batch)
	}
	ready, err := f.ready(batch)
	if err != nil {
		return err
	}
	if !ready {
		return misfit("batch %d has not been answered for", b.Batch)
	}
	return f.inBatch(b.Batch, BatchFixed, func(batch Batch) Batch { batch.Stage, batch.Settled = BatchDone, f.event.Time; return batch })
}

// ready reports whether the batch's payments may be settled: what is expected at the acquirer was
// agreed, or its file is out.
func (f *fold) ready(b Batch) (bool, error) {
	if b.Method != MethodBank {
		return slices.Equal(b.Expected(), b.Agreed), nil
	}
	if b.Due() == 0 && b.Done == 0 && b.File == "" {
		return true, nil // nothing of it was fit for a file
	}
	file, ok, err := f.File(b.File)
	return ok && file.Stage == FileOut, err
}

func totalOf(totals []Total, currency string) (Total, bool) {
	i := slices.IndexFunc(totals, func(t Total) bool { return t.Currency == currency })
	if i < 0 {
		return Total{}, false
	}
	return totals[i], true
}

func withoutTotal(totals []Total, currency string) []Total {
	return slices.DeleteFunc(slices.Clone(totals), func(t Total) bool { return t.Currency == currency })
}

// addTotal adds to the total of t's currency; one that comes to nothing is left out.
func addTotal(totals []Total, t Total) []Total {
	totals = slices.Clone(totals)
	i, found := slices.BinarySearchFunc(totals, t.Currency, func(t Total, c string) int { return strings.Compare(t.Currency, c) })
	if !found {
		return slices.Insert(totals, i, t)
	}
	row := &totals[i]
	row.Count, row.Amount = row.Count+t.Count, row.Amount+t.Amount
	row.Credits, row.CreditAmount = row.Credits+t.Credits, row.CreditAmount+t.CreditAmount
	if row.Count == 0 && row.Credits == 0 {
		return slices.Delete(totals, i, i+1)
	}
	return totals
}

// total is what p adds to a control total.
func (p Payment) total(sign int64) Total {
	if p.Credit() {
		return Total{Currency: p.Currency, Credits: sign, CreditAmount: sign * p.Amount}
	}
	return Total{Currency: p.Currency, Count: sign, Amount: sign * p.Amount}
}

// hashModulus keeps a hash total at ten digits, as NACHA's entry hash.
const hashModulus = 10_000_000_000

// stand counts p among what stands in the batch.
func (b *Batch) stand(p Payment) {
	b.Totals = addTotal(b.Totals, p.total(1))
	b.HashTotal = (b.HashTotal + p.Number) % hashModulus
}

// fall takes p out again.
func (b *Batch) fall(p Payment) {
	b.Totals = addTotal(b.Totals, p.total(-1))
	b.HashTotal = (b.HashTotal + hashModulus - p.Number%hashModulus) % hashModulus
}
