package book

import (
	"maps"

	"nightdrop/shared/envelope"
)

// Findings are kept by number.
var Findings = &Table[uint64, Found]{Name: "findings", Line: "finding", Key: func(f *Found) uint64 { return f.Number }, Bytes: Ordered}

// Finding returns a finding.
func (s *State) Finding(number uint64) (Found, bool, error) { return Findings.Get(s, number) }

// Found is an integrity finding as the vault remembers it.
type Found struct {
	// Number is the finding's in the vault: one more than how many there were before it. A finding that tells of several takes the
	// numbers from here on, one for each, and is known by the first.
	Number       uint64           `json:"number"`
	Time         envelope.Time    `json:"time"`
	Actor        string           `json:"actor"` // who found it, as in Event
	Origin       string           `json:"origin"`
	Merchant     string           `json:"merchant,omitempty"`
	Evidence     string           `json:"evidence,omitempty"`
	What         IntegrityFound   `json:"what"`
	Acknowledged *Acknowledgement `json:"acknowledged,omitempty"` // nil: open, or not alarming
}

// Open tells whether a person has still to look at it.
func (f Found) Open() bool { return f.What.Finding.Alarming() && f.Acknowledged == nil }

// Acknowledgement is a person's word that a finding was looked into.
type Acknowledgement struct {
	Time   envelope.Time `json:"time"`
	Actor  string        `json:"actor"`
	Reason string        `json:"reason"` // what it was
}

// FindingAcknowledged is a person's word that a finding was looked into; the event's purpose says what it was. It changes nothing of
// what was found.
type FindingAcknowledged struct {
	Number    uint64 `json:"number"`              // of the finding, as in Found
	Withdrawn bool   `json:"withdrawn,omitempty"` // the word is taken back: the finding is open again
}

// Kind implements Body.
func (FindingAcknowledged) Kind() string { return "finding-acknowledged" }

// Alarming tells whether somebody has to look at findings of the kind: others tell that something is over, or of people's words.
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

// acknowledged takes a person's word about a finding. A replay that began with a state of before 2026-12 does not have the findings from
// before it, and then only checks that there were so many.
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
