package nacha

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/moov-io/ach"
)

// writeBuffer is how many bytes of records are gathered before they are written and cleared: whole
// blocks of SHA-256 and whole records, so that the hash's own buffer never holds part of an entry.
const writeBuffer = 10 * sha256.BlockSize * (recordBytes + 1)

// Writer writes one planned file: [Writer.Next] begins its next batch, [Writer.Add] puts an entry
// into it, and [Writer.Close] ends the file. Records end with a newline, the last block is filled
// with lines of nines, and the same plan and entries give the same bytes. Errors are [ErrPlan] or
// the underlying writer's; what was written until then is useless.
//
// Memory grows with the largest batch, by about 500 bytes an entry. Account data is only in one
// buffer, which [Writer.Clear] clears.
type Writer struct {
	plan  Plan
	out   recordWriter
	batch openBatch // under way, or not begun: place 0
	sums  Sums
}

// NewWriter begins a file. The caller clears the Writer in any case.
func NewWriter(w io.Writer, p Plan) (*Writer, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	file := &Writer{plan: p, out: recordWriter{out: w, hash: sha256.New(), buffer: make([]byte, 0, writeBuffer)}}
	if err := file.out.fileHeader(p); err != nil {
		return nil, err
	}
	return file, nil
}

// Next ends the batch under way and begins the plan's next one. Call it before each batch's
// entries.
func (w *Writer) Next() error {
	after, position := w.batch.planned.Number, w.batch.position
	if err := w.endBatch(); err != nil {
		return err
	}
	if position == len(w.plan.Batches) {
		return fmt.Errorf("%w: it has %d batches, and no more are planned", ErrPlan, position)
	}
	planned := w.plan.Batches[position]
	if err := planned.check(after); err != nil {
		return fmt.Errorf("%w: batch %d: %w", ErrPlan, position+1, err)
	}
	w.batch = openBatch{planned: planned, position: position + 1, odfi: w.plan.Bank.ODFI, out: &w.out}
	return nil
}

// Add writes an entry of the batch under way. Trace numbers ascend within a batch.
func (w *Writer) Add(e Entry) error { return w.batch.add(e) }

func (w *Writer) endBatch() error {
	if w.batch.position == 0 {
		return nil
	}
	return w.batch.close(&w.sums)
}

// Close ends the file and returns its sums.
func (w *Writer) Close() (Sums, error) {
	if err := w.endBatch(); err != nil {
		return Sums{}, err
	}
	if w.batch.position != len(w.plan.Batches) {
		return Sums{}, fmt.Errorf("%w: it has %d batches, and %d are planned", ErrPlan, w.batch.position, len(w.plan.Batches))
	}
	if err := w.out.fileControl(len(w.plan.Batches), w.sums); err != nil {
		return Sums{}, err
	}
	w.sums.SHA256, w.sums.Bytes = hex.EncodeToString(w.out.hash.Sum(nil)), w.out.bytes
	return w.sums, nil
}

// Clear clears the account data that the Writer still holds.
func (w *Writer) Clear() { w.out.clear() }

// recordWriter buffers, counts and hashes records, and clears them once written.
type recordWriter struct {
	out     io.Writer
	hash    hash.Hash
	buffer  []byte
	records int
	bytes   int64
}

// record appends one record and returns its bytes in the buffer, which may be changed until the
// next call.
func (w *recordWriter) record(text string) ([]byte, error) {
	if len(text) != recordBytes {
		return nil, fmt.Errorf("%w: record %d would have %d characters", ErrPlan, w.records+1, len(text))
	}
	if w.records == maxRecords {
		return nil, fmt.Errorf("%w: it has more than %d records; make several files", ErrPlan, maxRecords)
	}
	if len(w.buffer)+recordBytes+1 > cap(w.buffer) {
		if err := w.flush(); err != nil {
			return nil, err
		}
	}
	start := len(w.buffer)
	w.buffer = append(append(w.buffer, text...), '\n')
	w.records++
	return w.buffer[start : start+recordBytes], nil
}

// flush writes the buffer, and clears it even on an error.
func (w *recordWriter) flush() error {
	defer w.clear()
	w.hash.Write(w.buffer)
	n, err := w.out.Write(w.buffer)
	w.bytes += int64(n)
	if err != nil {
		return fmt.Errorf("writing the file: %w", err)
	}
	return nil
}

func (w *recordWriter) clear() {
	clear(w.buffer)
	w.buffer = w.buffer[:0]
}

// fileHeader writes record 1.
func (w *recordWriter) fileHeader(p Plan) error {
	header := ach.NewFileHeader()
	// The origin may be a number that the bank assigned; Bank.Check checks it.
	header.SetValidation(&ach.ValidateOpts{BypassOriginValidation: true})
	header.ImmediateDestination, header.ImmediateDestinationName = p.Bank.ImmediateDestination, p.Bank.DestinationName
	header.ImmediateOrigin, header.ImmediateOriginName = p.Bank.ImmediateOrigin, p.Bank.OriginName
	header.FileCreationDate, header.FileCreationTime = p.Created.Format("060102"), p.Created.Format("1504")
	header.FileIDModifier = string(rune(p.Modifier))
	if err := header.Validate(); err != nil {
		return fmt.Errorf("%w: file header: %s", ErrPlan, fault(err))
	}
	_, err := w.record(header.String())
	return err
}

// fileControl writes record 9 and the nines that fill its block, and flushes.
func (w *recordWriter) fileControl(batches int, sums Sums) error {
	if sums.Debits > maxTotal || sums.Credits > maxTotal {
		return fmt.Errorf("%w: its debits or credits are over %d cents; make several files", ErrPlan, int64(maxTotal))
	}
	control := ach.NewFileControl()
	control.BatchCount, control.BlockCount = batches, (w.records+1+blocking-1)/blocking
	control.EntryAddendaCount, control.EntryHash = sums.Entries, int(sums.EntryHash)
	control.TotalDebitEntryDollarAmountInFile, control.TotalCreditEntryDollarAmountInFile = int(sums.Debits), int(sums.Credits)
	if err := control.Validate(); err != nil {
		return fmt.Errorf("%w: file control: %s", ErrPlan, fault(err))
	}
	if _, err := w.record(control.String()); err != nil {
		return err
	}
	for w.records%blocking != 0 {
		if _, err := w.record(nines); err != nil {
			return err
		}
	}
	return w.flush()
}
