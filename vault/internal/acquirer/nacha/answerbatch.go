package nacha

import (
	"bytes"
	"strings"

	"github.com/moov-io/ach"
)

// answerBatch reads one batch of answers. Entries that answer nothing count in the batch's control
// record too.
type answerBatch struct {
	file    *fileReader
	header  []byte // its record
	kind    ItemKind
	problem string // why no entry of the batch is an answer, or ""
	entry   entry  // the last one
	sums    tally
}

// entry is an entry record with its addenda.
type entry struct {
	record   []byte // nil: none yet
	position int    // from 1
	addenda  []byte // the first
	count    int    // of addenda
}

func (f *fileReader) batch(record []byte) error {
	const name = "batch header"
	if !decimal(record[1:4], 3) || !decimal(record[79:87], 8) || !decimal(record[87:94], 7) {
		return f.refuse(name, "its service class, originating bank or batch number is not a number")
	}
	b := answerBatch{file: f, header: record}
	switch class := string(record[50:53]); {
	case class == ach.ADV:
		return f.refuse(name, "its standard entry class is ADV, which is totalled differently and answers nothing that is sent from here")
	case class == ach.ACK:
		b.kind = Acknowledgement
	case class == ach.COR && !bytes.HasPrefix(record[4:20], []byte(ach.IATCOR)):
		b.kind = Change
	case class == string(WEB) || class == string(PPD) || class == string(CCD):
		b.kind = Return
	default:
		b.problem = "the standard entry class of its batch does not answer our entries"
	}
	if err := b.read(); err != nil {
		return err
	}
	f.batches++
	f.sums.add(b.sums)
	return nil
}

func (b *answerBatch) read() error {
	for {
		switch record, kind := b.file.nextRecord(); kind {
		case entryRecord:
			b.end()
			if err := b.begin(record); err != nil {
				return err
			}
		case addenda:
			if b.entry.record == nil {
				return b.file.refuse("addenda", "it belongs to no entry")
			}
			b.sums.entries++
			if b.entry.count++; b.entry.count == 1 {
				b.entry.addenda = record
			}
		case batchControl:
			b.end()
			return b.control(record)
		default:
			return b.file.refuse("entry or batch control", "neither is there; the file may be cut off")
		}
	}
}

// begin adds up an entry record. The second digit of its transaction code is its sign: to 4 a
// credit, from 5 a debit. (appendix three, 3.4)
func (b *answerBatch) begin(record []byte) error {
	if !decimal(record[1:12], 11) || !decimal(record[29:39], 10) {
		return b.file.refuse("entry", "its transaction code, routing number or amount is not a number")
	}
	b.entry = entry{record: record, position: b.file.next}
	amount := number(record[29:39])
	b.sums.entries++
	b.sums.hash += number(record[3:11])
	if record[2] <= '4' {
		b.sums.credits += amount
	} else {
		b.sums.debits += amount
	}
	return nil
}

// end files the last entry among items or left ones.
func (b *answerBatch) end() {
	if b.entry.record == nil {
		return
	}
	item, problem := b.classify()
	if problem == "" {
		b.file.answer.Items = append(b.file.answer.Items, item)
		return
	}
	left := Left{Record: item.Record, Code: item.Code, Problem: problem}
	if decimal(item.Trace, 15) {
		left.Trace = item.Trace
	}
	b.file.answer.Left = append(b.file.answer.Left, left)
}

