package book

import (
	"nightdrop/shared/envelope"
)

// MerchantStatus is active or suspended.
type MerchantStatus string

// The statuses of a merchant, as in a members note.
const (
	MerchantActive  MerchantStatus = "active"
	MerchantStopped MerchantStatus = "suspended"
)

// Merchants are kept by id.
var Merchants = &Table[string, Merchant]{Name: "merchants", Line: "merchant", Key: func(m Merchant) string { return m.ID }, Bytes: named}

// Merchant returns a merchant.
func (s *State) Merchant(id string) (Merchant, bool, error) { return Merchants.Get(s, id) }

// Merchant is a business whose storefronts send envelopes.
type Merchant struct {
	ID         string         `json:"id"`
	Name       string         `json:"name"`
	Status     MerchantStatus `json:"status"`
	Verifiers  []string       `json:"verifiers"`
	ReplyKeys  []string       `json:"replyKeys"`
	Acceptor   string         `json:"acceptor"`
	Currencies []string       `json:"currencies"`
	Added      envelope.Time  `json:"added"`
	Results    uint64         `json:"results"` // serial of the newest result
	// card batch that new authorisations and captures join
	OpenBatch uint32      `json:"openBatch,omitempty"`
	OpenBank  uint32      `json:"openBank,omitempty"` // bank batch that new entries join
	Policy    Policy      `json:"policy,omitzero"`
	Usage     Usage       `json:"usage,omitzero"`
	Version   uint64      `json:"version"` // grows when status changes, and with each update
	Refusals  Refusals    `json:"refusals"`
	Compared  Comparisons `json:"compared,omitzero"`

	Keys []MerchantKey `json:"keys,omitempty"` // keys that an update added or retired, oldest first

	// when the vault last published by itself what RESULTS had lost: once a day at most
	Republished envelope.Time `json:"republished,omitzero"`
}

// Refusals counts a merchant's results of code unknown-signer in a UTC day.
type Refusals struct {
	Day   string `json:"day,omitempty"`
	Count int    `json:"count,omitempty"`
}

// MaxRefusals is how many unknown-signer results a merchant gets a day: enough for a storefront
// whose key was removed to learn of it, too few for a stolen relay to flood a merchant's chain.
// Further ones are only findings.
const MaxRefusals = 100

// MayRefuse reports whether a merchant may be sent another unknown-signer result today.
func (m Merchant) MayRefuse(now envelope.Time) bool {
	return m.Refusals.Day != now.DateText(m.Refusals.Day) || m.Refusals.Count < MaxRefusals
}

func (f *fold) countRefusal(merchant string) error {
	m, ok, err := f.Merchant(merchant)
	if err != nil {
		return err
	}
	if !ok || !m.MayRefuse(f.event.Time) {
		return misfit("merchant %s may not be sent another refusal today", merchant)
	}
	day := f.event.Time.DateText(m.Refusals.Day)
	if m.Refusals.Day != day {
		m.Refusals = Refusals{Day: day}
	}
	m.Refusals.Count++
	return Merchants.Put(f.State, m)
}

// MerchantAdded enrols a merchant.
type MerchantAdded struct {
	Name      string   `json:"name"`
	Verifiers []string `json:"verifiers"` // vkeys of the storefront's signing keys
	ReplyKeys []string `json:"replyKeys"` // KEYNAME+BASE64, newest last
	// card acceptor id, ISO 8583 field 42, 1 to 15 of A-Z0-9
	Acceptor   string   `json:"acceptor"`
	Currencies []string `json:"currencies"` // ISO 4217 codes that it may sell in
	// the fold enforces a merchant's rules; in logs of before, [Breach] finds what does not hold
	Checked bool `json:"checked,omitempty"`
}

// Kind implements Body.
func (MerchantAdded) Kind() string { return "merchant-added" }

// MerchantSuspended stops a merchant's new envelopes.
type MerchantSuspended struct{}

// Kind implements Body.
func (MerchantSuspended) Kind() string { return "merchant-suspended" }

