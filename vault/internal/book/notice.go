package book

import (
	"slices"
	"strings"

	"nightdrop/shared/envelope"
)

// ChangeNotified is the bank's notice that an account's particulars have changed; the new ones are
// not kept.
type ChangeNotified struct {
	ID   string `json:"id"`
	Code string `json:"code"` // C01 to C99
	// the merchant gets a result, and its stored account is withheld until updated; older logs:
	// neither
	Told bool `json:"told,omitempty"`
}

// Kind implements Body.
func (ChangeNotified) Kind() string { return "change-notified" }

// changeNotified applies a notice of change. In logs of before 2026-11-30 it issues no result.
func (f *fold) changeNotified(b ChangeNotified) error {
	p, err := f.step(b.ID)
	if err != nil {
		return err
	}
	p.Notice = b.Code
	if !b.Told {
		return f.put(p)
	}
	code := envelope.ACHCode(b.Code)
	if !code.Valid() || b.Code[0] != 'C' || !p.MayNote(b.Code) {
		return misfit("the notice of change of %s has no code, or was reported before", p.ID)
	}
	p.Notices = append(slices.Clip(p.Notices), b.Code)
	if err := f.noteAccount(p, b.Code); err != nil {
		return err
	}
	return f.issue(p, envelope.StatusNoted, code)
}

// MayNote reports whether the merchant has no result yet of a notice of change with this code.
func (e BankEntry) MayNote(code string) bool { return !slices.Contains(e.Notices, code) }

// noteAccount blocks the stored account that an entry used, unless it was forgotten, or changed
// after the entry went out: the notice is about what it was before.
func (f *fold) noteAccount(p Payment, code string) error {
	if p.Token == "" {
		return nil
	}
	t, there, err := f.Token(p.Merchant, p.Token)
	if err != nil || !there || t.Forgotten {
		return err
	}
	file, _, err := f.File(p.File)
	if err != nil || t.Changed.After(file.Written.Time) {
		return err
	}
	t.Notice = code
	return Tokens.Put(f.State, t)
}

// Withheld is the code with which the sale of a refund came back before the refund was sent: the
// refund is rejected with it, for the account never paid. It is "" otherwise.
func (p Payment) Withheld() envelope.Code {
	if p.Stage == StageRejected && p.Operation == envelope.OpRefund && strings.HasPrefix(string(p.Code), "ach-R") {
		return p.Code
	}
	return ""
}
