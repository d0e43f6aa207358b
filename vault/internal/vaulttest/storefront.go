package vaulttest

import (
	"crypto/ecdh"
	"crypto/hpke"
	"encoding/base64"
	"testing"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/seal"
	"nightdrop/vault/internal/book"
)

// Storefront is an enrolled merchant with its keys.
type Storefront struct {
	ID     string
	Signer *note.Signer

	vault     *Vault
	reply     hpke.PrivateKey
	replyName envelope.KeyName
}

// Enrol adds a merchant that sells in dollars and euros.
func (v *Vault) Enrol(id string) *Storefront {
	v.TB.Helper()
	s := v.Stranger(id)
	v.Append(id, book.MerchantAdded{Name: "The shop " + id, Verifiers: []string{s.Signer.Verifier().String()}, ReplyKeys: []string{s.ReplyLine()},
		Acceptor: "ACCEPTOR1", Currencies: []string{"USD", "EUR"}})
	return s
}

// Stranger is a storefront that the vault does not know.
func (v *Vault) Stranger(id string) *Storefront {
	v.TB.Helper()
	key, err := hpke.DHKEM(ecdh.X25519()).GenerateKey()
	v.must(err)
	return &Storefront{ID: id, Signer: Signer(v.TB, id), vault: v, reply: key,
		replyName: seal.ReplyKeyName(envelope.SuiteX25519, key.PublicKey().Bytes())}
}

// ReplyLine is the reply key as the storefront hands it to the vault.
func (s *Storefront) ReplyLine() string {
	return string(s.replyName) + "+" + base64.StdEncoding.EncodeToString(s.reply.PublicKey().Bytes())
}

// Seal seals and signs a draft.
func (s *Storefront) Seal(d Draft) []byte {
	s.vault.TB.Helper()
	e := envelope.Envelope{Merchant: s.ID, ID: d.ID, Created: envelope.At(d.Created), Until: envelope.At(d.Until)}
	e.Order = *s.part(d, envelope.PartOrder, envelope.KindDay, d.Order)
	if d.Account != "" {
		e.Account = s.part(d, envelope.PartAccount, envelope.KindDay, d.Account)
	}
	if d.Code != "" {
		e.Code = s.part(d, envelope.PartCode, envelope.KindCode, d.Code)
	}
	if d.Sealed != nil {
		d.Sealed(&e)
	}
	signed, err := envelope.Sign(e, d.Signer)
	s.vault.must(err)
	return signed.Note
}

func (s *Storefront) part(d Draft, part envelope.PartName, kind envelope.Kind, plaintext string) *envelope.Part {
	s.vault.TB.Helper()
	sealed, err := s.vault.sealer(s.vault.Key(kind, d.Suite)).Seal(part, s.ID, d.ID, []byte(plaintext))
	s.vault.must(err)
	return &sealed
}

// Digest returns the digest of an envelope or of any other note.
func Digest(tb testing.TB, msg []byte) string {
	tb.Helper()
	text, err := note.Text(msg)
	if err != nil {
		tb.Fatal(err)
	}
	return note.Digest(text)
}

// Opened is a result that a storefront has opened.
type Opened struct {
	envelope.Result
	Note  string // digest
	Facts envelope.Facts
	Place envelope.Place
	Line  []byte // the facts as the log's leaf has them
	Proof []byte // C2SP tlog-proof
}

// Open checks a result's signature and opens it with the storefront's reply key.
func (s *Storefront) Open(msg []byte) Opened {
	s.vault.TB.Helper()
	signed, err := envelope.Open[envelope.Result](msg, s.vault.Ring.Verifier())
	s.vault.must(err)
	r := signed.Value
	info := envelope.PartInfo(envelope.PartResult, s.ID, r.ID, s.replyName)
	plain, err := hpke.Open(s.reply, hpke.HKDFSHA256(), hpke.AES256GCM(), info, r.Sealed.Sealed[5:])
	s.vault.must(err)
	facts, place, line, proof, err := envelope.DecodeResult(plain)
	s.vault.must(err)
	return Opened{Result: r, Note: signed.Digest, Facts: facts, Place: place, Line: line, Proof: proof}
}