// classify returns what the last entry answers, or why it answers nothing.
func (b *answerBatch) classify() (item Item, problem string) {
	e := b.entry
	item = Item{Kind: b.kind, Amount: int64(number(e.record[29:39])), Company: strings.TrimSpace(string(b.header[40:50])), Record: e.position}
	if b.kind == Acknowledgement {
		item.Trace = string(e.record[ackFrom:ackTo])
	} else if e.addenda != nil && coded(e.addenda) {
		item.Code, item.Trace = string(e.addenda[3:6]), string(e.addenda[originalFrom:originalTo])
	}
	if b.problem != "" {
		return item, b.problem
	}
	var fits bool
	if item.Credit, fits = b.sign(number(e.record[1:3])); !fits {
		return item, "its transaction code is not that of an answer of its class; new entries and prenotifications are not answers"
	}
	if ach.CheckRoutingNumber(string(e.record[3:12])) != nil {
		return item, "the check digit of its routing number is wrong"
	}
	if problem := b.checkAddenda(item); problem != "" {
		return item, problem
	}
	switch {
	case !decimal(item.Trace, 15):
		return item, "the trace number of the entry that it answers is not 15 digits"
	case b.kind == Acknowledgement && item.Amount != 0:
		return item, "it is an acknowledgement with an amount"
	case b.kind == Change:
		item.Amount = 0 // a notice moves no money
	}
	return item, ""
}

// coded reports whether an addenda is a return's or a notice's, with a well-formed code.
func coded(record []byte) bool {
	kind, code := string(record[1:3]), record[3:6]
	return (kind == "99" && code[0] == 'R' || kind == "98" && code[0] == 'C') && decimal(code[1:], 2)
}

// checkAddenda returns what is wrong with the addenda of a return or notice, or "". It accepts
// unknown codes: NACHA adds some.
func (b *answerBatch) checkAddenda(item Item) string {
	e, letter := b.entry, byte('R')
	if b.kind == Acknowledgement {
		return "" // its addenda are not used
	}
	if b.kind == Change {
		letter = 'C'
	}
	switch {
	case e.count == 0:
		return "it has no addenda to say what it answers"
	case e.count > 1:
		return "it has several addenda; an answer has one"
	case item.Code == "" || item.Code[0] != letter:
		return "the type or code of its addenda is not that of an answer of its class"
	case contested(item.Code):
		return "it is a dishonoured or contested return, which moves the bank's money and not ours; ask the bank"
	case refusedChange(item.Code):
		return "it is a refused notice of change, which answers nothing that is sent from here; ask the bank"
	case !bytes.Equal(e.addenda[traceFrom:traceTo], e.record[traceFrom:traceTo]):
		return "the trace number of its addenda is not its own"
	}
	return ""
}

// Returns reports whether a code is a return reason of an entry: R01 to R99 without R61 to R77,
// with which banks return returns.
func Returns(code string) bool {
	return len(code) == 3 && code[0] == 'R' && decimal(code[1:], 2) && code != "R00" && !contested(code)
}

// contested reports whether a code is of a dishonoured (R61 to R70) or contested (R71 to R77)
// return.
func contested(code string) bool { return "R61" <= code && code <= "R77" }

// refusedChange reports whether a code refuses a notice of change. (C61 to C69)
func refusedChange(code string) bool { return "C61" <= code && code <= "C69" }

// sign reports, from a transaction code, whether the original entry was a credit, and whether the
// code fits the batch's kind. (appendix three, 3.4: a zero dollar credit acknowledges a credit)
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

// control compares the batch's control record, which may leave the company out, with its header and
// entries.
func (b *answerBatch) control(record []byte) error {
	const name = "batch control"
	f := b.file
	if !decimal(record[1:44], 43) || !decimal(record[79:94], 15) {
		return f.refuse(name, "a count, hash, total or number in it is not a number")
	}
	company := record[44:54]
	switch {
	case !bytes.Equal(record[1:4], b.header[1:4]):
		return f.refuse(name, "its service class is not that of the header")
	case len(bytes.TrimSpace(company)) > 0 && !bytes.Equal(company, b.header[40:50]):
		return f.refuse(name, "its company identification is not that of the header")
	case !bytes.Equal(record[79:94], b.header[79:94]):
		return f.refuse(name, "its originating bank or batch number is not that of the header")
	}
	said := tally{number(record[4:10]), number(record[10:20]), number(record[20:32]), number(record[32:44])}
	if what := b.sums.differs(said); what != "" {
		return f.refuse(name, what+" is not that of the entries")
	}
	return nil
}
