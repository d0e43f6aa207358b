package nacha

import (
	"bytes"
	"strings"

	"github.com/moov-io/ach"
)

// answerBatch reads one batch of answers. Entries that are none are counted like the others: the
// batch's control record is about all.
type answerBatch struct {
	file    *fileReader
	header  []byte // its record
	kind    ItemKind
	problem string // why no entry of the batch is an answer; "" where some may be
	entry   entry  // the newest
	sums    tally
}

// entry is an entry record with its addenda.
type entry struct {
	record  []byte // nil: none yet
	place   int    // from 1
	addenda []byte // the first
	count   int    // of addenda
}

// batch reads a batch from its header to its control record.
func (f *fileReader) batch(record []byte) error {
	const name = "batch header"
	if !decimal(record[1:4], 3) || !decimal(record[79:87], 8) || !decimal(record[87:94], 7) {
		return f.refuse(name, "its service class, originating bank or batch number is no number")
	}
	b := answerBatch{file: f, header: record}
	switch class := string(record[50:53]); {
	case class == ach.ADV:
		return f.refuse(name, "its standard entry class is ADV, whose files are totalled otherwise, and which answers nothing that is sent from here")
	case class == ach.ACK:
		b.kind = Acknowledgement
	case class == ach.COR && !bytes.HasPrefix(record[4:20], []byte(ach.IATCOR)):
		b.kind = Change
	case class == string(WEB) || class == string(PPD) || class == string(CCD):
		b.kind = Return
	default:
		b.problem = "the standard entry class of its batch is none that answers our entries"
	}
	if err := b.read(); err != nil {
		return err
	}
	f.batches++
	f.sums.add(b.sums)
	return nil
}

// read reads from the record behind the header to the batch's control record.
func (b *answerBatch) read() error {
	for {
		switch record, kind := b.file.take(); kind {
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
			return b.file.refuse("entry or batch control", "neither of them stands there; the file may be cut off")
		}
	}
}

// begin adds up an entry record. The sign of its amount is the second digit of its transaction
// code: to 4 a credit, from 5 a debit. (appendix three, 3.4)
func (b *answerBatch) begin(record []byte) error {
	if !decimal(record[1:12], 11) || !decimal(record[29:39], 10) {
		return b.file.refuse("entry", "its transaction code, routing number or amount is no number")
	}
	b.entry = entry{record: record, place: b.file.next}
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

// end puts the entry that was read last where it belongs.
func (b *answerBatch) end() {
	if b.entry.record == nil {
		return
	}
	item, problem := b.judge()
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

// judge says what an entry answers, or why it answers nothing.
func (b *answerBatch) judge() (item Item, problem string) {
	e := b.entry
	item = Item{Kind: b.kind, Amount: int64(number(e.record[29:39])), Company: strings.TrimSpace(string(b.header[40:50])), Record: e.place}
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
		return item, "its transaction code is not one of its class's answers; new entries and prenotifications are none"
	}
	if ach.CheckRoutingNumber(string(e.record[3:12])) != nil {
		return item, "the check digit of its routing number is another"
	}
	if problem := b.judgeAddenda(item); problem != "" {
		return item, problem
	}
	switch {
	case !decimal(item.Trace, 15):
		return item, "the trace number of the entry that it answers is not 15 digits"
	case b.kind == Acknowledgement && item.Amount != 0:
		return item, "it acknowledges, and yet has an amount"
	case b.kind == Change:
		item.Amount = 0 // a notice moves no money, whatever stands there
	}
	return item, ""
}

// coded reports whether an addenda is a return's or a notice's, with a code of the form of theirs.
func coded(record []byte) bool {
	kind, code := string(record[1:3]), record[3:6]
	return (kind == "99" && code[0] == 'R' || kind == "98" && code[0] == 'C') && decimal(code[1:], 2)
}

// judgeAddenda says why the addenda of a return or notice are not as they should be. Which codes
// there are is not asked: NACHA adds some, and what came back came back.
func (b *answerBatch) judgeAddenda(item Item) string {
	e, letter := b.entry, byte('R')
	if b.kind == Acknowledgement {
		return "" // its addenda say nothing that is used
	}
	if b.kind == Change {
		letter = 'C'
	}
	switch {
	case e.count == 0:
		return "it has no addenda that says what it answers"
	case e.count > 1:
		return "it has several addenda, and an answer has one"
	case item.Code == "" || item.Code[0] != letter:
		return "the type or code of its addenda is none that its class's answers have"
	case contested(item.Code):
		return "it is a dishonoured or contested return, which moves the bank's money and not ours; clear it with the bank"
	case refusedChange(item.Code):
		return "it is a refused notice of change, which answers nothing that is sent from here; clear it with the bank"
	case !bytes.Equal(e.addenda[traceFrom:traceTo], e.record[traceFrom:traceTo]):
		return "the trace number of its addenda is not its own"
	}
	return ""
}

// Returns reports whether a code is of the form of a return reason, R01 to R99, and one that
// returns an entry: banks return returns with R61 to R77.
func Returns(code string) bool {
	return len(code) == 3 && code[0] == 'R' && decimal(code[1:], 2) && code != "R00" && !contested(code)
}

// contested reports whether a code is one that banks return returns with: dishonoured (R61 to R70)
// and contested (R71 to R77), all of them whether in use or not. They never return an entry.
func contested(code string) bool { return "R61" <= code && code <= "R77" }

// refusedChange reports whether a code is one that an originating bank refuses a notice of change
// with. (C61 to C69)
func refusedChange(code string) bool { return "C61" <= code && code <= "C69" }

// sign reports, from a transaction code, whether the original entry was a credit, and whether the
// code fits the batch's kind. (appendix three, 3.4: returns and notices of change have codes of
// their own, and a zero dollar credit acknowledges a credit)
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

// control compares the batch's control record with its header and entries. A company that is left
// out there is no other.
func (b *answerBatch) control(record []byte) error {
	const name = "batch control"
	f := b.file
	if !decimal(record[1:44], 43) || !decimal(record[79:94], 15) {
		return f.refuse(name, "a count, hash, total or number in it is no number")
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
