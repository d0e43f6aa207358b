package ledger

// turnsWindow is how many keys are read, at each end of an index of results, to find whose turn it
// is: more than are issued in a second. What waits in between has its turn as the oldest.
const turnsWindow = 4096

// waiting is one entry of an index of results.
type waiting struct {
	merchant string
	serial   uint64
}

// outbox reads at most limit results of an index: the merchants take turns, so that one with very
// many delays no other. Each has its oldest first, in the order of serials.
func (tx *Tx) outbox(index string, limit int, fn func(merchant string, serial uint64, r result) error) error {
	queues, err := tx.queues(index, limit)
	if err != nil {
		return err
	}
	for turn := 0; limit > 0; turn++ {
		served := false
		for _, queue := range queues {
			if turn >= len(queue) || limit == 0 {
				continue
			}
			p := queue[turn]
			r, _, err := tx.result(p.merchant, p.serial)
			if err != nil {
				return err
			}
			if err := fn(p.merchant, p.serial, r); err != nil {
				return err
			}
			served = true
			limit--
		}
		if !served {
			return nil
		}
	}
	return nil
}

// queues are the results of an index that are read, by merchant, in the order in which merchants
// appear: at the index's head first, the oldest, then at its tail.
func (tx *Tx) queues(index string, limit int) (queues [][]waiting, err error) {
	where := map[string]int{} // merchant -> its queue
	add := func(p waiting) {
		n, ok := where[p.merchant]
		if !ok {
			n = len(queues)
			where[p.merchant], queues = n, append(queues, nil)
		}
		queues[n] = append(queues[n], p)
	}
	cursor := tx.bucket(index).Cursor()
	seen := 0
	writes := tx.writes
	k, _ := cursor.First()
	for ; k != nil && seen < turnsWindow; k, _ = cursor.Next() {
		merchant, serial, err := tx.waitingIn(index, k)
		if err != nil {
			return nil, err
		}
		add(waiting{merchant, serial})
		seen++
	}
	if k == nil {
		return queues, tx.walked(index, nil, seen, writes)
	}
	last := string(k)
	inHead := len(queues)
	oldest := map[string]uint64{} // of the merchants that are at the tail only
	var order []string
	for k, _ := cursor.Last(); k != nil && string(k) >= last && seen < 2*turnsWindow; k, _ = cursor.Prev() {
		merchant, serial, err := tx.waitingIn(index, k)
		if err != nil {
			return nil, err
		}
		seen++
		if n, ok := where[merchant]; ok && n < inHead {
			continue
		}
		if _, ok := oldest[merchant]; !ok {
			order = append(order, merchant)
		}
		oldest[merchant] = serial
	}
	for _, merchant := range order {
		list, err := tx.from(index, merchant, oldest[merchant], limit)
		if err != nil {
			return nil, err
		}
		for _, p := range list {
			add(p)
		}
	}
	return queues, nil
}

// waitingIn reads the key of an entry of an index.
func (tx *Tx) waitingIn(index string, key []byte) (merchant string, serial uint64, err error) {
	if err := tx.agree(index, key, []byte{}); err != nil {
		return "", 0, err
	}
	return splitOutboxKey(key)
}

// from lists at most limit results of a merchant in an index, its oldest first; known is one of
// them. It is empty where the oldest is further back than limit: its turn comes as the head moves
// on.
func (tx *Tx) from(index, merchant string, known uint64, limit int) (list []waiting, err error) {
	first := known
	for steps := 0; first > 1; steps++ {
		waits, err := tx.inIndex(index, merchant, first-1)
		if err != nil {
			return nil, err
		}
		if !waits {
			break
		}
		if steps == limit {
			return nil, nil
		}
		first--
	}
	end, err := tx.issued(merchant)
	if err != nil {
		return nil, err
	}
	for serial := first; serial <= end && len(list) < limit; serial++ {
		waits, err := tx.inIndex(index, merchant, serial)
		if err != nil {
			return nil, err
		}
		if !waits {
			break
		}
		list = append(list, waiting{merchant, serial})
	}
	return list, nil
}

func (tx *Tx) inIndex(index, merchant string, serial uint64) (bool, error) {
	r, _, err := tx.result(merchant, serial)
	if err != nil {
		return false, err
	}
	entry, err := tx.read(index, outboxKey(r.Place.Index, merchant, serial))
	return entry != nil, err
}

// issued is the serial of a merchant's newest result, sealed or not.
func (tx *Tx) issued(merchant string) (uint64, error) {
	m, _, err := tx.Merchant(merchant)
	return m.Results, err
}
