package control

import (
	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

// Merchant is a merchant as operators see it.
type Merchant struct {
	ID         string        `json:"id"`
	Name       string        `json:"name"`
	Status     string        `json:"status"`
	Verifiers  []string      `json:"verifiers"`
	ReplyKeys  []string      `json:"replyKeys"`
	Acceptor   string        `json:"acceptor"`
	Currencies []string      `json:"currencies"`
	Added      envelope.Time `json:"added"`
	Results    uint64        `json:"results"`             // serial of the newest
	OpenBatch  string        `json:"openBatch,omitempty"` // the open card batch, card-000017
	OpenBank   string        `json:"openBank,omitempty"`  // the open bank batch

	Keys []MerchantKey `json:"keys"` // of the keys in use, and those retired, oldest first

	Policy book.Policy `json:"policy"`

	// Changed reports in the answer to an update that something was not so already.
	Changed bool `json:"changed,omitempty"`

	// Published reports in the answer to a change that the relays' channel has the members note
	// with it.
	Published bool `json:"published,omitempty"`
}

// MerchantKey is when a key came and went.
type MerchantKey struct {
	// NAME+HASH of a verifier key, reply-ID-SUITE of a reply key
	Name    string        `json:"name"`
	Use     book.KeyUse   `json:"use"`
	Added   envelope.Time `json:"added"`
	Retired envelope.Time `json:"retired,omitzero"`
}

// MerchantChange is what `merchant update` sends; what is absent stays as it is. Keys are whole
// lines.
type MerchantChange struct {
	Name            string   `json:"name,omitempty"`
	Currencies      []string `json:"currencies,omitempty"`
	Acceptor        string   `json:"acceptor,omitempty"`
	AddVerifiers    []string `json:"addVerifiers,omitempty"`
	RetireVerifiers []string `json:"retireVerifiers,omitempty"`
	AddReplyKeys    []string `json:"addReplyKeys,omitempty"`
	RetireReplyKeys []string `json:"retireReplyKeys,omitempty"`
}

// NewMerchant is what `merchant add` sends.
type NewMerchant struct {
	ID         string   `json:"id"`
	Name       string   `json:"name"`
	Verifiers  []string `json:"verifiers"` // vkeys whose name is the id
	ReplyKeys  []string `json:"replyKeys"` // KEYNAME+BASE64
	Acceptor   string   `json:"acceptor"`  // 1 to 15 of A-Z0-9; empty: made from the id
	Currencies []string `json:"currencies"`

	// as bank files name it; absent: no bank accounts
	Company *book.Company `json:"company,omitempty"`
}

// PolicyChange changes parts of a merchant's policy; what is absent stays as it is.
type PolicyChange struct {
	Limits        []LimitChange `json:"limits,omitempty"`
	RefundPercent *int          `json:"refundPercent,omitempty"` // 0: no limit
	Payees        *book.Payees  `json:"payees,omitempty"`
	Storage       *bool         `json:"storage,omitempty"`
	StoresPerDay  *int          `json:"storesPerDay,omitempty"` // 0: book.DefaultStoresPerDay
	CompanyName   *string       `json:"companyName,omitempty"`
	CompanyID     *string       `json:"companyID,omitempty"`
}

// LimitChange changes limits in one currency, in minor units; 0 takes a limit away, and forbids
// payouts.
type LimitChange struct {
	Currency  string `json:"currency"`
	Payment   *int64 `json:"payment,omitempty"`
	Day       *int64 `json:"day,omitempty"`
	PayoutDay *int64 `json:"payoutDay,omitempty"`
}

// Empty reports whether the change names nothing.
func (c MerchantChange) Empty() bool {
	return c.Name == "" && c.Acceptor == "" && len(c.Currencies)+len(c.AddVerifiers)+len(c.RetireVerifiers)+
		len(c.AddReplyKeys)+len(c.RetireReplyKeys) == 0
}
