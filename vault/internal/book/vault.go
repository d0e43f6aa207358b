package book

import (
	"fmt"
	"maps"
	"slices"

	"nightdrop/shared/envelope"
)

// TheVault is the table of one record, the vault's own.
var TheVault = &Table[struct{}, Vault]{Name: "vault", Line: "vault", Key: func(Vault) struct{} { return struct{}{} },
	Bytes: func(struct{}) []byte { return []byte("state") }}

// Vault returns the vault's record; the zero Vault before VaultCreated.
func (s *State) Vault() (Vault, error) {
	v, _, err := TheVault.Get(s, struct{}{})
	return v, err
}

// Vault is the state of the vault itself.
type Vault struct {
	Name       string   `json:"name"`
	Generation uint64   `json:"generation"`
	Signer     string   `json:"signer"` // vkey
	Relays     []string `json:"relays,omitempty"`
	// sealing keys that are not destroyed, as far as the log says; sorted
	Keys      []envelope.KeyName  `json:"keys,omitempty"`
	Directory uint64              `json:"directory"` // serial of the newest directory
	Members   uint64              `json:"members"`   // serial of the newest members note
	Payments  uint64              `json:"payments"`  // how many there are: the number of the newest
	NextBatch uint32              `json:"nextBatch"` // 1 to 999999
	Terminals map[string]Terminal `json:"terminals,omitempty"`
	LatestRun map[string]string   `json:"latestRun,omitempty"` // by relay: its newest run
	Findings  map[Finding]uint64  `json:"findings,omitempty"`  // how many of each
	// Acknowledged is how many of them people have acknowledged.
	Acknowledged map[Finding]uint64 `json:"acknowledged,omitempty"`
	Files        FileCounter        `json:"files,omitzero"`
}

// Terminal is the trace counter of one terminal: STANs count from 1 in each business day (UTC date
// of Sent).
type Terminal struct {
	Day  string `json:"day"` // YYYY-MM-DD
	STAN uint32 `json:"stan"`
	// of the terminal in the vault for ever, 0 to 99, in the order of first use
	Number int `json:"number"`
}

// maxTerminals bounds how many terminal names a vault can ever use: two digits of the RRN.
const maxTerminals = 100

// NextTrace returns the trace numbers of the next message of the first terminal that has one left
// on that day; the event that carries them uses them up, so it is called in that event's
// transaction. A number that held reports for an open message of an earlier day is skipped (nil:
// none is): the answers could not be told apart. It fails when no terminal has any of its 999,999
// numbers left.
func (v Vault) NextTrace(terminals []string, acceptor string, now envelope.Time, held func(terminal string, stan uint32) bool) (Trace, error) {
	day := now.DateText("")
	for _, name := range terminals {
		used, known := v.Terminals[name]
		if !known {
			used.Number = len(v.Terminals)
		}
		if used.Day < day {
			used.Day, used.STAN = day, 0
		}
		if used.Day != day || used.Number >= maxTerminals {
			continue
		}
		stan := used.STAN + 1
		for held != nil && stan <= maxSTAN && held(name, stan) {
			stan++
		}
		if stan <= maxSTAN {
			// Year digit, day of the year, terminal, STAN: unique for ten years.
			rrn := fmt.Sprintf("%d%03d%02d%06d", now.Year()%10, now.YearDay(), used.Number, stan)
			return Trace{STAN: stan, RRN: rrn, Terminal: name, Acceptor: acceptor, Sent: now}, nil
		}
	}
	return Trace{}, fmt.Errorf("all %d terminals have used their trace numbers of %s: configure more terminals", len(terminals), day)
}

// traced returns the terminals' counters after a message of trace t, and refuses a used number.
func (v Vault) traced(t Trace) (map[string]Terminal, error) {
	used, known := v.Terminals[t.Terminal]
	day := t.Sent.DateText(used.Day)
	if !known {
		used.Number = len(v.Terminals)
	}
	if used.Number >= maxTerminals || used.Day > day || used.Day == day && t.STAN <= used.STAN || t.STAN < 1 || t.STAN > maxSTAN {
		return nil, misfit("trace number %d of terminal %s on %s is used", t.STAN, t.Terminal, day)
	}
	terminals := maps.Clone(v.Terminals)
	if terminals == nil {
		terminals = map[string]Terminal{}
	}
	terminals[t.Terminal] = Terminal{Day: day, STAN: t.STAN, Number: used.Number}
	return terminals, nil
}

const maxSTAN = 999_999

// VaultCreated is the log's first entry.
type VaultCreated struct {
	Vault      string `json:"vault"`      // DNS name, the log's origin
	Generation uint64 `json:"generation"` // from 1
	Signer     string `json:"signer"`     // vkey
}

// Kind implements Body.
func (VaultCreated) Kind() string { return "vault-created" }

// KeysChanged records which sealing keys were made and which destroyed.
type KeysChanged struct {
	Created   []KeySchedule      `json:"created,omitempty"`
	Destroyed []envelope.KeyName `json:"destroyed,omitempty"`
}

