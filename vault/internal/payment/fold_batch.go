package payment

import (
	"slices"

	"nightdrop/shared/envelope"
)

// inBatch changes a batch of the event's merchant, which must stand in stage unless that is empty.
func (f *fold) inBatch(number uint32, stage BatchStage, change func(*Batch)) error {
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
	change(&b)
	return f.PutBatch(b)
}

func (f *fold) batch(body Body) error {
	switch b := body.(type) {
	case BatchOpened:
		return f.batchOpened(b)
	case BatchClosing:
		if err := f.inBatch(b.Batch, BatchOpen, func(batch *Batch) { batch.Stage = BatchCutover }); err != nil {
			return err
		}
		return f.leaveBatch(b.Batch)
	case BatchClosed:
		return f.batchClosed(b)
	case ReconciliationIntended:
		if _, err := f.fixedBatch(b.Batch, b.Currency); err != nil {
			return err
		}
		return f.useTrace(b.Trace)
	case ReconciliationAnswered:
		return f.reconciled(b)
	case BatchSettled:
		return f.batchSettled(b)
	}
	return ErrUnknownKind
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
	if !ok || m.OpenBatch != 0 || b.Method != MethodCard || b.Batch != v.NextBatch || b.Batch > maxSTAN {
		return misfit("batch %d cannot be opened for %s", b.Batch, f.event.Merchant)
	}
	v.NextBatch++
	m.OpenBatch = b.Batch
	if err := f.PutVault(v); err != nil {
		return err
	}
	if err := f.PutMerchant(m); err != nil {
		return err
	}
	return f.PutBatch(Batch{Number: b.Batch, Merchant: m.ID, Method: b.Method, Stage: BatchOpen, Opened: f.event.Time})
}

func (f *fold) leaveBatch(number uint32) error {
	m, _, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if m.OpenBatch != number {
		return misfit("batch %d is not the open one of %s", number, m.ID)
	}
	m.OpenBatch = 0
	return f.PutMerchant(m)
}

func (f *fold) batchClosed(b BatchClosed) error {
	batch, ok, err := f.Batch(b.Batch)
	if err != nil {
		return err
	}
	if !ok || batch.Stage != BatchCutover || batch.Outstanding != 0 {
		return misfit("batch %d cannot be closed yet", b.Batch)
	}
	if !slices.Equal(batch.Totals, b.Totals) {
		return misfit("control totals of batch %d are not the ledger's", b.Batch)
	}
	return f.inBatch(b.Batch, BatchCutover, func(batch *Batch) { batch.Stage, batch.Closed = BatchFixed, f.event.Time })
}

// fixedBatch reads a batch that may be reconciled in currency: its content is fixed, no outcome is open, none is settled yet.
func (f *fold) fixedBatch(number uint32, currency string) (Batch, error) {
	b, ok, err := f.Batch(number)
	if err != nil {
		return b, err
	}
	fixed := b.Stage == BatchFixed || b.Stage == BatchDiffers
	if !ok || !fixed || b.Unresolved != 0 || b.Done != 0 {
		return b, misfit("batch %d cannot be reconciled", number)
	}
	if b.Merchant != f.event.Merchant {
		return b, misfit("batch %d is another merchant's", number)
	}
	if _, ok := totalOf(b.Totals, currency); !ok {
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
	if ours, _ := totalOf(batch.Totals, b.Host.Currency); b.Agreed && ours != b.Host {
		return misfit("totals of batch %d that are not the ledger's cannot be agreed", b.Batch)
	}
	batch.Agreed = withoutTotal(batch.Agreed, b.Host.Currency)
	batch.Host = withoutTotal(batch.Host, b.Host.Currency)
	if b.Agreed {
		batch.Agreed = addTotal(batch.Agreed, b.Host.Currency, b.Host.Count, b.Host.Amount)
	} else {
		batch.Host = addTotal(batch.Host, b.Host.Currency, b.Host.Count, b.Host.Amount)
	}
	batch.Stage = BatchFixed
	if len(batch.Host) > 0 {
		batch.Stage = BatchDiffers
	}
	return f.PutBatch(batch)
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

func (f *fold) settled(b PaymentSettled) error {
	p, err := f.inStage(b.ID, StageApproved)
	if err != nil {
		return err
	}
	if p.Batch != b.Batch {
		return misfit("payment %s is of batch %d", b.ID, p.Batch)
	}
	var ready bool
	err = f.inBatch(b.Batch, BatchFixed, func(batch *Batch) { batch.Done++; ready = slices.Equal(batch.Totals, batch.Agreed) })
	if err != nil {
		return err
	}
	if !ready {
		return misfit("batch %d is not agreed with the acquirer", b.Batch)
	}
	p.Stage = StageSettled
	return f.issue(p, envelope.StatusSettled, p.Code)
}

func (f *fold) batchSettled(b BatchSettled) error {
	batch, ok, err := f.Batch(b.Batch)
	if err != nil {
		return err
	}
	if !ok || batch.Unresolved != 0 || batch.Done != batch.Count() || !slices.Equal(batch.Totals, batch.Agreed) {
		return misfit("batch %d has payments that are not settled", b.Batch)
	}
	return f.inBatch(b.Batch, BatchFixed, func(batch *Batch) { batch.Stage, batch.Settled = BatchDone, f.event.Time })
}
