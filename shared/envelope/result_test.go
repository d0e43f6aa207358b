package envelope

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
	"nightdrop/shared/proof"
	"nightdrop/shared/proof/prooftest"
	"nightdrop/shared/strictjson"
)

// sampleProof is of the longest form a log gives here: 40 hashes. Its hashes and checkpoint are
// read by shared/proof.
var sampleProof = []byte("c2sp.org/tlog-proof@v1\nindex 7\n" + strings.Repeat(strings.Repeat("A", 43)+"=\n", 40) + "\nvault.example\n8\n" + strings.Repeat("A", 43) + "=\n\n— vault.example " + strings.Repeat("A", 90) + "==\n")

func samplePlace() Place { return Place{7, bytes.Repeat([]byte{0x5a}, 16), digestA} }

func sampleFacts() Facts {
	return Facts{Payment: envelopeID, Status: StatusApproved, Code: ISOCode("00"), Amount: 1999, Currency: "USD", Reference: "order 1001",
		Masked: "424242******4242", Token: sampleToken, Approval: "A1B2C3", Batch: "2026-11-20-usd-1"}
}

// laterFacts are results of statuses, codes and members that came on 2026-11-30. Readers take them
// before a vault writes them.
func laterFacts() []struct {
	what  string
	facts Facts
} {
	noted := Facts{Payment: envelopeID, Status: StatusNoted, Code: ACHCode("C01"), Amount: 1999, Currency: "USD", Reference: "order 1001", Masked: "******4242",
		Token: sampleToken}
	checked := sampleFacts()
	checked.Checks, checked.Network, checked.Approved, checked.Approval = &Checks{Address: "Y", Code: "M"}, "016288123456789a", 999, "ab c1-"
	refund := Facts{Payment: envelopeID, Status: StatusRefunded, Code: ISOCode("00"), Amount: 1999, Currency: "USD", Reference: "order 1001", By: ByOperator, Of: envelopeID}
	disputed := Facts{Payment: envelopeID, Status: StatusDisputed, Code: CodeOK, Amount: 1999, Currency: "USD", Reference: "order 1001"}
	won, lost := disputed, disputed
	won.Status, lost.Status = StatusDisputeWon, StatusDisputeLost
	failed := Facts{Payment: envelopeID, Status: StatusDeclined, Code: "gw-225", Amount: 1999, Currency: "USD", Reference: "order 1001", Checks: &Checks{Code: "N"}}
	three := failed
	three.Code, three.Checks = ISOCode("51A"), nil
	return []struct {
		what  string
		facts Facts
	}{
		{"a notice of change", noted}, {"checks, network and a partial approval", checked}, {"an operator's refund", refund}, {"a dispute", disputed},
		{"a dispute that was won", won}, {"a dispute that was lost", lost}, {"a gateway's code", failed}, {"a code of three characters", three},
		{"a shared account", Facts{Payment: envelopeID, Status: StatusShared, Code: CodeOK, Masked: "424242******4242", Token: sampleToken, From: "shop-2"}},
	}
}

// spaced pads lines with spaces to a result's length.
func spaced(lines string) []byte {
	return append([]byte(lines), bytes.Repeat([]byte{' '}, ResultBytes-len(lines))...)
}

