package envelope

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"nightdrop/shared/envelope/vector"
)

const sampleToken = "tok_abcdefghijklmnopqrstuvwxyz"

func orderCorpus() vector.File {
	f := vector.File{
		Format: "order",
		About: "Plaintexts of order parts without their padding. Refused ones are bad-order. Reference, amount and currency have " +
			"codes of their own, and which members an operation needs depends on the other parts too.",
	}
	add := func(want, defect, text string) {
		v := vector.New(defect, want, defect, []byte(text))
		v.Exact = want == vector.Accepted && !strings.Contains(text, "usd") && !strings.Contains(text, " ,")
		f.Vectors = append(f.Vectors, v)
	}
	add(vector.Accepted, "a sale", `{"operation":"sale","reference":"order 1001","amount":1999,"currency":"USD","descriptor":"ACME SHOES"}`)
	add(vector.Accepted, "a sale by token", `{"operation":"sale","reference":"r","amount":99999999,"currency":"JPY","token":"`+sampleToken+`"}`)
	add(vector.Accepted, "a capture", `{"operation":"capture","reference":"r","amount":1,"of":"`+envelopeID+`"}`)
	add(vector.Accepted, "a store", `{"operation":"store","reference":"r"}`)
	add(vector.Accepted, "members in another order, with spaces", `{ "of":"`+envelopeID+`" , "reference":"r" ,"operation":"void" }`)
	add(vector.Accepted, "an amount of 0: the answer is amount", `{"operation":"sale","reference":"r","amount":0,"currency":"USD"}`)
	add(vector.Accepted, "a currency of no form: the answer is currency", `{"operation":"sale","reference":"r","amount":1,"currency":"usd"}`)
	add(vector.Accepted, "a reference with an account number: the answer is reference", `{"operation":"store","reference":"4242424242424242"}`)
	add(vector.Accepted, "an empty reference: the answer is reference", `{"operation":"store","reference":""}`)
	add(vector.Malformed, "nothing", ``)
	add(vector.Malformed, "no operation", `{"reference":"r"}`)
	add(vector.Malformed, "no reference", `{"operation":"store"}`)
	add(vector.Malformed, "an unknown operation", `{"operation":"charge","reference":"r"}`)
	add(vector.Malformed, "an operation in upper case", `{"operation":"Sale","reference":"r"}`)
	add(vector.Malformed, "an unknown member", `{"operation":"store","reference":"r","number":"4242424242424242"}`)
	add(vector.Malformed, "a member twice", `{"operation":"sale","reference":"r","amount":1,"amount":100,"currency":"USD"}`)
	add(vector.Malformed, "an amount with a fraction", `{"operation":"sale","reference":"r","amount":19.99,"currency":"USD"}`)
	add(vector.Malformed, "a negative amount", `{"operation":"sale","reference":"r","amount":-1,"currency":"USD"}`)
	add(vector.Malformed, "an amount in quotes", `{"operation":"sale","reference":"r","amount":"1999","currency":"USD"}`)
	add(vector.Malformed, "a null token", `{"operation":"sale","reference":"r","amount":1,"currency":"USD","token":null}`)
	add(vector.Malformed, "a token that is an account number", `{"operation":"forget","reference":"r","token":"4242424242424242"}`)
	add(vector.Malformed, "an empty token", `{"operation":"forget","reference":"r","token":""}`)
	add(vector.Malformed, "a token in upper case", `{"operation":"forget","reference":"r","token":"`+strings.ToUpper(sampleToken)+`"}`)
	add(vector.Malformed, "of that is an account number", `{"operation":"void","reference":"r","of":"4242424242424242"}`)
	add(vector.Malformed, "a descriptor with an account number", `{"operation":"sale","reference":"r","amount":1,"currency":"USD","descriptor":"4242424242424242"}`)
	add(vector.Malformed, "an empty descriptor", `{"operation":"sale","reference":"r","amount":1,"currency":"USD","descriptor":""}`)
	add(vector.Malformed, "a descriptor of 23 characters", `{"operation":"sale","reference":"r","amount":1,"currency":"USD","descriptor":"`+strings.Repeat("x", 23)+`"}`)
	add(vector.Malformed, "an empty of", `{"operation":"void","reference":"r","of":""}`)
	add(vector.Malformed, "padding inside", ` {"operation":"store","reference":"r"}`)
	return f
}

