package envelope

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"
	"time"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/note"
)

// The vectors' world: a moment, an envelope, a run.
var moment = time.Date(2026, 11, 20, 9, 30, 0, 0, time.UTC)

const (
	envelopeID = "0198c0de-0000-7000-8000-000000000001"
	runID      = "00112233445566778899aabbccddeeff"
	oldRun     = "ffeeddccbbaa99887766554433221100"
)

var digestA = strings.Repeat("a1", 32)

func at(d time.Duration) Time { return At(moment.Add(d)) }

// sealedBytes have the form of a sealed part and open with no key.
func sealedBytes(key KeyName, padded int) []byte {
	sealed := bytes.Repeat([]byte{0x5a}, key.Suite().Overhead()+padded)
	sealed[0] = 1
	binary.BigEndian.PutUint32(sealed[1:], key.ID())
	return sealed
}

func part(key KeyName) Part { return Part{key, sealedBytes(key, PadBlock)} }

func envelopeFamily(t testing.TB) family[Envelope] {
	account, code := part("day-0a1b2c3d-x25519"), part("code-00000001-x25519")
	account.Sealed[len(account.Sealed)-1], code.Sealed[len(code.Sealed)-1] = 1, 2
	return family[Envelope]{
		format: "envelope",
		about:  "Envelopes, read before their times, keys and parts' lengths are judged. The sealed bytes have a part's form and open with no key.",
		signer: vector.Signer(t, "acme-shoes", "acme-shoes"),
		limit:  MaxEnvelopeBytes,
		value: Envelope{Merchant: "acme-shoes", ID: envelopeID, Created: at(0), Until: at(72 * time.Hour),
			Order: part("day-0a1b2c3e-x25519"), Account: &account, Code: &code},
		edits: []edit{
			{"no merchant", `"merchant":"acme-shoes",`, ``},
			{"no id", `"id":"` + envelopeID + `",`, ``},
			{"no created", `"created":"2026-11-20T09:30:00Z",`, ``},
			{"no until", `"until":"2026-11-23T09:30:00Z",`, ``},
			{"a null code", `"code":{`, `"code":null,"x":{`},
			{"a merchant in upper case", `"acme-shoes"`, `"Acme-shoes"`},
			{"a merchant of 2 characters", `"acme-shoes"`, `"ac"`},
			{"a merchant of 33 characters", `"acme-shoes"`, `"` + strings.Repeat("a", 33) + `"`},
			{"a merchant that begins with a digit", `"acme-shoes"`, `"1acme"`},
			{"a merchant that ends with a dash", `"acme-shoes"`, `"acme-"`},
			{"a merchant with a dot", `"acme-shoes"`, `"acme.shoes"`},
			{"an id in upper case", envelopeID, strings.ToUpper(envelopeID)},
			{"an id of version 1", envelopeID, strings.Replace(envelopeID, "-7000-", "-1000-", 1)},
			{"an id of another variant", envelopeID, strings.Replace(envelopeID, "-8000-", "-c000-", 1)},
			{"an id without dashes", envelopeID, strings.ReplaceAll(envelopeID, "-", "")},
			{"an id in braces", envelopeID, "{" + envelopeID + "}"},
			{"an id that is an account number", envelopeID, "4242424242424242"},
			{"created with a fraction", "09:30:00Z\",\"until", "09:30:00.0Z\",\"until"},
			{"created with an offset", "09:30:00Z\",\"until", "09:30:00+00:00\",\"until"},
			{"created in lower case", "20T09:30:00Z", "20t09:30:00z"},
			{"created without seconds", "09:30:00Z\",\"until", "09:30Z\",\"until"},
			{"created at second 60", "09:30:00Z\",\"until", "09:30:60Z\",\"until"},
			{"created on 30 February", "2026-11-20", "2026-02-30"},
			{"created as a number", `"2026-11-20T09:30:00Z"`, `1795167000`},
			{"a key name in upper case", "day-0a1b2c3e", "day-0A1B2C3E"},
			{"a key id of 7 digits", "day-0a1b2c3e", "day-a1b2c3e"},
			{"a key of an unknown kind", "day-0a1b2c3e", "night-0a1b2c3e"},
			{"a key of an unknown suite", "0a1b2c3e-x25519", "0a1b2c3e-p256"},
			{"a key name with a field more", "0a1b2c3e-x25519", "0a1b2c3e-x25519-x25519"},
			{"a part without a key", `"key":"day-0a1b2c3e-x25519",`, ``},
			{"a part with another member", `"key":"day-0a1b2c3e-x25519"`, `"key":"day-0a1b2c3e-x25519","alg":"x25519"`},
			{"a part's key twice", `"key":"day-0a1b2c3e-x25519"`, `"key":"day-0a1b2c3e-x25519","key":"day-0a1b2c3e-x25519"`},
			{"a part that is a string", `"code":{"key":"code-00000001-x25519","sealed"`, `"code":"x","x":{"sealed"`},
			{"sealed base64 with spare bits", `AQobLD5a`, `AQobLD5a=`},
			{"sealed base64 with a line break", `AQobLD5a`, `AQob\nLD5a`},
			{"sealed base64 of the URL alphabet", `AQobLD5a`, `AQob_D5a`},
			{"sealed base64 with a space", `AQobLD5a`, `AQob LD5a`},
		},
		extra: envelopeExtras(t),
	}
}

