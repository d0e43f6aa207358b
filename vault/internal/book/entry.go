package book

import (
	"fmt"
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

// Entries are kept by trace number, for readers of answer files. The fold never reads them, and a
// saved state has none.
var Entries = &Table[string, Entry]{Name: "entries", Key: func(e Entry) string { return e.Trace }, Bytes: named}

// Entry returns the payment of a trace number.
func (s *State) Entry(trace string) (Entry, bool, error) { return Entries.Get(s, trace) }

// Entry names the payment of a trace number.
type Entry struct {
	Trace    string `json:"trace"` // 15 digits: ODFI and sequence
	Merchant string `json:"merchant"`
	ID       string `json:"id"`
	// identification under which it went out; older logs do not say
	Company string `json:"company,omitempty"`
}

// EntryAccepted puts a bank entry into its batch.
type EntryAccepted struct {
	ID       string `json:"id"`
	Batch    uint32 `json:"batch"`
	Standard string `json:"standard"` // WEB, PPD, CCD
}

// Kind implements Body.
func (EntryAccepted) Kind() string { return "entry-accepted" }

// EntryIntended gives a bank entry its trace number, before the file that holds it appears.
type EntryIntended struct {
	ID       string `json:"id"`
	File     string `json:"file"`
	Trace    string `json:"trace"` // 15 digits
	Sequence uint32 `json:"sequence"`
	// identification under which the bank gets it; older logs do not say
	Company string `json:"company,omitempty"`

	// Masked and Fingerprint are of the account that it goes to, where an update has replaced the
	// stored one since.
	Masked      string `json:"masked,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
}

// Kind implements Body.
func (EntryIntended) Kind() string { return "entry-intended" }

// EntryAcknowledged is the receiving bank's acknowledgement.
type EntryAcknowledged struct {
	ID string `json:"id"`
}

// Kind implements Body.
func (EntryAcknowledged) Kind() string { return "entry-acknowledged" }

// PaymentReturned is the bank's return of an entry.
type PaymentReturned struct {
	ID   string        `json:"id"`
	Code envelope.Code `json:"code"` // ach-RNN

	// Reason is a person's, who recorded a return that came otherwise than in a file: 1 to 200
	// printable ASCII. The event's evidence proves it.
	Reason string `json:"reason,omitempty"`
}

// Kind implements Body.
func (PaymentReturned) Kind() string { return "payment-returned" }

// PaymentVoided takes a bank entry back that waits for its file. ID is the void's.
type PaymentVoided struct {
	ID string `json:"id"`
}

// Kind implements Body.
func (PaymentVoided) Kind() string { return "payment-voided" }

// BankEntry is what the bank's files say of a payment.
type BankEntry struct {
	Standard string `json:"standard,omitempty"` // WEB, PPD or CCD
	Entry    string `json:"entry,omitempty"`    // its trace number, 15 digits
	File     string `json:"file,omitempty"`     // the settlement file
	Notice   string `json:"notice,omitempty"`   // code of the newest notice of change, C01 to C99
	// codes of the notices that its merchant was told, oldest first
	Notices []string `json:"notices,omitempty"`
	Acked   bool     `json:"acked,omitempty"` // the receiving bank acknowledged it
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
		return misfit("payment %s cannot be voided", p.Name())
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

func (f *fold) entryAcknowledged(b EntryAcknowledged) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	p.Acked = true
	return f.put(p)
}

// returned applies the bank's return of an entry. Some reasons block the account.
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
	if blocksAccount(reason) && p.Fingerprint != "" {
		err := BlockList.Put(f.State, Block{Merchant: p.Merchant, Fingerprint: p.Fingerprint, Code: b.Code, Payment: p.ID, Since: f.event.Time})
		if err != nil {
			return err
		}
	}
	return f.issue(p, envelope.StatusReturned, b.Code)
}
