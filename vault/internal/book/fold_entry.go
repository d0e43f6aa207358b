package book

import (
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

func (f *fold) entryAcknowledged(b EntryAcknowledged) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	p.Acked = true
	return f.put(p)
}

// accepted puts an entry into its merchant's open batch.
func (f *fold) accepted(b EntryAccepted) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	m, _, err := f.Merchant(p.Merchant)
	if err != nil {
		return err
	}
	if m.Policy.Company.ID == "" || b.Batch != m.OpenBank || !slices.Contains([]string{"WEB", "PPD", "CCD"}, b.Standard) {
		return misfit("entry %s has no company, no open batch or no standard", p.ID)
	}
	if err := f.moveTo(&p, StageAccepted); err != nil {
		return err
	}
	p.Batch, p.Standard, p.Code = b.Batch, b.Standard, envelope.CodeOK
	if err := f.inBatch(b.Batch, BatchOpen, func(batch Batch) Batch { batch.stand(p); return batch }); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusAccepted, envelope.CodeOK)
}

// voided takes back an entry that waits for its file.
func (f *fold) voided(b PaymentVoided) error {
	void, err := f.step(b.ID)
	if err != nil {
		return err
	}
	p, err := f.known(void.Of)
	if err != nil {
		return err
	}
	batch, _, err := f.Batch(p.Batch)
	if err != nil {
		return err
	}
	if p.MayVoid(batch) != envelope.CodeOK {
		return misfit("payment %s cannot be voided", p.ID)
	}
	if err := f.move(&p, "void/"+b.Kind(), StageVoided); err != nil {
		return err
	}
	if err := f.inBatch(p.Batch, BatchOpen, func(batch Batch) Batch { batch.fall(p); return batch }); err != nil {
		return err
	}
	p.Void = void.ID
	if err := f.put(p); err != nil {
		return err
	}
	if err := f.moveTo(&void, StageDone); err != nil {
		return err
	}
	void.Code = envelope.CodeOK
	return f.issue(void, envelope.StatusVoided, envelope.CodeOK)
}

// entryIntended gives an entry its trace number in a file whose content is not fixed yet.
func (f *fold) entryIntended(b EntryIntended) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	batch, _, err := f.Batch(p.Batch)
	if err != nil {
		return err
	}
	file, _, err := f.File(b.File)
	if err != nil {
		return err
	}
	if batch.File != b.File || file.Stage != FileNamed {
		return misfit("entry %s is not for file %s", p.ID, b.File)
	}
	v, err := f.Vault()
	if err != nil {
		return err
	}
	v.Files.Sequence = v.Files.Sequence%MaxSequence + 1
	if b.Sequence != v.Files.Sequence || len(b.Trace) != 15 || !strings.HasSuffix(b.Trace, fmt.Sprintf("%07d", b.Sequence)) {
		return misfit("trace number of entry %s is not the next", p.ID)
	}
	if err := TheVault.Put(f.State, v); err != nil {
		return err
	}
	file.Entries++
	if err := Files.Put(f.State, file); err != nil {
		return err
	}
	if err := Entries.Put(f.State, Entry{Trace: b.Trace, Merchant: p.Merchant, ID: p.ID, Company: b.Company}); err != nil {
		return err
	}
	if err := f.moveTo(&p, StageFiling); err != nil {
		return err
	}
	p.Entry, p.File = b.Trace, b.File
	if b.Fingerprint != "" {
		p.Masked, p.Fingerprint = b.Masked, b.Fingerprint
	}
	return f.put(p)
}

// leaveFile takes an entry out of its batch's file, whose content may not be fixed.
func (f *fold) leaveFile(p Payment) error {
	if p.Stage == StageFiling {
		file, _, err := f.File(p.File)
		if err != nil {
			return err
		}
		if file.Stage != FileNamed {
			return misfit("file %s is fixed", p.File)
		}
		file.Entries--
		if err := Files.Put(f.State, file); err != nil {
			return err
		}
	}
	return f.inBatch(p.Batch, BatchFixed, func(batch Batch) Batch { batch.Failed = addTotal(batch.Failed, p.total(1)); return batch })
}