func envelopeExtras(t testing.TB) func(adder, Envelope) {
	s := vector.Signer(t, "acme-shoes", "acme-shoes")
	sign := func(v Envelope) string {
		signed, err := Sign(v, s)
		if err != nil {
			t.Fatal(err)
		}
		return string(signed.Note)
	}
	return func(add adder, v Envelope) {
		alone := v
		alone.Account, alone.Code = nil, nil
		add(vector.Accepted, "an order alone", sign(alone))
		version4 := alone
		version4.ID = "3f1c1d5e-8a9b-4c6d-9e0f-112233445566"
		add(vector.Accepted, "an id of version 4", sign(version4))
		plain := alone
		plain.Order.Sealed = []byte(`{"operation":"sale"}`)
		add(vector.Accepted, "a plaintext for a sealed part: a relay answers not-sealed, not malformed", sign(plain))
		long := alone
		long.Until = at(60 * 24 * time.Hour)
		add(vector.Accepted, "until 60 days after created: a relay answers clock, not malformed", sign(long))
		add(vector.Unverified, "another merchant's envelope under this key", strings.Replace(sign(alone), `"acme-shoes"`, `"other-shop"`, 1))
	}
}

func receiptFamily(t testing.TB) family[Receipt] {
	return family[Receipt]{
		format: "receipt", about: "Receipts of a relay.", signer: vector.Signer(t, "relay-1", "relay-1"), limit: note.MaxBytes,
		value: Receipt{"acme-shoes", envelopeID, digestA, "relay-1", runID, 7, 255, at(time.Second)},
		edits: []edit{
			{"no received", `,"received":"2026-11-20T09:30:01Z"`, ``},
			{"a digest of 63 digits", digestA, digestA[1:]},
			{"a digest in upper case", digestA, strings.ToUpper(digestA)},
			{"a run of 31 digits", runID, runID[1:]},
			{"a number of 0", `"number":7`, `"number":0`},
			{"a number with a fraction", `"number":7`, `"number":7.0`},
			{"a number of 2^53", `"number":7`, `"number":9007199254740992`},
			{"an index of 256", `"index":255`, `"index":256`},
			{"a negative index", `"index":255`, `"index":-1`},
			{"a relay of no form", `"relay":"relay-1"`, `"relay":"relay_1"`},
		},
		extra: func(add adder, v Receipt) {
			v.Relay = "relay-2"
			signed, err := Sign(v, vector.Signer(t, "relay-2", "relay-2"))
			if err != nil {
				t.Fatal(err)
			}
			text := string(signed.Text)
			add(vector.Unverified, "this relay's key under another relay's name", rawNote(text, vector.Signer(t, "relay-1", "relay-1")))
		},
	}
}

