package envelope

import (
	"errors"
	"fmt"
	"time"

	"nightdrop/shared/note"
	"nightdrop/shared/strictjson"
)

// DirectoryKey is a public sealing key. Senders use it From until Until; what they sealed is
// accepted until Dies, when the vault destroys the private half.
type DirectoryKey struct {
	Name   KeyName `json:"name"` // kind day or code
	Suite  Suite   `json:"suite"`
	Public []byte  `json:"public"` // raw HPKE public key
	From   Time    `json:"from"`
	Until  Time    `json:"until"`
	Dies   Time    `json:"dies"`
}

// Directory is the vault's list of keys (nightdrop/directory/v1).
type Directory struct {
	Vault      string `json:"vault"`
	Serial     uint64 `json:"serial"`
	Generation uint64 `json:"generation"` // grows when a standby takes over
	Issued     Time   `json:"issued"`
	Expires    Time   `json:"expires"`
	// the keys whose notes count; all have the vault's name
	Signers []note.Verifier `json:"signers"`
	Keys    []DirectoryKey  `json:"keys"`
	Relays  []note.Verifier `json:"relays"`
}

func (Directory) typeLine() string    { return "nightdrop/directory/v1" }
func (d Directory) signedBy() string  { return d.Vault }
func (Directory) policy() note.Policy { return note.Policy{MaxBytes: note.MaxDirectoryBytes} }

// MarshalJSON writes empty lists as [], never null.
func (d Directory) MarshalJSON() ([]byte, error) {
	type plain Directory
	p := plain(d)
	p.Signers, p.Keys, p.Relays = filled(p.Signers), filled(p.Keys), filled(p.Relays)
	return strictjson.Marshal(p)
}

func (d Directory) check() error {
	if err := first(
		require(ValidVault(d.Vault), "vault is not a DNS name in lower case"),
		require(d.Issued.Before(d.Expires.Time), "expires is not after issued"),
		require(len(d.Signers) > 0, "a directory lists at least one signer"),
		checkVerifiers(d.Signers, func(name string) bool { return name == d.Vault }),
		checkVerifiers(d.Relays, ValidMerchant),
	); err != nil {
		return err
	}
	seen := make(map[KeyName]bool, len(d.Keys))
	for _, k := range d.Keys {
		if err := k.check(); err != nil {
			return err
		}
		if seen[k.Name] {
			return malformed("a key is listed twice")
		}
		seen[k.Name] = true
	}
	return nil
}

func (k DirectoryKey) check() error {
	if _, err := ParseKeyName(string(k.Name)); err != nil {
		return err
	}
	return first(
		require(k.Name.Kind() != KindReply, "a reply key is not of a directory"),
		require(k.Suite == k.Name.Suite(), "a key's suite is not its name's"),
		require(len(k.Public) == k.Suite.PublicBytes(), "a public key has not its suite's length"),
		require(k.From.Before(k.Until.Time) && !k.Dies.Before(k.Until.Time), "a key's from, until and dies are not in order"),
	)
}

// checkVerifiers checks keys: accepted names, none twice.
func checkVerifiers(list []note.Verifier, accept func(name string) bool) error {
	seen := make(map[note.Verifier]bool, len(list))
	for _, v := range list {
		if !accept(v.Name()) {
			return malformed("a verifier key has a name that does not belong there")
		}
		if seen[v] {
			return malformed("a verifier key is listed twice")
		}
		seen[v] = true
	}
	return nil
}

// Newest returns the key with which to seal at now: kind and suite fit, From ≤ now < Until, latest
// From.
func (d Directory) Newest(kind Kind, suite Suite, now time.Time) (DirectoryKey, bool) {
	var best DirectoryKey
	for _, k := range d.Keys {
		if k.Name.Kind() != kind || k.Suite != suite || k.From.After(now) || !now.Before(k.Until.Time) {
			continue
		}
		if best.Name == "" || k.From.After(best.From.Time) || k.From.Equal(best.From.Time) && k.Name > best.Name {
			best = k
		}
	}
	return best, best.Name != ""
}

// ErrUnknownKey is returned for a part's key that is not listed for it, has not begun or is dead.
var ErrUnknownKey = errors.New("get the newest directory and seal again")