// returned takes the bank's word that an entry came back. An account whose return says that it must not be used is blocked.
func (f *fold) returned(b PaymentReturned) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	reason, ach := strings.CutPrefix(string(b.Code), "ach-")
	if !ach || !b.Code.Valid() {
		return misfit("the return of %s has no reason", p.ID)
	}
	if err := f.moveTo(&p, StageReturned); err != nil {
		return err
	}
	p.Code = b.Code
	if b.Reason != "" {
		f.decide(&p, envelope.StatusReturned, b.Reason, false)
	}
	if err := f.release(p); err != nil {
		return err
	}
	if err := f.sold(p, -1); err != nil {
		return err
	}
	if Blocks(reason) && p.Fingerprint != "" {
		err := BlockList.Put(f.State, Block{Merchant: p.Merchant, Fingerprint: p.Fingerprint, Code: b.Code, Payment: p.ID, Since: f.event.Time})
		if err != nil {
			return err
		}
	}
	return f.issue(p, envelope.StatusReturned, b.Code)
}

// Blocks tells whether a return reason blocks the account: closed (R02), no account (R03), invalid number (R04), authorisation
// revoked (R07), not authorised (R10, R29). Logs are folded again with this list, so it never changes: what NACHA says otherwise
// one day comes as a member of the event.
func Blocks(reason string) bool {
	switch reason {
	case "R02", "R03", "R04", "R07", "R10", "R29":
		return true
	}
	return false
}

func (f *fold) fileWritten(b FileWritten) error {
	file, _, err := f.File(b.Name)
	if err != nil {
		return err
	}
	if file.Stage != FileHashed {
		return misfit("file %s is not due", b.Name)
	}
	file.Stage, file.Written = FileOut, f.event.Time
	return Files.Put(f.State, file)
}

func (f *fold) answerTaken(b AnswerTaken) error {
	before, taken, err := f.File(b.Digest)
	if err != nil {
		return err
	}
	if taken && before.Left == 0 || len(b.Digest) != 64 {
		return misfit("answer file %s was taken before, or has no digest", b.Digest)
	}
	return Files.Put(f.State, File{Name: b.Digest, Stage: FileTaken, Digest: b.Digest, Created: b.Created, Entries: b.Items, Written: f.event.Time, Left: b.LeftCount})
}

func (f *fold) fileBegun(b FileBegun) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	_, there, err := f.File(b.Name)
	if err != nil {
		return err
	}
	next := v.Files.next(b.Day)
	if there || b.Name == "" || b.Modifier != next || next > MaxFilesPerDay || b.Day < v.Files.Day || len(b.Batches) == 0 {
		return misfit("file %s cannot be begun", b.Name)
	}
	v.Files.Day, v.Files.Modifier = b.Day, b.Modifier
	if err := TheVault.Put(f.State, v); err != nil {
		return err
	}
	for _, number := range b.Batches {
		batch, ok, err := f.Batch(number)
		if err != nil {
			return err
		}
		if !ok || batch.Method != MethodBank || batch.Stage != BatchFixed || batch.File != "" {
			return misfit("batch %d is not for a file", number)
		}
		batch.File = b.Name
		if err := Batches.Put(f.State, batch); err != nil {
			return err
		}
	}
	return Files.Put(f.State, File{Name: b.Name, Stage: FileNamed, Batches: b.Batches, Created: f.event.Time, Day: b.Day, Modifier: b.Modifier, Effective: b.Effective})
}

// next is the modifier of a day's next file.
func (c FileCounter) next(day string) int {
	if c.Day == day {
		return c.Modifier + 1
	}
	return 1
}

// NextFile returns the modifier, from 1, of the next settlement file of a day; above MaxFilesPerDay there is none.
func (v Vault) NextFile(day string) int { return v.Files.next(day) }

// NextSequence returns the sequence of the next entry's trace number.
func (v Vault) NextSequence() uint32 { return v.Files.Sequence%MaxSequence + 1 }

// fileIntended fixes a file's content: exactly what its batches still owe.
func (f *fold) fileIntended(b FileIntended) error {
	file, _, err := f.File(b.Name)
	if err != nil {
		return err
	}
	if file.Stage != FileNamed || file.Entries != b.Entries || len(b.Digest) != 64 {
		return misfit("file %s cannot be fixed", b.Name)
	}
	var entries, debits, credits int64
	for _, number := range file.Batches {
		batch, _, err := f.Batch(number)
		if err != nil {
			return err
		}
		entries += batch.Due()
		for _, t := range batch.Totals {
			debits, credits = debits+t.Amount, credits+t.CreditAmount
		}
		for _, t := range batch.Failed {
			debits, credits = debits-t.Amount, credits-t.CreditAmount
		}
	}
	if int64(b.Entries) != entries || b.Debits != debits || b.Credits != credits {
		return misfit("file %s does not hold what its batches owe", b.Name)
	}
	file.Stage, file.Digest, file.Debits, file.Credits, file.EntryHash = FileHashed, b.Digest, b.Debits, b.Credits, b.EntryHash
	return Files.Put(f.State, file)
}