// Kind implements Body.
func (KeysChanged) Kind() string { return "keys-changed" }

// KeySchedule is the published schedule of one sealing key.
type KeySchedule struct {
	Name  envelope.KeyName `json:"name"`
	From  envelope.Time    `json:"from"`
	Until envelope.Time    `json:"until"`
	Dies  envelope.Time    `json:"dies"`
}

// RelaysSet names the relays whose bags count, by vkey.
type RelaysSet struct {
	Relays []string `json:"relays"`
}

// Kind implements Body.
func (RelaysSet) Kind() string { return "relays-set" }

// DirectoryIssued reports that a directory note with this serial was signed; Evidence: its digest.
type DirectoryIssued struct {
	Serial uint64 `json:"serial"`
}

// Kind implements Body.
func (DirectoryIssued) Kind() string { return "directory-issued" }

// MembersIssued reports that a members note with this serial was signed; Evidence is its digest.
type MembersIssued struct {
	Serial uint64 `json:"serial"`
}

// Kind implements Body.
func (MembersIssued) Kind() string { return "members-issued" }

// VaultUnlocked reports that k custodians opened the vault.
type VaultUnlocked struct {
	Version string `json:"version"`          // of the binary
	Shares  []int  `json:"shares,omitempty"` // numbers of the shares that were given
}

// Kind implements Body.
func (VaultUnlocked) Kind() string { return "vault-unlocked" }

// VaultLocked reports that the vault forgot its keys.
type VaultLocked struct{}

// Kind implements Body.
func (VaultLocked) Kind() string { return "vault-locked" }

// VaultStarted reports that the daemon began, locked, at At. It is logged with the next unlock, for
// nothing can be sealed before.
type VaultStarted struct {
	Version string        `json:"version"` // of the binary
	At      envelope.Time `json:"at"`
}

// Kind implements Body.
func (VaultStarted) Kind() string { return "vault-started" }

// VaultStopped reports that the daemon ended in order, after it locked. A start without it follows
// a lock, a crash, or the end of a locked daemon.
type VaultStopped struct{}

// Kind implements Body.
func (VaultStopped) Kind() string { return "vault-stopped" }

// AccessRefused reports calls that were refused; those of a locked vault are logged by the next
// unlock.
type AccessRefused struct {
	Call  string        `json:"call"` // what was asked for, as "POST /unlock"
	Code  string        `json:"code"` // how it was answered: "locked", "not-allowed"
	Times int           `json:"times"`
	First envelope.Time `json:"first"` // when
	Last  envelope.Time `json:"last"`
}

// Kind implements Body.
func (AccessRefused) Kind() string { return "access-refused" }

// LogExported reports, before anything is written, that the log is given out; and again, with
// Failed, where that went wrong.
type LogExported struct {
	Dir    string `json:"dir"`              // on the vault's host
	Bodies int64  `json:"bodies,omitempty"` // index of the first entry that goes with its body
	Failed bool   `json:"failed,omitempty"`
}

// Kind implements Body.
func (LogExported) Kind() string { return "log-exported" }

// changeVault changes the vault's record.
func (f *fold) changeVault(change func(*Vault) error) error {
	v, err := f.Vault()
	if err != nil {
		return err
	}
	if err := change(&v); err != nil {
		return err
	}
	return TheVault.Put(f.State, v)
}

func (f *fold) created(b VaultCreated) error {
	return TheVault.Put(f.State, Vault{Name: b.Vault, Generation: b.Generation, Signer: b.Signer, NextBatch: 1})
}

func (f *fold) keysChanged(b KeysChanged) error {
	return f.changeVault(func(v *Vault) (err error) {
		v.Keys, err = changedKeys(v.Keys, b)
		return err
	})
}

// changedKeys returns the keys after a change: each is made once and destroyed once.
func changedKeys(keys []envelope.KeyName, b KeysChanged) ([]envelope.KeyName, error) {
	keys = slices.Clone(keys)
	for _, k := range b.Created {
		at, found := slices.BinarySearch(keys, k.Name)
		if found {
			return nil, misfit("key %s is made", k.Name)
		}
		keys = slices.Insert(keys, at, k.Name)
	}
	for _, name := range b.Destroyed {
		at, found := slices.BinarySearch(keys, name)
		if !found {
			return nil, misfit("key %s is destroyed or was never made", name)
		}
		keys = slices.Delete(keys, at, at+1)
	}
	return keys, nil
}

func (f *fold) relaysSet(b RelaysSet) error {
	return f.changeVault(func(v *Vault) error {
		v.Relays = b.Relays
		return nil
	})
}

func (f *fold) directoryIssued(b DirectoryIssued) error {
	return f.changeVault(func(v *Vault) error { return advance(&v.Directory, b.Serial, "directory") })
}

func (f *fold) membersIssued(b MembersIssued) error {
	return f.changeVault(func(v *Vault) error { return advance(&v.Members, b.Serial, "members") })
}

func advance(newest *uint64, serial uint64, of string) error {
	if serial <= *newest {
		return misfit("%s serial %d after %d", of, serial, *newest)
	}
	*newest = serial
	return nil
}
