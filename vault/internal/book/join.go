package book

// Joining is which batch a payment joins, and what comes before.
type Joining struct {
	// 0: the last number of a batch is used, and the payment is refused (result code limit)
	Batch uint32
	// the open batch that is closed first, for no file could hold it with the payment; 0: none
	Full   uint32
	Opens  bool // whether Batch is opened first
	method Method
}

// Joins decides which batch a payment of the merchant joins: the open one of its method, or a new
// one where none is open or the open one is full. p's operation, amount, currency and method count.
func Joins(s interface {
	Vault() (Vault, error)
	Batch(number uint32) (Batch, bool, error)
}, m Merchant, p Payment) (Joining, error) {
	j := Joining{method: p.Way()}
	j.Batch = m.Open(j.method)
	if j.Batch != 0 && j.method == MethodBank {
		batch, _, err := s.Batch(j.Batch)
		if err != nil {
			return j, err
		}
		if !batch.Fits(p) {
			j.Batch, j.Full = 0, j.Batch
		}
	}
	if j.Batch != 0 {
		return j, nil
	}
	v, err := s.Vault()
	if err != nil || !v.MayOpenBatch() {
		return Joining{}, err
	}
	j.Batch, j.Opens = v.NextBatch, true
	return j, nil
}

// Before lists the events of the merchant that come before the payment joins, in their order.
func (j Joining) Before() (bodies []Body) {
	if j.Full != 0 {
		bodies = append(bodies, BatchClosing{Batch: j.Full})
	}
	if j.Opens {
		bodies = append(bodies, BatchOpened{Batch: j.Batch, Method: j.method})
	}
	return bodies
}
