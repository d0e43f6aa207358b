package simulation

import (
	"fmt"
	"slices"

	"nightdrop/ops/simulator/bank"
	"nightdrop/ops/simulator/host"
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// compare holds the ledger against the books of the acquirer's host and of the bank, one by one,
// and the log against its rules.
func (w *world) compare() {
	w.compareHost()
	w.compareBank()
	w.compareResults()
	for _, p := range w.payments(nil) {
		if slices.Contains(underway, p.Stage) || p.Stage == book.StageManual || p.Stage == book.StageAccepted || p.Stage == book.StageFiling {
			w.fail("%s is left at %s", p.ID, p.Stage)
		}
	}
	w.view(func(tx *ledger.Tx) error {
		return tx.Batches(func(b book.Batch) error {
			if b.Stage != book.BatchDone {
				w.fail("%s is left at %s", b.ID(), b.Stage)
			}
			return nil
		})
	})
}

// types are the message types under which the host books what a flow asks for.
var types = map[book.Flow]string{book.FlowSale: "0200", book.FlowRefund: "0200", book.FlowAuthorise: "0100", book.FlowCapture: "0220"}

// keyOf is what the host calls a payment's request; the zero key of one that has none.
func keyOf(p book.Payment) host.Key {
	if p.Trace == nil || types[p.Flow()] == "" {
		return host.Key{}
	}
	return host.Key{Type: types[p.Flow()], Terminal: p.Trace.Terminal, STAN: fmt.Sprintf("%06d", p.Trace.STAN),
		Sent: p.Trace.Sent.UTC().Format("0102150405"), RRN: p.Trace.RRN}
}

func standing(t host.Transaction) bool { return slices.Contains(approvals[:], t.Answer) && !t.Reversed }

// approvals are the codes of ISO 8583:1987 after which a host holds or moves money, whatever the
// vault makes of them.
var approvals = [...]string{"00", "08", "10", "11", "16", "85"}

// transactions are the host's, by what it calls them.
func (w *world) transactions() map[host.Key]host.Transaction {
	all := map[host.Key]host.Transaction{}
	for _, t := range w.statement().Transactions {
		all[t.Key] = t
	}
	return all
}

func (w *world) statement() host.Statement {
	s, err := host.ReadBook(w.hostBook())
	w.must(err)
	return s
}

// stands reports whether the vault counts on a card payment's standing at the host.
func stands(p book.Payment) bool {
	switch p.Stage {
	case book.StageApproved, book.StageSettled, book.StageAuthorised, book.StageCompleted, book.StageExpired, book.StageCaptured:
		return types[p.Flow()] != ""
	}
	return false
}

// compareHost: what stands here stands there once, with the same amount, and what stands there
// stands here.
func (w *world) compareHost() {
	statement, there := w.statement(), w.transactions()
	captured, refunded := w.besides()
	if len(statement.Doubled) != 0 || statement.Conflicts != 0 {
		w.fail("the host has %v twice, and %d conflicts", statement.Doubled, statement.Conflicts)
	}
	for _, p := range w.payments(nil) {
		key := keyOf(p)
		t, booked := there[key]
		delete(there, key)
		if (stands(p) || p.AtHost) != (booked && standing(t)) {
			w.fail("%s %s is %s; at the host it is booked %v, answered %q, reversed %v", p.Operation, p.ID, p.Stage, booked, t.Answer, t.Reversed)
		}
		if !stands(p) {
			continue
		}
		currency, _ := envelope.LookupCurrency(p.Currency)
		batch := ""
		if p.Batch != 0 {
			batch = fmt.Sprintf("%06d", p.Batch)
		}
		if t.Amount != p.Amount || t.Currency != currency.Numeric || t.Batch != batch {
			w.fail("%s is %d %s in batch %d; at the host %d %s in %s", p.ID, p.Amount, p.Currency, p.Batch, t.Amount, t.Currency, t.Batch)
		}
		if t.Captured != p.Captured+captured[p.ID] {
			w.fail("of %s %d is captured; at the host %d", p.ID, p.Captured, t.Captured)
		}
		if t.Refunded != p.Refunded+refunded[p.ID] {
			w.fail("of %s %d is refunded; at the host %d", p.ID, p.Refunded, t.Refunded)
		}
	}
	for key, t := range there {
		w.fail("the host has a %s of %d under %s that is nobody's (standing: %v)", t.Kind, t.Amount, key.STAN, standing(t))
	}
}

// compareBank: every entry that the vault filed is in the bank's book once, and nothing else; what
// came back there came back here.
func (w *world) compareBank() {
	statement := w.bank.Statement()
	if len(statement.Doubled) != 0 || statement.Refused != 0 {
		w.fail("the bank has %v twice, and refused %d files", statement.Doubled, statement.Refused)
	}
	there := map[string]bank.Entry{}
	for _, f := range statement.List {
		w.compareFile(f)
		for _, e := range f.Entries {
			there[e.Trace] = e
		}
	}
	for _, p := range w.payments(nil) {
		if p.Stage != book.StageSettled && p.Stage != book.StageReturned || p.Flow() != book.FlowEntry {
			continue
		}
		e, booked := there[p.Entry]
		delete(there, p.Entry)
		if !booked || e.Amount != p.Amount || e.Credit != p.Credit() || e.Standard != p.Standard {
			w.fail("%s %s of %d is %s; the bank has %+v", p.Operation, p.ID, p.Amount, p.Stage, e)
		}
		if (p.Stage == book.StageReturned) != (e.Return != "") || e.Return != "" && p.Code != envelope.Code("ach-"+e.Return) {
			w.fail("%s is %s %s; the bank returned it with %q", p.ID, p.Stage, p.Code, e.Return)
		}
	}
	for trace, e := range there {
		w.fail("the bank has an entry %s of %d that is nobody's", trace, e.Amount)
	}
}

// compareFile: the bank has the file whose digest is in the log.
func (w *world) compareFile(f bank.File) {
	w.view(func(tx *ledger.Tx) error {
		ours, found, err := tx.File(f.Name)
		if err == nil && (!found || ours.Stage != book.FileOut || ours.Digest != f.Hash || ours.Entries != len(f.Entries)) {
			w.fail("the bank has %s of %d entries with digest %s; the log has %+v", f.Name, len(f.Entries), f.Hash, ours)
		}
		return err
	})
}

// after says which statuses may follow in the results of one envelope; "" begins.
var after = map[envelope.Status][]envelope.Status{
	"": {envelope.StatusRejected, envelope.StatusDeclined, envelope.StatusApproved, envelope.StatusAccepted, envelope.StatusUnknown, envelope.StatusCaptured,
		envelope.StatusRefunded, envelope.StatusVoided, envelope.StatusStored, envelope.StatusUpdated, envelope.StatusForgotten},
	envelope.StatusApproved: {envelope.StatusSettled, envelope.StatusExpired},
	envelope.StatusAccepted: {envelope.StatusSettled, envelope.StatusRefunded, envelope.StatusPaidOut, envelope.StatusRejected},
	envelope.StatusUnknown: {envelope.StatusReversed, envelope.StatusApproved, envelope.StatusRefunded, envelope.StatusCaptured, envelope.StatusDeclined,
		envelope.StatusVoided},
	envelope.StatusCaptured: {envelope.StatusSettled},
	envelope.StatusRefunded: {envelope.StatusSettled, envelope.StatusReturned, envelope.StatusNoted},
	envelope.StatusSettled:  {envelope.StatusReturned, envelope.StatusNoted},
	envelope.StatusPaidOut:  {envelope.StatusReturned, envelope.StatusNoted},
	envelope.StatusReturned: {envelope.StatusNoted},
	envelope.StatusNoted:    {envelope.StatusReturned, envelope.StatusNoted},
}

// compareResults folds the log again: no result contradicts one before it, no trace number is used
// twice, and what the fold counts is what the payments come to.
func (w *world) compareResults() {
	folded := book.NewMemory()
	told := map[book.Key]envelope.Status{}
	traces := map[string]string{}
	w.view(func(tx *ledger.Tx) error {
		size, err := tx.TreeSize()
		for i := int64(0); i < size && err == nil; i++ {
			var e ledger.LogEntry
			if e, err = tx.LogEntry(uint64(i)); err != nil {
				return err
			}
			w.unheld(folded, e.Event)
			var issued *book.Issued
			if issued, err = book.Apply(folded, e.Event); issued != nil {
				w.follows(told, e.Event.Body, issued)
			}
			w.usedOnce(traces, i, e.Event)
		}
		return err
	})
	if err := folded.Verify(); err != nil {
		w.fail("the log's sums: %v", err)
	}
}

func (w *world) follows(told map[book.Key]envelope.Status, body book.Body, issued *book.Issued) {
	key, status := book.Key{Merchant: issued.Merchant, ID: issued.ID}, issued.Facts.Status
	may := after
	if _, corrects := body.(book.PaymentCorrected); corrects {
		may = afterCorrection
	}
	if !slices.Contains(may[told[key]], status) {
		w.fail("%s was told %q after %q", issued.ID, status, told[key])
	}
	told[key] = status
}

// unheld checks that the trace number of a new message is borne by no open message of another
// payment, from whatever day.
func (w *world) unheld(folded *book.State, e book.Event) {
	var t book.Trace
	var id string
	switch b := e.Body.(type) {
	case book.AuthorisationIntended:
		t, id = b.Trace, b.ID
	case book.ReconciliationIntended:
		t = b.Trace
	case book.CaptureIntended:
		t, id = b.Trace, b.ID
	case book.ReversalIntended:
		t, id = b.Trace, b.ID
	default:
		return
	}
	for _, p := range book.Payments.In(folded) {
		request, reversal := p.OpenTraces()
		for _, held := range []*book.Trace{request, reversal} {
			if held != nil && p.ID != id && held.Terminal == t.Terminal && held.STAN == t.STAN {
				w.fail("trace number %d is given to %s while %s (%s) bears it", t.STAN, id, p.ID, p.Stage)
			}
		}
	}
}

// usedOnce notes the trace numbers of an event, which only repeats of the message that they were
// made for may use again.
func (w *world) usedOnce(traces map[string]string, index int64, e book.Event) {
	numbers, message := traced(index, e)
	for _, number := range numbers {
		if other, used := traces[number]; used && other != message {
			w.fail("trace number %s is of %s and of %s", number, other, message)
		}
		traces[number] = message
	}
}

// traced returns the trace numbers that an event uses, and the message that they are of: an advice
// is repeated under its own, all else is sent once.
func traced(index int64, e book.Event) (numbers []string, message string) {
	var t book.Trace
	message = fmt.Sprintf("event %d", index)
	switch b := e.Body.(type) {
	case book.AuthorisationIntended:
		t = b.Trace
	case book.ReconciliationIntended:
		t = b.Trace
	case book.CaptureIntended:
		t, message = b.Trace, "capture "+b.ID
	case book.ReversalIntended:
		t, message = b.Trace, "reversal of "+b.ID
	case book.EntryIntended:
		return []string{b.Trace}, message
	default:
		return nil, ""
	}
	return []string{t.RRN, fmt.Sprintf("%s/%s/%06d", t.Terminal, t.Sent.UTC().Format("2006-01-02"), t.STAN)}, message
}
