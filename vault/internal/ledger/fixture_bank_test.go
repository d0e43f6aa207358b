package ledger

import (
	"fmt"
	"strings"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/book"
)

const plainCard = `{"card":{"number":"4242424242424242","expiry":"2030-12"}}`

// tokenOf makes a token of a letter.
func tokenOf(letter string) string { return "tok_" + strings.Repeat(letter, 26) }

// keyed seals an account under a key of its own: outside transactions, for each call takes a slot.
func (v *vault) keyed(merchant, token string) Stored {
	v.t.Helper()
	slot, sealed, err := v.ring.SealStored(merchant, token, []byte(plainCard))
	if err != nil {
		v.t.Fatal(err)
	}
	return Stored{Slot: slot, Sealed: sealed}
}

// permit gives a merchant storage and bank accounts.
func permit(tx *Tx, merchant string) error {
	_, err := tx.Append(book.Event{Actor: "user:root", Origin: "socket", Merchant: merchant, Body: book.MerchantPolicySet{Policy: book.Policy{
		Storage: true, Company: book.Company{Name: "SHOP", ID: "1234567890"}}}})
	return err
}

func appendAll(tx *Tx, merchant string, bodies ...book.Body) error {
	for _, body := range bodies {
		if _, err := tx.Append(vaultEvent(merchant, body)); err != nil {
			return fmt.Errorf("%s: %w", body.Kind(), err)
		}
	}
	return nil
}

// instruction is an envelope of an operation, from a card unless the caller changes it.
func instruction(id string, op envelope.Operation) book.EnvelopeReceived {
	return book.EnvelopeReceived{ID: id, Digest: digestOf(id), Until: envelope.At(start.Add(1000 * 3600e9)), Operation: op, Reference: "order 7",
		Masked: "424242******4242", Brand: "visa", Fingerprint: digestOf("4242"), Method: book.MethodCard}
}

// store keeps an account under a token: event and record together.
func store(tx *Tx, merchant, id, token string, s Stored) error {
	if err := appendAll(tx, merchant, instruction(id, envelope.OpStore), book.AccountStored{ID: id, Token: token}); err != nil {
		return err
	}
	return tx.PutStored(merchant, token, s)
}

// forget gives an account up: event and record together. Its key is the caller's to destroy, after
// the commit.
func forget(tx *Tx, merchant, id, token string) error {
	received := instruction(id, envelope.OpForget)
	received.Token = token
	if err := appendAll(tx, merchant, received, book.AccountForgotten{ID: id}); err != nil {
		return err
	}
	return tx.DeleteStored(merchant, token)
}

// hold authorises without a sale, and takes a capture of it.
func hold(tx *Tx, merchant, id, capture string) error {
	received := instruction(id, envelope.OpAuthorize)
	received.Amount, received.Currency = 5000, "USD"
	if err := appendAll(tx, merchant, received); err != nil {
		return err
	}
	v, err := tx.Vault()
	if err != nil {
		return err
	}
	trace, err := v.NextTrace([]string{"TERM0001"}, "ACCEPTOR1", tx.Now(), nil)
	if err != nil {
		return err
	}
	err = appendAll(tx, merchant, book.AuthorisationIntended{ID: id, Trace: trace},
		book.AuthorisationAnswered{ID: id, Code: envelope.ISOCode("00"), Approval: "A1B2C3"})
	if err != nil {
		return err
	}
	return take(tx, merchant, id, capture, 2000)
}

// take is a capture's envelope.
func take(tx *Tx, merchant, of, id string, amount int64) error {
	received := instruction(id, envelope.OpCapture)
	received.Of, received.Amount, received.Currency = of, amount, "USD"
	return appendAll(tx, merchant, received)
}

// debit walks a bank account's sale through a settlement file and back: returned for good, so that
// the account is blocked.
func debit(tx *Tx, merchant, id string) error {
	v, err := tx.Vault()
	if err != nil {
		return err
	}
	received := instruction(id, envelope.OpSale)
	received.Method, received.Masked, received.Brand = book.MethodBank, "******6789", ""
	received.Amount, received.Currency, received.Fingerprint = 1999, "USD", digestOf("bank "+merchant)
	number, day := v.NextBatch, tx.Now().Format("2006-01-02")
	err = appendAll(tx, merchant, received, book.BatchOpened{Batch: number, Method: book.MethodBank},
		book.EntryAccepted{ID: id, Batch: number, Standard: "WEB"}, book.BatchClosing{Batch: number})
	if err != nil {
		return err
	}
	batch, _, err := tx.Batch(number)
	if err != nil {
		return err
	}
	name, sequence := fmt.Sprintf("nightdrop-%d.ach", number), v.NextSequence()
	return appendAll(tx, merchant, book.BatchClosed{Batch: number, Totals: batch.Totals, HashTotal: batch.HashTotal},
		book.FileBegun{Name: name, Day: day, Modifier: v.NextFile(day), Effective: day, Batches: []uint32{number}},
		book.EntryIntended{ID: id, File: name, Trace: fmt.Sprintf("12345678%07d", sequence), Sequence: sequence},
		book.FileIntended{Name: name, Digest: digestOf(name), Entries: 1, Debits: 1999},
		book.FileWritten{Name: name}, book.PaymentSettled{ID: id, Batch: number}, book.BatchSettled{Batch: number},
		book.AnswerTaken{Name: "answer.ach", Digest: digestOf("answer " + name), Created: tx.Now(), Items: 1},
		book.PaymentReturned{ID: id, Code: "ach-R03"})
}