func bagNoteFamily(t testing.TB) family[Bag] {
	return family[Bag]{
		format: "bag-note", about: "Notes of bags: frame 0 of a bag.", signer: vector.Signer(t, "relay-1", "relay-1"), limit: note.MaxBytes,
		value: Bag{"relay-1", runID, 1, ZeroDigest, &BagRef{oldRun, 41, digestA}, 4, 256, strings.Repeat("b2", 32)},
		edits: []edit{
			{"no previous", `"previous":"` + ZeroDigest + `",`, ``},
			{"number 1 with a previous", ZeroDigest, strings.Repeat("c3", 32)},
			{"number 2 with after", `"number":1,"previous":"` + ZeroDigest, `"number":2,"previous":"` + digestA},
			{"number 0", `"number":1,`, `"number":0,`},
			{"a null after", `"after":{"run":"` + oldRun + `","number":41,"digest":"` + digestA + `"}`, `"after":null`},
			{"after without a run", `"run":"` + oldRun + `",`, ``},
			{"after of its own run", oldRun, runID},
			{"after number 0", `"number":41`, `"number":0`},
			{"a window of 0", `"window":4`, `"window":0`},
			{"a window of 9", `"window":4`, `"window":9`},
			{"a count of 0", `"count":256`, `"count":0`},
			{"a count of 257", `"count":256`, `"count":257`},
			{"a body of 65 digits", strings.Repeat("b2", 32), strings.Repeat("b2", 32) + "b"},
			{"a run in upper case", runID, strings.ToUpper(runID)},
		},
		extra: func(add adder, v Bag) {
			v.After = nil
			add(vector.Accepted, "number 1 without after", rawSigned(t, v, "relay-1"))
			v.Number, v.Previous = 2, digestA
			add(vector.Accepted, "number 2", rawSigned(t, v, "relay-1"))
			add(vector.Malformed, "number 2 without a previous",
				rawNote(strings.Replace(textOf(t, v, "relay-1"), digestA, ZeroDigest, 1), vector.Signer(t, "relay-1", "relay-1")))
		},
	}
}

