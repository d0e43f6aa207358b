package nacha

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/moov-io/ach"
)

// writeBuffer is how many bytes of records are gathered before they are written and cleared: whole blocks of SHA-256 and whole records,
// so that the hash's own buffer never keeps a piece of an entry.
const writeBuffer = 10 * sha256.BlockSize * (recordBytes + 1)

// Write writes the planned file: records end with a newline, the last block is filled with lines of nines. entries is called once for each
// batch, i from 0 in the plan's order, and yields that batch's entries in ascending order of their trace numbers; it stops at yield's first
// error and returns it. The same plan and entries give the same bytes.
//
// Entries are written as they are yielded, so w sees part of a file when Write fails: ErrPlan, or what entries or w returned. Memory grows
// with the largest batch, by about half a kilobyte an entry, none of it account data. Nothing of an account is kept after Write returned.
func Write(w io.Writer, p Plan, entries func(batch int, yield func(Entry) error) error) (Sums, error) {
	if err := p.check(); err != nil {
		return Sums{}, err
	}
	out := &recordWriter{out: w, hash: sha256.New(), buffer: make([]byte, 0, writeBuffer)}
	defer out.clear()
	if err := out.fileHeader(p); err != nil {
		return Sums{}, err
	}
	var sums Sums
	after := 0
	for i, planned := range p.Batches {
		if err := planned.check(after); err != nil {
			return Sums{}, fmt.Errorf("%w: batch %d: %w", ErrPlan, i+1, err)
		}
		after = planned.Number
		b := openBatch{planned: planned, place: i + 1, odfi: p.Bank.ODFI, out: out}
		if err := entries(i, b.add); err != nil {
			return Sums{}, err
		}
		if err := b.close(&sums); err != nil {
			return Sums{}, err
		}
	}
	if err := out.fileControl(len(p.Batches), sums); err != nil {
		return Sums{}, err
	}
	sums.SHA256, sums.Bytes = hex.EncodeToString(out.hash.Sum(nil)), out.bytes
	return sums, nil
}

// recordWriter gathers records, counts and hashes them, and clears them once they are written.
type recordWriter struct {
	out     io.Writer
	hash    hash.Hash
	buffer  []byte
	records int
	bytes   int64
}

// record appends one record and returns its bytes in the buffer, to be changed in place before the next call.
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

// flush writes what was gathered, and clears it whether that worked or not.
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
	// An origin that is no routing number is a number of the bank's own; what it may look like is checked in Bank.
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

// fileControl writes record 9 and the nines that fill its block, and then all that is still in the buffer.
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
