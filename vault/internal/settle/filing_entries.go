package settle

import (
	"fmt"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/book"
	"nightdrop/vault/internal/ledger"
)

// entry is one payment on its way into a file.
type entry struct {
	book.Payment
	from    source
	account *account.Account
	code    envelope.Code // other than ok: why it is left out
}

// entries reads a few entries, and where their accounts are.
func (f *filing) entries(merchant string, ids []string) (entries []entry, err error) {
	err = f.engine.cfg.Ledger.View(func(tx *ledger.Tx) error {
		entries = make([]entry, len(ids))
		for i, id := range ids {
			p, found, err := tx.Payment(merchant, id)
			if err != nil || !found {
				return orMissing(err, "payment "+id+" of "+merchant)
			}
			from, err := sourceOf(tx, p)
			if err != nil {
				return err
			}
			entries[i] = entry{Payment: p, from: from, code: envelope.CodeOK}
			if f.file.Stage == book.FileNamed { // later the file is what its digest says
				entries[i].code, err = overtaken(tx, p)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	return entries, err
}

// overtaken tells whether what came since p was accepted forbids to send it to the bank: its
// account was blocked, is to be corrected first, or is no longer the one it is for, the sale that
// it refunds came back, so that the account would be paid twice, or its merchant was suspended and
// would pay out.
func overtaken(tx *ledger.Tx, p book.Payment) (envelope.Code, error) {
	_, blocked, err := tx.Block(p.Merchant, p.Fingerprint)
	if err != nil || blocked {
		return envelope.CodeBlockedAccount, err
	}
	if p.Token != "" {
		t, _, err := tx.Token(p.Merchant, p.Token)
		switch {
		case err != nil || t.Notice != "":
			return envelope.CodeBlockedAccount, err
		case t.Fingerprint != p.Fingerprint:
			return envelope.CodeAccountGone, nil
		}
	}
	switch p.Operation {
	case envelope.OpRefund:
		original, _, err := tx.Payment(p.Merchant, p.Of)
		if err != nil || original.Stage == book.StageReturned {
			return original.Code, err // ach-RNN: the refund's merchant reads why it was not sent
		}
	case envelope.OpPayout:
		m, _, err := tx.Merchant(p.Merchant)
		if err != nil || m.Status != book.MerchantActive {
			return envelope.CodeMerchantSuspended, err
		}
	}
	return envelope.CodeOK, nil
}

// asUpdated says with which account a sale or payout goes out whose stored account was replaced
// since it was accepted. A refund does not follow: it goes to the account that paid, and to no
// other.
func asUpdated(tx *ledger.Tx, merchant string, body *book.EntryIntended) error {
	p, _, err := tx.Payment(merchant, body.ID)
	if err != nil || p.Token == "" || p.Operation == envelope.OpRefund {
		return err
	}
	t, _, err := tx.Token(merchant, p.Token)
	if err == nil && !t.Forgotten && t.Fingerprint != p.Fingerprint {
		body.Masked, body.Fingerprint = t.Masked, t.Fingerprint
	}
	return err
}

// open opens the entries' accounts on every processor. An error says nothing about an account: the
// key ring is locked.
func (f *filing) open(entries []entry) error {
	var workers errgroup.Group
	workers.SetLimit(runtime.GOMAXPROCS(0))
	for share := range slices.Chunk(entries, (chunk+runtime.GOMAXPROCS(0)-1)/runtime.GOMAXPROCS(0)) {
		workers.Go(func() error {
			for i := range share {
				if share[i].code != envelope.CodeOK {
					continue
				}
				opened, code, err := f.engine.openSource(share[i].from)
				if err != nil {
					return fmt.Errorf("open an account for %s: %w", f.file.Name, err)
				}
				if code == envelope.CodeOK && opened.Bank == nil {
					opened.Clear()
					code = envelope.CodeBadAccount
				}
				share[i].account, share[i].code = opened, code
			}
			return nil
		})
	}
	return workers.Wait()
}