// MerchantResumed lets them in again.
type MerchantResumed struct{}

// Kind implements Body.
func (MerchantResumed) Kind() string { return "merchant-resumed" }

// MerchantPolicySet replaces a merchant's policy.
type MerchantPolicySet struct {
	Policy Policy `json:"policy"`
	// the fold enforces the rules of its company; in logs of before, [Breach] does
	Checked bool `json:"checked,omitempty"`
}

// Kind implements Body.
func (MerchantPolicySet) Kind() string { return "merchant-policy-set" }

// ResultsResent reports that a person, or the vault by itself, published a merchant's results
// again: the same bytes under the same serials.
type ResultsResent struct {
	From    uint64 `json:"from"`    // serial of the first
	Through uint64 `json:"through"` // serial of the last
	// how many of them RESULTS had lost, where the vault did so by itself; only they go
	Lost uint64 `json:"lost,omitempty"`
}

// Kind implements Body.
func (ResultsResent) Kind() string { return "results-resent" }

func (f *fold) added(b MerchantAdded) error {
	id := f.event.Merchant
	_, known, err := f.Merchant(id)
	if err != nil {
		return err
	}
	if known || !envelope.ValidMerchant(id) {
		return misfit("merchant %s exists or has no merchant's name", id)
	}
	m := b.merchant(id)
	if b.Checked {
		if err := checkEnrolled(f.State, m); err != nil {
			return err
		}
	}
	m.Added = f.event.Time
	return Merchants.Put(f.State, m)
}

// merchant is the record that the event makes, without when.
func (b MerchantAdded) merchant(id string) Merchant {
	return Merchant{ID: id, Name: b.Name, Status: MerchantActive, Verifiers: b.Verifiers, ReplyKeys: b.ReplyKeys, Acceptor: b.Acceptor,
		Currencies: b.Currencies, Version: 1}
}

// changeMerchant changes the record of the event's merchant.
func (f *fold) changeMerchant(change func(*Merchant) error) error {
	m, ok, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if !ok {
		return misfit("no merchant %s", f.event.Merchant)
	}
	if err := change(&m); err != nil {
		return err
	}
	return Merchants.Put(f.State, m)
}

func (f *fold) policySet(b MerchantPolicySet) error {
	return f.changeMerchant(func(m *Merchant) error {
		if err := b.Policy.Check(); err != nil {
			return misfit("policy of %s: %v", m.ID, err)
		}
		if b.Checked {
			if err := CheckCompany(m.Policy.Company, b.Policy.Company); err != nil {
				return misfit("policy of %s: %v", m.ID, err)
			}
		}
		m.Policy = b.Policy
		return nil
	})
}

func (f *fold) suspended(MerchantSuspended) error { return f.turn(MerchantActive, MerchantStopped) }
func (f *fold) resumed(MerchantResumed) error     { return f.turn(MerchantStopped, MerchantActive) }

// turn changes a merchant's status.
func (f *fold) turn(from, to MerchantStatus) error {
	return f.changeMerchant(func(m *Merchant) error {
		if m.Status != from {
			return misfit("merchant %s is %s", m.ID, m.Status)
		}
		m.Status = to
		m.Version++
		return nil
	})
}

// resent checks that the results are there, and notes when the vault last did so by itself.
func (f *fold) resent(b ResultsResent) error {
	m, ok, err := f.Merchant(f.event.Merchant)
	if err != nil {
		return err
	}
	if !ok || b.From == 0 || b.From > b.Through || b.Through > m.Results {
		return misfit("results %d to %d of merchant %s, which has %d", b.From, b.Through, f.event.Merchant, m.Results)
	}
	if b.Lost == 0 {
		return nil
	}
	m.Republished = f.event.Time
	return Merchants.Put(f.State, m)
}

func (f *fold) nextSerial(merchant string) (uint64, error) {
	m, ok, err := f.Merchant(merchant)
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, misfit("no merchant %s", merchant)
	}
	m.Results++
	return m.Results, Merchants.Put(f.State, m)
}