// factsEdits and placeEdits are the defects of the two lines.
var factsEdits = []edit{
	{"a payment that is none", `"` + envelopeID + `"`, `"4242424242424242"`},
	{"an unknown status", `"approved"`, `"done"`},
	{"an unknown code", `"iso-00"`, `"fine"`},
	{"a code of lower case", `"iso-00"`, `"iso-0a"`},
	{"a NACHA code of three digits", `"iso-00"`, `"ach-R010"`},
	{"an amount with a fraction", `1999`, `19.99`},
	{"a negative amount", `1999`, `-1999`},
	{"a currency in lower case", `"USD"`, `"usd"`},
	{"no reference", `"reference":"order 1001",`, ``},
	{"a reference with an account number", `order 1001`, `4242424242424242`},
	{"a whole account number for masked", `424242******4242`, `4242424242424242`},
	{"masked with seven digits first", `424242******4242`, `4242424*****4242`},
	{"masked with five digits last", `424242******4242`, `424242*****44242`},
	{"masked of a bank account with digits first", `424242******4242`, `0*****4242`},
	{"masked of a bank account with one digit", `424242******4242`, `******2`},
	{"masked of a bank account with five digits", `424242******4242`, `******44242`},
	{"masked of a card of 15 without the first six", `424242******4242`, `***********4242`},
	{"checks of nothing", `"batch"`, `"checks":{},"batch"`},
	{"a check of two characters", `"batch"`, `"checks":{"address":"YY"},"batch"`},
	{"a check that is empty", `"batch"`, `"checks":{"address":"Y","code":""},"batch"`},
	{"a check of something else", `"batch"`, `"checks":{"name":"Y"},"batch"`},
	{"a network id with a dash", `"batch"`, `"network":"0162-88","batch"`},
	{"a network id of 65", `"batch"`, `"network":"` + strings.Repeat("9", 65) + `","batch"`},
	{"approved with a fraction", `"batch"`, `"approved":9.5,"batch"`},
	{"by somebody", `"batch"`, `"by":"user:root","batch"`},
	{"of that is no id", `"batch"`, `"of":"order 1001","batch"`},
	{"from that is no merchant", `"batch"`, `"from":"Shop","batch"`},
	{"a token of no form", sampleToken, "tok_1"},
	{"an empty token", sampleToken, ""},
	{"an empty approval", "A1B2C3", ""},
	{"an empty batch", "2026-11-20-usd-1", ""},
	{"an approval of 7", "A1B2C3", "A1B2C3D"},
	{"an approval with a space at its end", "A1B2C3", "A1B2C "},
	{"an approval that is not ASCII", "A1B2C3", "A1B2é"},
	{"a batch in upper case", "2026-11-20-usd-1", "2026-11-20-USD-1"},
	{"a batch of 33", "2026-11-20-usd-1", strings.Repeat("b", 33)},
	{"a null token", `"` + sampleToken + `"`, `null`},
	{"an unknown member of the facts", `"status"`, `"number":"4242424242424242","status"`},
	{"the status twice", `"status":"approved"`, `"status":"approved","status":"declined"`},
}

var placeEdits = []edit{
	{"no salt", `"salt":"WlpaWlpaWlpaWlpaWlpaWg==",`, ``},
	{"a salt of 15 bytes", `WlpaWlpaWlpaWlpaWlpaWg==`, `WlpaWlpaWlpaWlpaWlpa`},
	{"a salt with spare bits", `WlpaWg==`, `WlpaWh==`},
	{"an entry of 63 digits", digestA, digestA[1:]},
	{"an entry in upper case", digestA, strings.ToUpper(digestA)},
	{"a negative index", `"index":7`, `"index":-7`},
	{"an unknown member of the place", `"index":7`, `"index":7,"leaf":7`},
}