func textOf[T Statement](t testing.TB, v T, name string) string {
	t.Helper()
	signed, err := Sign(v, vector.Signer(t, name, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(signed.Text)
}

func rawSigned[T Statement](t testing.TB, v T, name string) string {
	return rawNote(textOf(t, v, name), vector.Signer(t, name, name))
}

func resultFamily(t testing.TB) family[Result] {
	const key = KeyName("reply-0a1b2c3d-x25519")
	sealed := Part{key, sealedBytes(key, ResultBytes)}
	return family[Result]{
		format: "result", about: "Results of a vault.", signer: vector.Signer(t, "vault.example", "vault.example"), limit: note.MaxBytes,
		value: Result{"acme-shoes", 1, ZeroDigest, envelopeID, digestA, at(time.Minute), sealed},
		edits: []edit{
			{"no sealed", `"created":"2026-11-20T09:31:00Z","sealed":{`, `"created":"2026-11-20T09:31:00Z","x":{`},
			{"serial 0", `"serial":1`, `"serial":0`},
			{"serial 1 with a previous", ZeroDigest, digestA},
			{"serial 2 without a previous", `"serial":1`, `"serial":2`},
			{"a digest that is none", digestA, "none"},
			{"a merchant of no form", `"acme-shoes"`, `"acme shoes"`},
			{"an id of no form", envelopeID, "1"},
			{"sealed to a day key", `"reply-0a1b2c3d`, `"day-0a1b2c3d`},
			{"a prefix of another key", `"reply-0a1b2c3d`, `"reply-0a1b2c3e`},
			{"a sealed part three bytes short", `"sealed":"AQobLD1aWlpaWlpa`, `"sealed":"AQobLD1aWlpa`},
			{"a suite of another length", `0a1b2c3d-x25519`, `0a1b2c3d-xwing`},
		},
	}
}

func directoryValue(t testing.TB) Directory {
	v := vector.Signer(t, "vault.example", "vault.example").Verifier()
	key := func(name KeyName, until, dies time.Duration) DirectoryKey {
		return DirectoryKey{name, name.Suite(), bytes.Repeat([]byte{byte(name.ID())}, name.Suite().PublicBytes()), at(0), at(until), at(dies)}
	}
	return Directory{
		Vault: "vault.example", Serial: 3, Generation: 1, Issued: at(0), Expires: at(48 * time.Hour),
		Signers: []note.Verifier{v},
		Keys: []DirectoryKey{
			key("day-0a1b2c3d-x25519", 24*time.Hour, 168*time.Hour),
			key("code-00000001-x25519", 6*time.Hour, 12*time.Hour),
		},
		Relays: []note.Verifier{vector.Signer(t, "relay-1", "relay-1").Verifier()},
	}
}

func directoryFamily(t testing.TB) family[Directory] {
	value := directoryValue(t)
	vkey := value.Signers[0].String()
	relay := value.Relays[0].String()
	return family[Directory]{
		format: "directory", about: "Directories of a vault, read before expiry and roll-back are judged.",
		signer: vector.Signer(t, "vault.example", "vault.example"), limit: note.MaxDirectoryBytes, value: value,
		edits: []edit{
			{"a vault with a final dot", `"vault":"vault.example"`, `"vault":"vault.example."`},
			{"a vault in upper case", `"vault":"vault.example"`, `"vault":"Vault.example"`},
			{"a vault with an empty label", `"vault":"vault.example"`, `"vault":"vault..example"`},
			{"a vault that is an address", `"vault":"vault.example"`, `"vault":"192.0.2.1"`},
			{"no serial", `"serial":3,`, ``},
			{"expires at issued", `"expires":"2026-11-22T09:30:00Z"`, `"expires":"2026-11-20T09:30:00Z"`},
			{"no signers", `"signers":["` + vkey + `"]`, `"signers":[]`},
			{"null signers", `"signers":["` + vkey + `"]`, `"signers":null`},
			{"a signer twice", `["` + vkey + `"]`, `["` + vkey + `","` + vkey + `"]`},
			{"a signer of another name", `["` + vkey, `["` + relay},
			{"a signer whose hash is wrong", `["` + vkey, `["` + strings.Replace(vkey, "+", "+0", 1)},
			{"a relay of the vault's name", `"relays":["` + relay, `"relays":["` + vkey},
			{"a relay twice", `"relays":["` + relay + `"`, `"relays":["` + relay + `","` + relay + `"`},
			{"a key name of no form", `"name":"day-0a1b2c3d-x25519"`, `"name":"day-x25519"`},
			{"a reply key", `"name":"day-0a1b2c3d-x25519"`, `"name":"reply-0a1b2c3d-x25519"`},
			{"a suite that is not the name's", `"name":"day-0a1b2c3d-x25519"`, `"name":"day-0a1b2c3d-xwing"`},
			{"a key twice", `"name":"code-00000001-x25519"`, `"name":"day-0a1b2c3d-x25519"`},
			{"a public key of 35 bytes", `"public":"PT09`, `"public":"PT09PT09`},
			{"a key without dies", `,"dies":"2026-11-27T09:30:00Z"`, ``},
			{"a key that ends as it begins", `"until":"2026-11-21T09:30:00Z"`, `"until":"2026-11-20T09:30:00Z"`},
			{"a key that dies before until", `"dies":"2026-11-27T09:30:00Z"`, `"dies":"2026-11-21T09:29:59Z"`},
			{"a key with another member", `"name":"day-0a1b2c3d-x25519"`, `"private":"","name":"day-0a1b2c3d-x25519"`},
		},
		extra: func(add adder, v Directory) {
			v.Keys, v.Relays = nil, nil
			add(vector.Accepted, "no keys and no relays", rawSigned(t, v, "vault.example"))
			text := textOf(t, v, "vault.example")
			both := text + "\n" + rawLine(text, vector.Signer(t, "vault.example", "vault.example"), vector.Signer(t, "vault.example", "vault.example")) +
				rawLine(text, vector.Signer(t, "vault.example", "next vault.example"), vector.Signer(t, "vault.example", "next vault.example"))
			add(vector.Accepted, "signed by the next key too", both)
		},
	}
}

func membersFamily(t testing.TB) family[Members] {
	acme, other := vector.Signer(t, "acme-shoes", "acme-shoes").Verifier(), vector.Signer(t, "other-shop", "other-shop").Verifier()
	return family[Members]{
		format: "members", about: "Members notes of a vault, read before expiry and roll-back are judged.",
		signer: vector.Signer(t, "vault.example", "vault.example"), limit: note.MaxDirectoryBytes,
		value: Members{"vault.example", 1, 5, at(0), at(48 * time.Hour), []Member{
			{"acme-shoes", []note.Verifier{acme}, MemberActive}, {"other-shop", []note.Verifier{other}, MemberSuspended},
		}},
		edits: []edit{
			{"expires before issued", `"expires":"2026-11-22`, `"expires":"2026-11-19`},
			{"null merchants", `"merchants":[`, `"merchants":null,"x":[`},
			{"a merchant twice", `"id":"other-shop","verifiers":["` + other.String() + `"]`, `"id":"acme-shoes","verifiers":[]`},
			{"a merchant of no form", `"id":"acme-shoes"`, `"id":"-acme"`},
			{"a verifier of another merchant", acme.String(), vector.Signer(t, "third-shop", "third-shop").Verifier().String()},
			{"an unknown status", `"active"`, `"closed"`},
			{"a status in upper case", `"active"`, `"Active"`},
			{"no status", `,"status":"active"`, ``},
		},
		extra: func(add adder, v Members) {
			v.Merchants = nil
			add(vector.Accepted, "no merchants", rawSigned(t, v, "vault.example"))
			v.Merchants = []Member{{"acme-shoes", nil, MemberSuspended}}
			add(vector.Accepted, "a merchant without keys", rawSigned(t, v, "vault.example"))
		},
	}
}

func positionFamily(t testing.TB) family[Position] {
	return family[Position]{
		format: "position", about: "Positions of a vault, read before roll-back is judged.",
		signer: vector.Signer(t, "vault.example", "vault.example"), limit: note.MaxBytes,
		value: Position{"vault.example", 1, at(0), []PositionEntry{
			{"relay-1", runID, 12, digestA}, {"relay-1", oldRun, 41, ZeroDigest},
		}},
		edits: []edit{
			{"no issued", `"issued":"2026-11-20T09:30:00Z",`, ``},
			{"a generation in quotes", `"generation":1`, `"generation":"1"`},
			{"a run twice", oldRun, runID},
			{"a number of 0", `"number":12`, `"number":0`},
			{"a digest that is none", digestA, "a1"},
			{"a relay of no form", `{"relay":"relay-1","run":"` + runID, `{"relay":"r","run":"` + runID},
		},
		extra: func(add adder, v Position) {
			v.Relays = nil
			add(vector.Accepted, "no relays", rawSigned(t, v, "vault.example"))
		},
	}
}

func TestEnvelopeVectors(t *testing.T)  { envelopeFamily(t).check(t) }
func TestReceiptVectors(t *testing.T)   { receiptFamily(t).check(t) }
func TestBagNoteVectors(t *testing.T)   { bagNoteFamily(t).check(t) }
func TestResultVectors(t *testing.T)    { resultFamily(t).check(t) }
func TestDirectoryVectors(t *testing.T) { directoryFamily(t).check(t) }
func TestMembersVectors(t *testing.T)   { membersFamily(t).check(t) }
func TestPositionVectors(t *testing.T)  { positionFamily(t).check(t) }

func FuzzEnvelope(f *testing.F)  { envelopeFamily(f).fuzz(f) }
func FuzzReceipt(f *testing.F)   { receiptFamily(f).fuzz(f) }
func FuzzBagNote(f *testing.F)   { bagNoteFamily(f).fuzz(f) }
func FuzzResult(f *testing.F)    { resultFamily(f).fuzz(f) }
func FuzzDirectory(f *testing.F) { directoryFamily(f).fuzz(f) }
func FuzzMembers(f *testing.F)   { membersFamily(f).fuzz(f) }
func FuzzPosition(f *testing.F)  { positionFamily(f).fuzz(f) }

// TestSignNote: the note alone is the note of Sign, and what Sign refuses is refused.
func TestSignNote(t *testing.T) {
	f := receiptFamily(t)
	signed, err := Sign(f.value, f.signer)
	if err != nil {
		t.Fatal(err)
	}
	if alone, err := SignNote(f.value, f.signer); err != nil || !bytes.Equal(alone, signed.Note) {
		t.Errorf("the note alone is another, %v", err)
	}
	f.value.Number = 0
	if alone, err := SignNote(f.value, f.signer); err == nil || alone != nil {
		t.Errorf("a receipt for bag 0 was signed")
	}
}