// Accepts returns the key of that name if it is for part and in force, else [ErrUnknownKey].
func (d Directory) Accepts(name KeyName, part PartName, now time.Time) (DirectoryKey, error) {
	if !name.Serves(part) {
		return DirectoryKey{}, fmt.Errorf("%w: the key is not for the part %s", ErrUnknownKey, part)
	}
	for _, k := range d.Keys {
		if k.Name != name {
			continue
		}
		if k.From.After(now) || !now.Before(k.Dies.Time) {
			break
		}
		return k, nil
	}
	return DirectoryKey{}, fmt.Errorf("%w: the key is not listed, has not begun or is dead", ErrUnknownKey)
}

// Status of a member.
const (
	MemberActive    = "active"
	MemberSuspended = "suspended" // reads results, posts nothing
)

// Member is a merchant that a relay knows.
type Member struct {
	ID        string          `json:"id"`
	Verifiers []note.Verifier `json:"verifiers"` // all have the merchant's name
	Status    string          `json:"status"`
}

// Members is the vault's list of merchants for relays (nightdrop/members/v1).
type Members struct {
	Vault      string   `json:"vault"`
	Generation uint64   `json:"generation"`
	Serial     uint64   `json:"serial"`
	Issued     Time     `json:"issued"`
	Expires    Time     `json:"expires"`
	Merchants  []Member `json:"merchants"`
}

func (Members) typeLine() string    { return "nightdrop/members/v1" }
func (m Members) signedBy() string  { return m.Vault }
func (Members) policy() note.Policy { return note.Policy{MaxBytes: note.MaxDirectoryBytes} }

// MarshalJSON writes empty lists as [], never null.
func (m Members) MarshalJSON() ([]byte, error) {
	type plain Members
	p := plain(m)
	p.Merchants = make([]Member, len(m.Merchants))
	for i, merchant := range m.Merchants {
		merchant.Verifiers = filled(merchant.Verifiers)
		p.Merchants[i] = merchant
	}
	return strictjson.Marshal(p)
}

func (m Members) check() error {
	if err := first(
		require(ValidVault(m.Vault), "vault is not a DNS name in lower case"),
		require(m.Issued.Before(m.Expires.Time), "expires is not after issued"),
	); err != nil {
		return err
	}
	seen := make(map[string]bool, len(m.Merchants))
	for _, member := range m.Merchants {
		if err := first(
			require(ValidMerchant(member.ID), "a merchant's id is not a merchant's name"),
			require(!seen[member.ID], "a merchant is listed twice"),
			require(member.Status == MemberActive || member.Status == MemberSuspended, "a merchant's status is neither active nor suspended"),
			checkVerifiers(member.Verifiers, func(name string) bool { return name == member.ID }),
		); err != nil {
			return err
		}
		seen[member.ID] = true
	}
	return nil
}

// PositionEntry is how far the vault has committed the bags of one run.
type PositionEntry struct {
	Relay  string `json:"relay"`
	Run    string `json:"run"`
	Number uint64 `json:"number"`
	Digest string `json:"digest"` // of that bag
}

// Position is the vault's statement of which bags are committed (nightdrop/position/v1), for each
// run of the last 7 days.
type Position struct {
	Vault      string          `json:"vault"`
	Generation uint64          `json:"generation"`
	Issued     Time            `json:"issued"`
	Relays     []PositionEntry `json:"relays"`
}

func (Position) typeLine() string    { return "nightdrop/position/v1" }
func (p Position) signedBy() string  { return p.Vault }
func (Position) policy() note.Policy { return note.Policy{} }

// MarshalJSON writes an empty list as [], never null.
func (p Position) MarshalJSON() ([]byte, error) {
	type plain Position
	q := plain(p)
	q.Relays = filled(q.Relays)
	return strictjson.Marshal(q)
}

func (p Position) check() error {
	if err := require(ValidVault(p.Vault), "vault is not a DNS name in lower case"); err != nil {
		return err
	}
	seen := make(map[string]bool, len(p.Relays))
	for _, entry := range p.Relays {
		if err := first(
			checkRun(entry.Relay, entry.Run, entry.Number),
			require(validDigest(entry.Digest), "digest is not 64 hex digits"),
			require(!seen[entry.Relay+"/"+entry.Run], "a run is listed twice"),
		); err != nil {
			return err
		}
		seen[entry.Relay+"/"+entry.Run] = true
	}
	return nil
}

func filled[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