// provenResult is leaf 7 of a log of 21 entries, with its proof.
func provenResult(t testing.TB) []byte {
	t.Helper()
	f := sampleFacts()
	f.Token, f.Batch = "", ""
	facts, err := EncodeFacts(f)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := hex.DecodeString(digestA)
	if err != nil {
		t.Fatal(err)
	}
	log := prooftest.Of(t, 7)
	log.Add(proof.LeafRecord(samplePlace().Salt, facts, [sha256.Size]byte(entry)))
	log.Grow(21)
	plain, err := EncodeResult(facts, samplePlace(), log.Text(7, 21, vector.Signer(t, "vault.example", "vault.example")))
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestResultProvesItself: what the example's lines hash to is in the log of the checkpoint beside
// them.
func TestResultProvesItself(t *testing.T) {
	_, place, line, text, err := DecodeResult(provenResult(t))
	if err != nil {
		t.Fatal(err)
	}
	p, err := proof.DecodeProof(text)
	if err != nil {
		t.Fatal(err)
	}
	entry, err := hex.DecodeString(place.Entry)
	if err != nil {
		t.Fatal(err)
	}
	if c, err := p.Verify(proof.LeafRecord(place.Salt, line, [sha256.Size]byte(entry)), vector.Signer(t, "vault.example", "vault.example").Verifier()); err != nil || c.Size != 21 {
		t.Errorf("checkpoint of %d, %v", c.Size, err)
	}
}

// TestFactsAreWrittenAsJSON: by hand as by the encoder.
func TestFactsAreWrittenAsJSON(t *testing.T) {
	printable := ""
	for c := byte(0x20); c < 0x7f; c++ {
		printable += string(c)
	}
	few := Facts{Payment: envelopeID, Status: StatusRejected, Code: CodeCannotOpen}
	all := []Facts{sampleFacts(), few}
	for from := 0; from < len(printable); from += 30 {
		f := few
		f.Reference, f.Amount = printable[from:min(from+30, len(printable))], int64(from+1)
		all = append(all, f)
	}
	for _, f := range all {
		want, err := strictjson.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Append([]byte("before")); err != nil || string(got) != "before"+string(want) {
			t.Errorf("%s, %v, want %s", got, err, want)
		}
	}
}

func resultCorpus(t testing.TB) vector.File {
	facts, err := EncodeFacts(sampleFacts())
	if err != nil {
		t.Fatal(err)
	}
	line := string(facts)
	good, err := EncodeResult(facts, samplePlace(), sampleProof)
	if err != nil {
		t.Fatal(err)
	}
	_, place, _ := strings.Cut(string(good), "\n")
	place, _, _ = strings.Cut(place, "\n")
	f := vector.File{Format: "result-plaintext", About: "Plaintexts of results: facts, place, perhaps a tlog-proof, spaces; 4,096 bytes. fill stands for the spaces."}
	add := func(want, defect, lines string) {
		v := vector.New(defect, want, defect, []byte(lines))
		v.Fill = &vector.Fill{At: len(lines), Count: ResultBytes - len(lines)}
		f.Vectors = append(f.Vectors, v)
	}
	least := `{"payment":"` + envelopeID + `","status":"rejected","code":"cannot-open","reference":""}`
	add(vector.Accepted, "a sale in the log", strings.TrimRight(string(provenResult(t)), " "))
	add(vector.Accepted, "every member and a proof", strings.TrimRight(string(good), " "))
	add(vector.Accepted, "the least", least+"\n"+place+"\n")
	for i := range f.Vectors {
		f.Vectors[i].Exact = true
	}
	add(vector.Accepted, "members in another order", reversed(line)+"\n"+reversed(place)+"\n")
	bank := strings.Replace(line, "424242******4242", "******4242", 1)
	add(vector.Accepted, "a bank account", bank+"\n"+place+"\n")
	for _, mask := range [...]struct{ what, text string }{
		{"a bank account of four digits", "******34"}, {"a bank account of six digits", "******345"}, {"a card of 12 digits", "********4242"},
		{"a card of 14 digits", "**********4242"}, {"a card of 12 digits, by the rule before 2026-11-30", "424242**4242"},
		{"a card of 19 digits", "424242*********4242"},
	} {
		add(vector.Accepted, mask.what, strings.Replace(line, "424242******4242", mask.text, 1)+"\n"+place+"\n")
	}
	for _, later := range laterFacts() {
		text, err := EncodeFacts(later.facts)
		if err != nil {
			t.Fatal(err)
		}
		add(vector.Accepted, later.what, string(text)+"\n"+place+"\n")
		f.Vectors[len(f.Vectors)-1].Exact = true
	}
	bad := func(defect, lines string) { add(vector.Malformed, defect, lines) }
	bad("nothing", "")
	bad("facts alone", line+"\n")
	bad("no newline after the place", line+"\n"+place)
	bad("an empty line between", line+"\n\n"+place+"\n")
	bad("place before facts", place+"\n"+line+"\n")
	bad("what follows the place is no proof", line+"\n"+place+"\nmore\n")
	bad("a proof of another version", line+"\n"+place+"\n"+strings.Replace(string(sampleProof), "@v1", "@v2", 1))
	bad("a proof without a final newline", line+"\n"+place+"\n"+strings.TrimSuffix(string(sampleProof), "\n"))
	bad("a space before the facts", " "+line+"\n"+place+"\n")
	for _, e := range factsEdits {
		if strings.Count(line, e.old) != 1 {
			t.Fatalf("%s: %q is there %d times", e.defect, e.old, strings.Count(line, e.old))
		}
		bad(e.defect, strings.Replace(line, e.old, e.new, 1)+"\n"+place+"\n")
	}
	for _, e := range placeEdits {
		if strings.Count(place, e.old) != 1 {
			t.Fatalf("%s: %q is there %d times", e.defect, e.old, strings.Count(place, e.old))
		}
		bad(e.defect, line+"\n"+strings.Replace(place, e.old, e.new, 1)+"\n")
	}
	short := vector.New("4,095 bytes", vector.Malformed, "one byte short", []byte(least+"\n"+place+"\n"))
	short.Fill = &vector.Fill{At: len(short.Text), Count: ResultBytes - 1 - len(short.Text)}
	f.Vectors = append(f.Vectors, short)
	return f
}

func TestResultPlaintextVectors(t *testing.T) {
	for _, v := range vector.Corpus(t, vectorsDir, resultCorpus(t), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			facts, place, line, proof, err := DecodeResult(v.Bytes())
			if v.Want != vector.Accepted {
				if !errors.Is(err, ErrMalformed) || line != nil || proof != nil || facts != (Facts{}) {
					t.Fatalf("got %v, want %s", err, v.Want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			again, err := EncodeResult(line, place, proof)
			if v.Exact && (err != nil || !bytes.Equal(again, v.Bytes())) {
				t.Errorf("encodes as %q, %v", bytes.TrimRight(again, " "), err)
			}
			encoded, err := EncodeFacts(facts)
			if v.Exact && (err != nil || !bytes.Equal(encoded, line)) {
				t.Errorf("the facts encode as %s, %v", encoded, err)
			}
		})
	}
}

// TestLongestResultFits: the longest facts and a proof of 40 hashes under the longest names stay
// within 4,096 bytes.
func TestLongestResultFits(t *testing.T) {
	f := sampleFacts()
	f.Amount, f.Masked, f.Batch = 1<<53-1, "424242*********4242", strings.Repeat("b", 32)
	f.Checks, f.Network, f.Approved = &Checks{"Y", "M"}, strings.Repeat("n", 64), 1<<53-1
	f.By, f.Of, f.From = ByOperator, envelopeID, "m"+strings.Repeat("-", 30)+"m"
	f.Reference = strings.Repeat(`"`, 64) // each is two bytes in JSON
	facts, err := EncodeFacts(f)
	if err != nil {
		t.Fatal(err)
	}
	vault := strings.Repeat("v", 253)
	proof := strings.ReplaceAll(string(sampleProof), "vault.example", vault)
	if _, err := EncodeResult(facts, Place{1<<53 - 1, make([]byte, 16), digestA}, []byte(proof)); err != nil {
		t.Error(err)
	}
}

func TestCodesAndStatuses(t *testing.T) {
	for code, ok := range map[Code]bool{
		ISOCode("51"): true, ISOCode("N7"): true, ISOCode("5"): false, ISOCode("n7"): false, ISOCode("5 "): false, ACHCode("R01"): true, ACHCode("X01"): false,
		ISOCode("51A"): true, ISOCode("51AB"): false, ACHCode("C05"): true, ACHCode("C5"): false, ACHCode("C0A"): false, "gw-1": true, "gw-999999": true, "gw-": false,
		"gw-1234567": false, "gw-1a": false,
		CodeOK: true, CodeIDConflict: true, CodeOperationUnavailable: true, "": false, "OK": false, "iso-": false,
	} {
		if code.Valid() != ok {
			t.Errorf("code %q: want %t", code, ok)
		}
	}
	for status, ok := range map[Status]bool{StatusRejected: true, StatusPaidOut: true, StatusForgotten: true, StatusNoted: true, StatusDisputeLost: true, "": false, "Approved": false} {
		if status.Valid() != ok {
			t.Errorf("status %q: want %t", status, ok)
		}
	}
}

func FuzzDecodeResult(f *testing.F) {
	for _, v := range resultCorpus(f).Vectors {
		f.Add(string(bytes.TrimRight(v.Bytes(), " ")))
	}
	f.Fuzz(func(t *testing.T, lines string) {
		if len(lines) > ResultBytes {
			return
		}
		plain := spaced(lines)
		_, place, line, proof, err := DecodeResult(plain)
		if err != nil {
			return
		}
		again, err := EncodeResult(line, place, proof)
		if err != nil && len(lines) < ResultBytes/2 {
			t.Fatalf("what was read does not encode: %v", err)
		}
		if err == nil {
			if _, _, l, p, err := DecodeResult(again); err != nil || !bytes.Equal(l, line) || !bytes.Equal(p, proof) {
				t.Fatalf("decode, encode, decode differs: %v", err)
			}
		}
	})
}
