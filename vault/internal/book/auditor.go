package book

import (
	"nightdrop/shared/envelope"
)

// Auditors are kept by name.
var Auditors = &Table[string, Auditor]{Name: "auditors", Line: "auditor", Key: func(a Auditor) string { return a.Name }, Bytes: named}

// Auditor returns an auditor, of now or of before.
func (s *State) Auditor(name string) (Auditor, bool, error) { return Auditors.Get(s, name) }

// Auditor is who may open the log, or could.
type Auditor struct {
	Name    string        `json:"name"`
	Key     string        `json:"key"` // as in AuditorAdded
	Added   envelope.Time `json:"added"`
	Removed envelope.Time `json:"removed,omitzero"`
}

// Reads reports whether log keys are wrapped for the auditor.
func (a Auditor) Reads() bool { return a.Removed.IsZero() }

// AuditorAdded lets an auditor open the log from this very entry on, the first under a new log key.
type AuditorAdded struct {
	Name string `json:"name"` // never reused
	Key  string `json:"key"`  // NAME+KEYNAME+BASE64 of the public key
}

// Kind implements Body.
func (AuditorAdded) Kind() string { return "auditor-added" }

// AuditorRemoved ends an auditor's time: it is the last entry under its log key.
type AuditorRemoved struct {
	Name string `json:"name"`
}

// Kind implements Body.
func (AuditorRemoved) Kind() string { return "auditor-removed" }

func (f *fold) auditorAdded(b AuditorAdded) error {
	_, known, err := f.Auditor(b.Name)
	if err != nil {
		return err
	}
	if known || !envelope.ValidMerchant(b.Name) {
		return misfit("auditor %s exists, existed, or has no auditor's name", b.Name)
	}
	return Auditors.Put(f.State, Auditor{Name: b.Name, Key: b.Key, Added: f.event.Time})
}

func (f *fold) auditorRemoved(b AuditorRemoved) error {
	a, known, err := f.Auditor(b.Name)
	if err != nil {
		return err
	}
	if !known || !a.Reads() {
		return misfit("there is no auditor %s", b.Name)
	}
	a.Removed = f.event.Time
	return Auditors.Put(f.State, a)
}
