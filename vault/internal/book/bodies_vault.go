package book

import "nightdrop/shared/envelope"

// VaultStarted tells that the daemon began, locked. Nothing can be sealed then: it stands in the log from the next unlock on, and At
// is when it was.
type VaultStarted struct {
	Version string        `json:"version"` // of the binary
	At      envelope.Time `json:"at"`
}

// Kind implements Body.
func (VaultStarted) Kind() string { return "vault-started" }

// VaultStopped tells that the daemon ended in order, after it locked. A start without it follows a lock, a crash, or the end of a daemon
// that was locked.
type VaultStopped struct{}

// Kind implements Body.
func (VaultStopped) Kind() string { return "vault-stopped" }

// AccessRefused tells of calls that were refused. Those of a locked vault stand in the log from the next unlock on.
type AccessRefused struct {
	Call  string        `json:"call"` // what was asked for, as "POST /unlock"
	Code  string        `json:"code"` // how it was answered: "locked", "not-allowed"
	Times int           `json:"times"`
	First envelope.Time `json:"first"` // when
	Last  envelope.Time `json:"last"`
}

// Kind implements Body.
func (AccessRefused) Kind() string { return "access-refused" }

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

// LogExported tells that the log was given out. It stands there before anything is written, and again, Failed, where that went wrong.
type LogExported struct {
	Dir    string `json:"dir"`              // on the vault's host
	Bodies int64  `json:"bodies,omitempty"` // index of the first entry that goes with its body
	Failed bool   `json:"failed,omitempty"`
}

// Kind implements Body.
func (LogExported) Kind() string { return "log-exported" }

// Auditors are kept by name.
var Auditors = &Table[string, Auditor]{Name: "auditors", Line: "auditor", Key: func(a *Auditor) string { return a.Name }, Bytes: named}

// Auditor returns an auditor, of now or of before.
func (s *State) Auditor(name string) (Auditor, bool, error) { return Auditors.Get(s, name) }

// Auditor is who may open the log, or could.
type Auditor struct {
	Name    string        `json:"name"`
	Key     string        `json:"key"` // as in AuditorAdded
	Added   envelope.Time `json:"added"`
	Removed envelope.Time `json:"removed,omitzero"`
}

// Reads tells whether log keys are wrapped for the auditor.
func (a Auditor) Reads() bool { return a.Removed.IsZero() }

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
