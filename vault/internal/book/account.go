package book

import (
	"nightdrop/shared/envelope"
)

// Tokens are kept by merchant and token.
var Tokens = &Table[Key, Token]{Name: "tokens", Line: "token", Key: func(t Token) Key { return Key{t.Merchant, t.Token} },
	Bytes: Key.Bytes, Owner: Key.owner}

// Token returns a stored account's token.
func (s *State) Token(merchant, token string) (Token, bool, error) {
	return Tokens.Get(s, Key{merchant, token})
}

// Token is a stored account, without the account.
type Token struct {
	Merchant    string        `json:"merchant"`
	Token       string        `json:"token"` // tok_ and 26 base32 characters
	Payment     string        `json:"payment"`
	Method      Method        `json:"method"`
	Masked      string        `json:"masked"`
	Brand       string        `json:"brand,omitempty"`
	Fingerprint string        `json:"fingerprint"`
	Stored      envelope.Time `json:"stored"`
	Changed     envelope.Time `json:"changed"`
	Forgotten   bool          `json:"forgotten,omitempty"`
	// not compared with the block list when it was stored: the file does it
	Uncompared bool `json:"uncompared,omitempty"`
	// by an update with a whole account, perhaps another than paid before
	Replaced bool `json:"replaced,omitempty"`
	// C01 to C99: no entry is made until an update brings a whole account
	Notice string `json:"notice,omitempty"`
}

// BlockList is kept by merchant and fingerprint.
var BlockList = &Table[Key, Block]{Name: "blocks", Line: "block", Key: func(b Block) Key { return Key{b.Merchant, b.Fingerprint} },
	Bytes: Key.Bytes, Owner: Key.owner}

// Block returns the block of an account.
func (s *State) Block(merchant, fingerprint string) (Block, bool, error) {
	return BlockList.Get(s, Key{merchant, fingerprint})
}

// Block is an account that a merchant's entries may not use any more.
type Block struct {
	Merchant    string        `json:"merchant"`
	Fingerprint string        `json:"fingerprint"`
	Code        envelope.Code `json:"code"`    // ach-RNN
	Payment     string        `json:"payment"` // id of the entry that came back
	Since       envelope.Time `json:"since"`
}

// blocksAccount reports whether a return reason blocks the account: closed (R02), no account (R03),
// invalid number (R04), authorisation revoked (R07), not authorised (R10, R29). Logs are folded
// again with this list, so it never changes: later NACHA rules come as a member of the event.
func blocksAccount(reason string) bool {
	switch reason {
	case "R02", "R03", "R04", "R07", "R10", "R29":
		return true
	}
	return false
}

// AccountStored answers a store.
type AccountStored struct {
	ID    string `json:"id"`
	Token string `json:"token"`
	// a bank account that was not compared with the block list
	Uncompared bool `json:"uncompared,omitempty"`
}

// Kind implements Body.
func (AccountStored) Kind() string { return "account-stored" }

// AccountUpdated answers an update.
type AccountUpdated struct {
	ID string `json:"id"`
	// a bank account took the place of the stored one; else a card got another expiry
	Whole bool `json:"whole,omitempty"`

	Uncompared bool `json:"uncompared,omitempty"` // as in AccountStored, of a whole account
}

// Kind implements Body.
func (AccountUpdated) Kind() string { return "account-updated" }

// AccountForgotten answers a forget: the account's key is destroyed next.
type AccountForgotten struct {
	ID string `json:"id"`
}

// Kind implements Body.
func (AccountForgotten) Kind() string { return "account-forgotten" }

func (f *fold) accountUpdated(b AccountUpdated) error {
	return f.changed(b.ID, envelope.OpUpdate, envelope.StatusUpdated, func(p Payment, t *Token) bool { return !b.Whole || t.replace(p, b.Uncompared) })
}

func (f *fold) accountForgotten(b AccountForgotten) error {
	return f.changed(b.ID, envelope.OpForget, envelope.StatusForgotten, func(_ Payment, t *Token) bool { t.Forgotten = true; return true })
}

func (f *fold) stored(b AccountStored) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	_, there, err := f.Token(p.Merchant, b.Token)
	if err != nil {
		return err
	}
	if there || p.Operation != envelope.OpStore || !envelope.ValidToken(b.Token) {
		return misfit("account %s is stored, or has no token", p.ID)
	}
	now := f.event.Time
	err = Tokens.Put(f.State, Token{Merchant: p.Merchant, Token: b.Token, Payment: p.ID, Method: p.Way(), Masked: p.Masked, Brand: p.Brand,
		Fingerprint: p.Fingerprint, Stored: now, Changed: now, Uncompared: b.Uncompared})
	if err != nil {
		return err
	}
	if err := f.moveTo(&p, StageDone); err != nil {
		return err
	}
	p.Token, p.Code = b.Token, envelope.CodeOK
	return f.issue(p, envelope.StatusStored, envelope.CodeOK)
}

// changed ends an update or forget of a stored account.
func (f *fold) changed(id string, op envelope.Operation, status envelope.Status, change func(Payment, *Token) bool) error {
	p, err := f.step(id)
	if err != nil {
		return err
	}
	t, there, err := f.Token(p.Merchant, p.Token)
	if err != nil {
		return err
	}
	if !there || t.Forgotten || p.Operation != op {
		return misfit("account of %s is not stored", p.ID)
	}
	if !change(p, &t) {
		return misfit("%s brings no account for the stored one", p.ID)
	}
	t.Changed = f.event.Time
	if err := Tokens.Put(f.State, t); err != nil {
		return err
	}
	if err := f.moveTo(&p, StageDone); err != nil {
		return err
	}
	p.Code = envelope.CodeOK
	return f.issue(p, status, envelope.CodeOK)
}

// replace puts the account of an update in place of a stored one and clears what was noted of the
// old. It reports whether both are of a bank.
func (t *Token) replace(update Payment, uncompared bool) bool {
	if t.Method != MethodBank || update.Way() != MethodBank || update.Fingerprint == "" {
		return false
	}
	t.Masked, t.Fingerprint, t.Notice, t.Uncompared, t.Replaced = update.Masked, update.Fingerprint, "", uncompared, true
	return true
}
