package book

import (
	"maps"

	"nightdrop/shared/envelope"
)

// Finding is a kind of integrity finding.
type Finding string

// The findings of intake and of the clock.
const (
	FindingBagMissing Finding = "bag-missing" // a number of a run never came
	FindingBagForked  Finding = "bag-forked"  // two bags of one run and number, or a broken chain
	FindingBagAltered Finding = "bag-altered" // signature, count or body hash do not hold
	// a run began without naming the end of the one before
	FindingRestart      Finding = "restart"
	FindingUnknownRelay Finding = "unknown-relay" // signed by no relay of the directory
	// in a relay's bag, but not signed by its merchant
	FindingForgedEnvelope Finding = "forged-envelope"
	FindingBadEnvelope    Finding = "bad-envelope" // in a relay's bag, but not an envelope
	// of a merchant that the vault does not have
	FindingUnknownMerchant Finding = "unknown-merchant"
	// the channel lost its tail and reused sequences
	FindingSequence Finding = "sequence-reused"
	// the clock jumped ahead; destruction of keys is suspended
	FindingClockForward   Finding = "clock-forward"
	FindingClockConfirmed Finding = "clock-confirmed" // custodians confirmed the clock
	FindingTotalsDiffer   Finding = "totals-differ"   // the acquirer's totals are not ours
	// the acquirer's host sent what it should not
	FindingMessage    Finding = "acquirer-message"
	FindingAnswerFile Finding = "answer-file" // a file of the bank was refused
	// the acquirer's host takes messages and answers none: new requests wait
	FindingHostSilent  Finding = "host-silent"
	FindingHostAnswers Finding = "host-answers" // it answers again: they are sent
	// one id came with more other instructions than are answered
	FindingConflicts Finding = "id-conflicts"
	// RESULTS lost what it had taken: it is published again
	FindingResultsLost Finding = "results-lost"
	// refunds named other accounts than the payment's, until no more are compared
	FindingMismatches Finding = "refund-account"
)

// IntegrityFound is evidence against a relay, the channel, the clock, the acquirer or a storefront.
// It never stops the rest.
type IntegrityFound struct {
	Finding Finding `json:"finding"`
	Relay   string  `json:"relay,omitempty"`
	Run     string  `json:"run,omitempty"`
	Number  uint64  `json:"number,omitempty"`
	// of bag-missing: the last number of the range that never came
	Through uint64 `json:"through,omitempty"`
	Index   int    `json:"index,omitempty"` // index among the bag's envelopes
	Detail  string `json:"detail,omitempty"`
	Count   uint64 `json:"count,omitempty"` // of findings that this event stands for; absent: one
}

// Kind implements Body.
func (IntegrityFound) Kind() string { return "integrity-found" }

// Times is how many findings the event stands for.
func (b IntegrityFound) Times() uint64 { return max(b.Count, 1) }

// The findings of the files and disks on which the vault stands.
const (
	// neither copy of a key in a file of the key ring opens: what was sealed to it never will
	FindingKeyLost Finding = "key-lost"
	// one copy of a key was damaged, and written anew from the other: the check the disk
	FindingKeyMended Finding = "key-mended"
	// a disk has less room than its reserve: nothing new is taken, or no settlement file written
	FindingDiskLow  Finding = "disk-low"
	FindingDiskRoom Finding = "disk-room" // there is room again: what waited goes on
)

// The findings of the places in which the log is kept a second time.
const (
	// a place holds less than was journalled there: nothing is sent before custodians speak
	FindingJournalDoubted Finding = "journal-doubted"
	// custodians said that the ledger is the newest all the same
	FindingLedgerConfirmed Finding = "ledger-confirmed"
	// a place lost entries of the log; they are sent again
	FindingJournalLost Finding = "journal-lost"
)

// FindingMarkMended reports that the high-water mark beside the ledger was unreadable and was
// written anew, on the journal's or custodians' evidence that the ledger is the newest.
const FindingMarkMended Finding = "high-water-mended"

// FindingLedgerRebuilt reports that the ledger was rebuilt from its own log, for a new format or at
// an operator's request.
const FindingLedgerRebuilt Finding = "ledger-rebuilt"

// Findings are kept by number.
var Findings = &Table[uint64, Found]{Name: "findings", Line: "finding", Key: func(f Found) uint64 { return f.Number }, Bytes: Ordered}

