package replay

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
)

const (
	relay = "relay-one"
	runID = "00112233445566778899aabbccddeeff"
)

func digestOf(bag int) string {
	d := sha256.Sum256(fmt.Append(nil, "bag ", bag))
	return hex.EncodeToString(d[:])
}

// bag commits a bag of the run.
func (v *vault) bag(number uint64) {
	v.t.Helper()
	e := v.event("", book.BagCommitted{Relay: relay, Run: runID, Number: number, Previous: envelope.ZeroDigest, Window: 4})
	e.Evidence = digestOf(int(number))
	_, err := book.Apply(v.state, e)
	v.must(err)
	v.log(e, nil)
}

func sign[T envelope.Statement](v *vault, statement T) envelope.Signed[T] {
	v.t.Helper()
	signed, err := envelope.Sign(statement, v.signer)
	v.must(err)
	return signed
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

func (v *vault) theDirectory(serial uint64) envelope.Signed[envelope.Directory] {
	v.t.Helper()
	return sign(v, envelope.Directory{Vault: origin, Serial: serial, Generation: 1, Issued: envelope.At(noon), Expires: envelope.At(noon.Add(time.Hour)),
		Signers: []note.Verifier{v.signer.Verifier()}})
}

// directory logs that the directory of this serial was issued.
func (v *vault) directory(serial uint64) {
	v.t.Helper()
	e := v.event("", book.DirectoryIssued{Serial: serial})
	e.Evidence = v.theDirectory(serial).Digest
	_, err := book.Apply(v.state, e)
	v.must(err)
	v.log(e, nil)
}

func (v *vault) signDirectory(serial uint64) []byte { return v.theDirectory(serial).Note }

func (v *vault) signPosition(number uint64, digest string) []byte {
	return sign(v, envelope.Position{Vault: origin, Generation: 1, Issued: envelope.At(noon),
		Relays: []envelope.PositionEntry{{Relay: relay, Run: runID, Number: number, Digest: digest}}}).Note
}

// signResult signs the result that an event issued.
func (v *vault) signResult(i *book.Issued) []byte {
	v.t.Helper()
	previous := envelope.ZeroDigest
	if i.Serial > 1 {
		previous = strings.Repeat("1", 64)
	}
	key := envelope.MakeKeyName(envelope.KindReply, 1, envelope.SuiteX25519)
	return sign(v, envelope.Result{Merchant: i.Merchant, Serial: i.Serial, Previous: previous, ID: i.ID, Digest: i.Digest, Created: i.Created,
		Sealed: envelope.Part{Key: key, Sealed: append([]byte{1, 0, 0, 0, 1}, make([]byte, 4096+48)...)}}).Note
}

// TestStatementsThatContradictTheLogAreFound: one defect each.
func TestStatementsThatContradictTheLogAreFound(t *testing.T) {
	v := newVault(t)
	v.directory(1)
	issued := v.do(shop, book.EnvelopeRejected{ID: id(9999), Digest: strings.Repeat("a", 64), Code: envelope.CodeLuhn, Remembered: true})
	v.bag(1)
	at := v.tail.Size()
	v.month()
	dir := v.export()
	other := newVault(t)
	other.signer = v.signer
	other.month()
	forked := other.checkpoint()
	v.sale(1) // is in no export
	later := v.checkpoint()
	altered := *issued
	altered.ID = id(9998)
	for name, test := range map[string]struct {
		statement []byte
		index     int64
	}{
		"a checkpoint of another log":              {forked, -1},
		"a checkpoint after the export":            {later, v.tail.Size() - 3},
		"a position at another bag":                {v.signPosition(1, digestOf(2)), -1},
		"a position further on":                    {v.signPosition(2, digestOf(2)), -1},
		"a directory that was never logged":        {v.signDirectory(2), -1},
		"a result that tells of another envelope":  {v.signResult(&altered), at - 2},
		"a result beyond those that the log knows": {v.signResult(&book.Issued{Merchant: shop, Serial: 100000, ID: id(1), Digest: issued.Digest, Created: issued.Created}), -1},
	} {
		s := NewStatements(v.signer.Verifier())
		v.must(s.Add(test.statement))
		r, _, err := v.replay(dir, given{statements: s})
		v.must(err)
		if !errors.Is(r.Err(), ErrDiverged) || r.Count != 1 || r.First != test.index {
			t.Errorf("%s: %v, first at %d", name, r.Err(), r.First)
		}
	}
	s := NewStatements(v.signer.Verifier())
	v.must(s.Add(v.signResult(issued)))
	if err := s.Add(v.signResult(&altered)); !errors.Is(err, ErrDiverged) {
		t.Errorf("two results of one serial: %v", err)
	}
}
