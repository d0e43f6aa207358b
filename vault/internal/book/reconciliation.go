package book

// ReconciliationIntended is committed before each 0500 leaves.
type ReconciliationIntended struct {
	Batch    uint32 `json:"batch"`
	Currency string `json:"currency"`
	Trace    Trace  `json:"trace"`
}

// Kind implements Body.
func (ReconciliationIntended) Kind() string { return "reconciliation-intended" }

// ReconciliationAnswered is the host's 0510 with its own totals.
type ReconciliationAnswered struct {
	Batch  uint32 `json:"batch"`
	Agreed bool   `json:"agreed"`
	Host   Total  `json:"host"`
}

// Kind implements Body.
func (ReconciliationAnswered) Kind() string { return "reconciliation-answered" }

func (f *fold) reconciling(b ReconciliationIntended) error {
	if _, err := f.fixedBatch(b.Batch, b.Currency); err != nil {
		return err
	}
	return f.useTrace(b.Trace)
}

// fixedBatch reads a batch that may be reconciled in currency: closed, with none of it settled.
func (f *fold) fixedBatch(number uint32, currency string) (Batch, error) {
	b, ok, err := f.Batch(number)
	if err != nil {
		return b, err
	}
	fixed := b.Stage == BatchFixed || b.Stage == BatchDiffers
	// with a new line the host is asked again
	if !ok || b.Method != MethodCard || !fixed || b.Done != 0 && len(b.Lines) == 0 {
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

// reconciled puts the host's total in place of its earlier one in the same currency.
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