// Finding returns a finding.
func (s *State) Finding(number uint64) (Found, bool, error) { return Findings.Get(s, number) }

// Found is an integrity finding as the vault remembers it.
type Found struct {
	// Number is one more than how many findings there were before. A finding that reports several
	// has the numbers from here on, and is known by the first.
	Number       uint64           `json:"number"`
	Time         envelope.Time    `json:"time"`
	Actor        string           `json:"actor"` // who found it, as in Event
	Origin       string           `json:"origin"`
	Merchant     string           `json:"merchant,omitempty"`
	Evidence     string           `json:"evidence,omitempty"`
	What         IntegrityFound   `json:"what"`
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"` // nil: open, or not alarming
}

// Open reports whether a person has still to look at it.
func (f Found) Open() bool { return f.What.Finding.Alarming() && f.Acknowledged == nil }

// Acknowledgement is a person's statement that a finding was looked into.
type Acknowledgement struct {
	Time   envelope.Time `json:"time"`
	Actor  string        `json:"actor"`
	Reason string        `json:"reason"` // what it was
}

// FindingAcknowledged is a person's statement that a finding was looked into; the event's purpose
// says what it was. The finding itself stays.
type FindingAcknowledged struct {
	Number uint64 `json:"number"` // of the finding, as in Found
	// the acknowledgement is taken back: the finding is open again
	Withdrawn bool `json:"withdrawn,omitempty"`
}

// Kind implements Body.
func (FindingAcknowledged) Kind() string { return "finding-acknowledged" }

// Alarming reports whether somebody has to look at findings of the kind: others report that
// something is over, or what people stated.
func (f Finding) Alarming() bool {
	switch f {
	case FindingClockConfirmed, FindingHostAnswers, FindingDiskRoom, FindingLedgerConfirmed:
		return false
	}
	return true
}

// FindingCount is how many findings there ever were, alarming or not.
func (v Vault) FindingCount() (n uint64) {
	for _, count := range v.Findings {
		n += count
	}
	return n
}

// OpenFindings is how many alarming findings nobody has acknowledged.
func (v Vault) OpenFindings() (n uint64) {
	for finding, count := range v.Findings {
		if finding.Alarming() {
			n += count - v.Acknowledged[finding]
		}
	}
	return n
}

// finding remembers a finding and counts it.
func (f *fold) finding(b IntegrityFound) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	e := f.event
	err = Findings.Put(f.State, Found{Number: v.FindingCount() + 1, Time: e.Time, Actor: e.Actor, Origin: e.Origin, Merchant: e.Merchant,
		Evidence: e.Evidence, What: b})
	if err != nil {
		return err
	}
	v.Findings = counted(v.Findings, b.Finding, b.Times())
	if err := TheVault.Put(f.State, v); err != nil {
		return err
	}
	if b.Finding == FindingBagMissing {
		return f.missing(b)
	}
	return nil
}

// counted is a copy of counts with n more of a kind.
func counted(counts map[Finding]uint64, kind Finding, n uint64) map[Finding]uint64 {
	more := map[Finding]uint64{kind: 0}
	maps.Copy(more, counts)
	more[kind] += n
	return more
}

// acknowledged notes an acknowledgement, or takes it back. A replay from a state of before 2026-12
// lacks the findings of before, and only checks that there were so many.
func (f *fold) acknowledged(b FindingAcknowledged) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	if b.Number == 0 || b.Number > v.FindingCount() {
		return misfit("there is no finding %d", b.Number)
	}
	found, known, err := f.Finding(b.Number)
	if err != nil || !known {
		return err
	}
	if !found.What.Finding.Alarming() || b.Withdrawn != (found.Acknowledged != nil) {
		return misfit("finding %d does not wait for that word", b.Number)
	}
	kind, n := found.What.Finding, found.What.Times()
	if b.Withdrawn {
		found.Acknowledged, n = nil, -n // modulo 2^64
	} else {
		found.Acknowledged = &Acknowledgement{Time: f.event.Time, Actor: f.event.Actor, Reason: f.event.Purpose}
	}
	if err := Findings.Put(f.State, found); err != nil {
		return err
	}
	v.Acknowledged = counted(v.Acknowledged, kind, n)
	if v.Acknowledged[kind] == 0 {
		delete(v.Acknowledged, kind)
	}
	return TheVault.Put(f.State, v)
}
