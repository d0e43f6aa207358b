package nacha

import (
	"strconv"

	"github.com/moov-io/ach"
)

// answerBatch reads one batch of answers.
type answerBatch struct {
	file  *fileReader
	kind  ItemKind
	batch ach.Batcher
}

// read reads from the record behind the header to the batch's control record.
func (b *answerBatch) read() error {
	for {
		switch record, kind := b.file.take(); kind {
		case entryRecord:
			if err := b.entry(record); err != nil {
				return err
			}
		case batchControl:
			return b.control(record)
		case addenda:
			return b.file.refuse("addenda", "it belongs to no entry, or its entry has one already")
		default:
			return b.file.refuse("entry or batch control", "neither of them stands there; the file may be cut off")
		}
	}
}

// entry reads an entry with its addenda. An entry without one is no answer, but for an acknowledgement.
func (b *answerBatch) entry(record []byte) error {
	const name = "entry"
	f := b.file
	if !decimal(record[1:12], 11) || !decimal(record[29:39], 10) || !decimal(record[traceFrom:traceTo], 15) {
		return f.refuse(name, "its transaction code, routing number, amount or trace number is no number")
	}
	mask(record[accountFrom:accountTo])
	mask(record[nameFrom:nameTo])
	detail := ach.NewEntryDetail()
	detail.SetSECCode(b.batch.GetHeader().StandardEntryClassCode)
	detail.Parse(string(record))
	detail.Category = b.category()
	if err := detail.Validate(); err != nil {
		return f.refuse(name, fault(err))
	}
	credit, fits := b.sign(detail.TransactionCode)
	if !fits {
		return f.refuse(name, "its transaction code is not one of its class's answers; new entries and prenotifications are none")
	}
	item := Item{Kind: b.kind, Amount: int64(detail.Amount), Credit: credit, Own: string(record[traceFrom:traceTo]), Record: f.next}
	switch indicator := record[78]; {
	case indicator == '1':
		if err := b.addenda(detail, &item); err != nil {
			return err
		}
	case indicator != '0' || b.kind != Acknowledgement:
		return f.refuse(name, "it has no addenda that says what it answers")
	}
	if b.kind == Acknowledgement {
		item.Trace = string(record[ackFrom:ackTo])
	}
	if !decimal(item.Trace, 15) {
		return f.refuse(name, "the trace number of the entry that it answers is not 15 digits")
	}
	if _, twice := f.answered[answered{item.Kind, item.Trace}]; twice {
		return f.refuse(name, "an answer of the same kind to the same entry stands in record "+strconv.Itoa(f.answered[answered{item.Kind, item.Trace}]))
	}
	f.answered[answered{item.Kind, item.Trace}] = item.Record
	f.answer.Items = append(f.answer.Items, item)
	b.batch.AddEntry(detail)
	return nil
}

// category is what moov-io/ach calls the batch's kind.
func (b *answerBatch) category() string {
	switch b.kind {
	case Return:
		return ach.CategoryReturn
	case Change:
		return ach.CategoryNOC
	case Acknowledgement:
	}
	return ach.CategoryForward
}

// sign tells from a transaction code whether the original entry was a credit, and whether the code fits the batch's kind. (appendix three,
// 3.4: returns and notices of change have codes of their own, and a zero dollar credit acknowledges a credit)
func (b *answerBatch) sign(code int) (credit, fits bool) {
	switch code {
	case ach.CheckingReturnNOCCredit, ach.SavingsReturnNOCCredit:
		return true, b.kind != Acknowledgement
	case ach.CheckingReturnNOCDebit, ach.SavingsReturnNOCDebit:
		return false, b.kind != Acknowledgement
	case ach.CheckingZeroDollarRemittanceCredit, ach.SavingsZeroDollarRemittanceCredit:
		return true, b.kind == Acknowledgement
	}
	return false, false
}

// addenda reads the one addenda of an entry.
func (b *answerBatch) addenda(detail *ach.EntryDetail, item *Item) error {
	const name = "addenda"
	f := b.file
	record, kind := f.take()
	if kind != addenda {
		return f.refuse(name, "it is missing, though its entry announces it")
	}
	code := string(record[3:6])
	var err error
	switch kind := string(record[1:3]); {
	case b.kind == Return && kind == "99":
		if ach.IsDishonoredReturnCode(code) || ach.IsContestedReturnCode(code) {
			return f.refuse(name, "it is a dishonoured or contested return, which answers nothing that is sent from here; clear it with the bank")
		}
		mask(record[correctedFrom:freeTo])
		detail.Addenda99 = ach.NewAddenda99()
		detail.Addenda99.Parse(string(record))
		err = detail.Addenda99.Validate()
	case b.kind == Change && kind == "98":
		if ach.IsRefusedChangeCode(code) {
			return f.refuse(name, "it is a refused notice of change, which answers nothing that is sent from here; clear it with the bank")
		}
		mask(record[correctedFrom:freeTo])
		detail.Addenda98 = ach.NewAddenda98()
		detail.Addenda98.Parse(string(record))
		err = detail.Addenda98.Validate()
	case b.kind == Acknowledgement && kind == "05":
		mask(record[paymentFrom:paymentTo])
		return b.remark(record, detail, item)
	default:
		return f.refuse(name, "its type is none that its class's answers have")
	}
	if err != nil {
		return f.refuse(name, fault(err))
	}
	if string(record[traceFrom:traceTo]) != item.Own {
		return f.refuse(name, "its trace number is not that of its entry")
	}
	item.Code, item.Trace = code, string(record[originalFrom:originalTo])
	return nil
}

// remark reads the addenda of an acknowledgement, which says nothing that is used.
func (b *answerBatch) remark(record []byte, detail *ach.EntryDetail, item *Item) error {
	const name = "addenda"
	five := ach.NewAddenda05()
	five.Parse(string(record))
	if err := five.Validate(); err != nil {
		return b.file.refuse(name, fault(err))
	}
	switch {
	case string(record[83:87]) != "0001":
		return b.file.refuse(name, "its sequence number is not 1")
	case string(record[87:94]) != item.Own[8:]:
		return b.file.refuse(name, "its trace number is not that of its entry")
	}
	detail.AddAddenda05(five)
	return nil
}

// control lets moov-io/ach hold the batch's control record against its header and entries, and adds the batch to the file's sums.
func (b *answerBatch) control(record []byte) error {
	const name = "batch control"
	f := b.file
	if !decimal(record[1:44], 43) || !decimal(record[79:94], 15) {
		return f.refuse(name, "a count, hash, total or number in it is no number")
	}
	said := b.batch.GetControl()
	said.Parse(string(record))
	if err := b.batch.Validate(); err != nil {
		return f.refuse(name, "the batch that ends here: "+fault(err))
	}
	f.sums.batches++
	f.sums.entries += said.EntryAddendaCount
	f.sums.hash += said.EntryHash
	f.sums.debits += said.TotalDebitEntryDollarAmount
	f.sums.credits += said.TotalCreditEntryDollarAmount
	return nil
}

// mask puts an X for whatever is not a space, before a record becomes a string.
func mask(field []byte) {
	for i, c := range field {
		if c != ' ' {
			field[i] = 'X'
		}
	}
}