func TestOrderVectors(t *testing.T) {
	for _, v := range vector.Corpus(t, vectorsDir, orderCorpus(), *update).Vectors {
		t.Run(v.Name, func(t *testing.T) {
			o, err := DecodeOrder(v.Bytes())
			if v.Want != vector.Accepted {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("got %v, want %s", err, v.Want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if again, err := EncodeOrder(o); v.Exact && (err != nil || !bytes.Equal(again, v.Bytes())) {
				t.Errorf("encodes as %s, %v", again, err)
			}
		})
	}
}

// TestOperationNeeds is the table of specification 3: every operation with exactly what it needs,
// and with each member more or less.
func TestOperationNeeds(t *testing.T) {
	const all = hasAmount | hasCurrency | hasToken | hasOf | hasDescriptor | hasAccount | hasCode
	money := hasAmount | hasCurrency
	accepted := map[Operation][]member{
		OpCapture: {hasOf | hasAmount},
		OpVoid:    {hasOf},
		OpRefund:  {hasOf | hasAmount, hasOf | hasAmount | hasAccount},
		OpPayout:  {money | hasAccount, money | hasToken},
		OpStore:   {hasAccount},
		OpUpdate:  {hasToken | hasAccount},
		OpForget:  {hasToken},
	}
	for _, by := range []member{hasAccount, hasToken} {
		for _, may := range []member{0, hasDescriptor, hasCode, hasDescriptor | hasCode} {
			accepted[OpSale] = append(accepted[OpSale], money|by|may)
		}
	}
	accepted[OpAuthorize] = accepted[OpSale]
	if len(accepted) != 9 {
		t.Fatalf("%d operations, want 9", len(accepted))
	}
	for op, sets := range accepted {
		ok := map[member]bool{}
		for _, set := range sets {
			ok[set] = true
		}
		for set := member(0); set <= all; set++ {
			o := orderOf(op, set)
			err := o.CheckMembers(set&hasAccount != 0, set&hasCode != 0)
			if (err == nil) != ok[set] || err != nil && !errors.Is(err, ErrMalformed) {
				t.Fatalf("%s with members %07b: %v", op, set, err)
			}
		}
	}
	if err := (Order{Operation: "charge"}).CheckMembers(true, false); !errors.Is(err, ErrMalformed) {
		t.Errorf("an unknown operation: %v", err)
	}
}

func orderOf(op Operation, set member) Order {
	o := Order{Operation: op, Reference: "r"}
	if set&hasAmount != 0 {
		o.Amount = 1
	}
	if set&hasCurrency != 0 {
		o.Currency = "USD"
	}
	if set&hasToken != 0 {
		o.Token = sampleToken
	}
	if set&hasOf != 0 {
		o.Of = envelopeID
	}
	if set&hasDescriptor != 0 {
		o.Descriptor = "ACME"
	}
	return o
}

// TestUnusableValuesAreNotKept: an amount of 0 and a currency of no form count as given, and
// nothing of the currency stays.
func TestUnusableValuesAreNotKept(t *testing.T) {
	o, err := DecodeOrder([]byte(`{"operation":"sale","reference":"r","amount":0,"currency":"4242424242424242"}`))
	if err != nil || o.Currency != "" || o.Amount != 0 {
		t.Fatalf("got %+v, %v", o, err)
	}
	if err := o.CheckMembers(true, false); err != nil {
		t.Errorf("the members count as absent: %v", err)
	}
	if _, ok := LookupCurrency(o.Currency); ok {
		t.Error("the empty currency is known")
	}
}

func TestReferenceRules(t *testing.T) {
	for text, ok := range map[string]bool{
		"r": true, strings.Repeat("x", 64): true, strings.Repeat("x", 65): false, "": false,
		" ~": true, "a\x7fb": false, "a\tb": false, "é": false,
		"4242424242424242":             false, // 16 digits that pass
		"4242424242424243":             true,  // 16 digits that do not
		"order 4242424242424242 again": false,
		// no run of 12; a storefront's business, not this rule's
		"4242 4242 4242 4242": true,
		"4242-4242-4242-4242": true,
		"42424242424":         true,  // 11 digits
		"000000000000":        false, // 12 zeroes pass Luhn
		"0000000000000000000": false, // 19
		// 20: not a run of 12 to 19, though runs inside it would pass
		"00000000000000000000":          true,
		"4242424242424243x000000000000": false,
		"x378282246310005":              false, // 15 digits, American Express
	} {
		if err := CheckReference(text); (err == nil) != ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if CheckDescriptor(strings.Repeat("x", 22)) != nil || CheckDescriptor(strings.Repeat("x", 23)) == nil || CheckDescriptor("5555555555554444") == nil {
		t.Error("a descriptor is 1 to 22 characters under the same rule")
	}
}

func TestLuhn(t *testing.T) {
	for digits, ok := range map[string]bool{
		"4242424242424242": true, "378282246310005": true, "6011111111111117": true, "79927398713": true, "0": true,
		"79927398710": false, "4242424242424241": false, "": false, "42a2": false, "1": false,
	} {
		if Luhn([]byte(digits)) != ok {
			t.Errorf("%s: want %t", digits, ok)
		}
	}
}

func TestCurrencies(t *testing.T) {
	for _, want := range []Currency{
		{"USD", "840", 2}, {"EUR", "978", 2}, {"GBP", "826", 2}, {"JPY", "392", 0}, {"KWD", "414", 3}, {"AED", "784", 2}, {"ZWG", "924", 2}, {"AUD", "036", 2},
	} {
		if got, ok := LookupCurrency(want.Code); !ok || got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	}
	codes := Currencies()
	for _, code := range codes {
		if _, ok := LookupCurrency(code); !ok {
			t.Errorf("%q is listed and not found", code)
		}
	}
	if len(codes)*8 != len(currencies) || codes[0] != "AED" || codes[len(codes)-1] != "ZWG" {
		t.Errorf("lists %d: %v", len(codes), codes)
	}
	for _, code := range []string{"", "usd", "US", "USDX", "XXX", "XAU", "XTS", "CHE", "DEM", "840", "A2U", ";AE", "SD8"} {
		if _, ok := LookupCurrency(code); ok {
			t.Errorf("%q is taken for a currency", code)
		}
	}
	if rows := strings.Split(currencies, ";"); len(rows) < 150 || len(currencies)%8 != 0 {
		t.Errorf("%d rows in %d bytes", len(rows), len(currencies))
	}
}

func FuzzDecodeOrder(f *testing.F) {
	for _, v := range orderCorpus().Vectors {
		f.Add(v.Bytes())
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		o, err := DecodeOrder(text)
		if err != nil {
			return
		}
		again, err := EncodeOrder(o)
		if err != nil {
			t.Fatalf("what was read does not encode: %v", err)
		}
		if back, err := DecodeOrder(again); err != nil || back != o {
			t.Fatalf("decode, encode, decode gives %+v for %+v: %v", back, o, err)
		}
	})
}
