package book

import (
	"slices"
	"strings"
)

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

func (f *fold) batchClosing(b BatchClosing) error {
	if err := f.inBatch(b.Batch, BatchOpen, func(batch Batch) Batch { batch.Stage = BatchCutover; return batch }); err != nil {
		return err
	}
	return f.leaveBatch(b.Batch)
}

func (f *fold) reconciling(b ReconciliationIntended) error {
	if _, err := f.fixedBatch(b.Batch, b.Currency); err != nil {
		return err
	}
	return f.useTrace(b.Trace)
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

// open is where the merchant has the number of its open batch of a method, nil for a method that is none.
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
	return misfit("batch %d is no open one of %s", number, m.ID)
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

// fixedBatch reads a batch that may be reconciled in currency: its content is fixed, no outcome is open, none is settled yet.
func (f *fold) fixedBatch(number uint32, currency string) (Batch, error) {
	b, ok, err := f.Batch(number)
	if err != nil {
		return b, err
	}
	fixed := b.Stage == BatchFixed || b.Stage == BatchDiffers
	if !ok || b.Method != MethodCard || !fixed || b.Done != 0 && len(b.Lines) == 0 { // with a new line the host is asked again
		return b, misfit("batch %d cannot be reconciled", number)
	}
	if b.Merchant != f.event.Merchant {
		return b, misfit("batch %d is another merchant's", number)
	}
	if _, ok := totalOf(b.Expected(), currency); !ok {
		return b, misfit("batch %d has no total in %s", number, currency)
	}
	return b, nil
}

// reconciled puts the host's word in place of its earlier one about the same currency.
func (f *fold) reconciled(b ReconciliationAnswered) error {
	batch, err := f.fixedBatch(b.Batch, b.Host.Currency)
	if err != nil {
		return err
	}
	if ours, _ := totalOf(batch.Expected(), b.Host.Currency); b.Agreed && ours != b.Host {
		return misfit("totals of batch %d that are not the ledger's cannot be agreed", b.Batch)
	}
	batch.Agreed = withoutTotal(batch.Agreed, b.Host.Currency)
	batch.Host = withoutTotal(batch.Host, b.Host.Currency)
	if b.Agreed {
		batch.Agreed = addTotal(batch.Agreed, b.Host)
	} else {
		batch.Host = addTotal(batch.Host, b.Host)
	}
	batch.Stage = BatchFixed
	if len(batch.Host) > 0 {
		batch.Stage = BatchDiffers
	}
	return Batches.Put(f.State, batch)
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

// ready tells whether the batch's payments may be called settled: what is expected at the acquirer was agreed, or its file is out.
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
