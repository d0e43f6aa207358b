package account_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
)

const vectors = "../../../testdata/vectors/account/"

// vector is a plaintext and its outcome: accepted, malformed, or the result code of a check.
type vector struct {
	Name   string `json:"name"`
	Want   string `json:"want"`
	Masked string `json:"masked"`
	Text   string `json:"text"`
}

type corpus struct {
	Now     time.Time `json:"now"`
	Vectors []vector  `json:"vectors"`
}

// readCorpus fails on an empty corpus.
func readCorpus(t testing.TB, name string, atLeast int) corpus {
	t.Helper()
	raw, err := os.ReadFile(vectors + name)
	if err != nil {
		t.Fatal(err)
	}
	var c corpus
	if err := json.Unmarshal(raw, &c); err != nil {
		t.Fatal(err)
	}
	if len(c.Vectors) < atLeast {
		t.Fatalf("%s holds %d vectors, want at least %d", name, len(c.Vectors), atLeast)
	}
	return c
}

func TestAccountVectors(t *testing.T) {
	c := readCorpus(t, "account.json", 100)
	for _, v := range c.Vectors {
		t.Run(v.Name, func(t *testing.T) {
			a, err := account.Parse([]byte(v.Text))
			if v.Want == "malformed" {
				if a != nil || err != account.ErrForm { //nolint:errorlint // bare, so that nothing was wrapped into it
					t.Fatalf("account %v, error %v; want ErrForm and nothing else", a, err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := envelope.Code(v.Want)
			if v.Want == "accepted" {
				want = envelope.CodeOK
			}
			if got := a.Check(c.Now); got != want {
				t.Errorf("check: %s, want %s", got, want)
			}
			if got := a.Masked(); got != v.Masked {
				t.Errorf("masked: %s, want %s", got, v.Masked)
			}
		})
	}
}

func TestCodeVectors(t *testing.T) {
	for _, v := range readCorpus(t, "code.json", 10).Vectors {
		code, err := account.ParseCode([]byte(v.Text))
		if v.Want == "accepted" && (err != nil || len(code.Digits()) < 3) {
			t.Errorf("%s: %v", v.Name, err)
		}
		if v.Want == "malformed" && (code != nil || !errors.Is(err, account.ErrForm)) {
			t.Errorf("%s: error %v, want ErrForm", v.Name, err)
		}
	}
}

func TestBrandsAreTold(t *testing.T) {
	for number, want := range map[string]account.Brand{
		"4242424242424242": account.BrandVisa, "2221000000000009": account.BrandMastercard, "5105105105105100": account.BrandMastercard,
		"371449635398431": account.BrandAmex, "6011111111111117": account.BrandDiscover, "6445644564456445": account.BrandDiscover,
		"36006666333344": account.BrandDiners, "3528000000000007": account.BrandJCB, "6221260000000000": account.BrandUnionPay,
		"6759649826438453": account.BrandMaestro, "9000000000000000": account.BrandOther,
		// MIR, RuPay
		"2200000000000004": account.BrandOther, "6074820000000009": account.BrandOther, "8200000000000001": account.BrandOther,
	} {
		if got := parse(t, number, "2030-12").Card.Brand(); got != want {
			t.Errorf("%s is %q, want %q", number, got, want)
		}
	}
}

// A card is valid to the end of its month in every time zone: 12 hours after that in UTC.
func TestCardExpiresWithItsMonth(t *testing.T) {
	for _, c := range []struct {
		expiry, now string
		want        envelope.Code
	}{
		{"2026-02", "2026-02-28T23:59:59Z", envelope.CodeOK},
		{"2026-02", "2026-03-01T11:59:59Z", envelope.CodeOK},
		{"2026-02", "2026-03-01T12:00:00Z", envelope.CodeExpiredCard},
		{"2028-02", "2028-02-29T23:59:59Z", envelope.CodeOK},
		{"2026-12", "2026-12-31T23:59:59Z", envelope.CodeOK},
		{"2026-12", "2027-01-01T12:00:00Z", envelope.CodeExpiredCard},
		{"2026-12", "2026-12-31T23:59:59-12:00", envelope.CodeOK},
		{"2026-12", "2027-01-01T00:00:00-12:00", envelope.CodeExpiredCard},
		{"9999-12", "2026-01-01T00:00:00Z", envelope.CodeOK},
	} {
		now, err := time.Parse(time.RFC3339, c.now)
		if err != nil {
			t.Fatal(err)
		}
		if got := parse(t, "4242424242424242", c.expiry).Check(now); got != c.want {
			t.Errorf("card of %s at %s: %s, want %s", c.expiry, c.now, got, c.want)
		}
	}
}

// Where a number breaks several rules, the first of specification 7 counts.
func TestChecksKeepTheirOrder(t *testing.T) {
	now := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	for number, want := range map[string]envelope.Code{
		// a Visa card of 15 digits, and luhn, and expired
		"424242424242423":  envelope.CodeBadAccount,
		"9242424242424242": envelope.CodeLuhn, // of another scheme, and expired
		"4242424242424241": envelope.CodeLuhn, // and expired
		"4242424242424242": envelope.CodeExpiredCard,
	} {
		if got := parse(t, number, "2020-01").Check(now); got != want {
			t.Errorf("%s: %s, want %s", number, got, want)
		}
	}
	if got := new(account.Account).Check(now); got != envelope.CodeBadAccount {
		t.Errorf("an account of nothing: %s, want bad-account", got)
	}
}

func TestDigitsAndExpiryAsTheAcquirerNeedsThem(t *testing.T) {
	a := parse(t, "371449635398431", "2031-09")
	if expiry := a.Card.ExpiryYYMM(); string(a.Card.Digits()) != "371449635398431" || string(expiry[:]) != "3109" {
		t.Error("digits or expiry differ from what was sealed")
	}
	if string(a.Whole()) != "371449635398431" {
		t.Error("a fingerprint is over the whole number")
	}
	b, err := account.Parse([]byte(`{"bank":{"routing":"110000000","account":"1234567","type":"savings","name":"Ada"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if string(b.Whole()) != "1100000001234567" || b.Bank.Kind() != account.Savings || string(b.Bank.Name()) != "Ada" {
		t.Error("the bank account differs from what was sealed")
	}
}

func TestClearLeavesZeros(t *testing.T) {
	a := parse(t, "4242424242424242", "2030-12")
	card, digits := a.Card, a.Card.Digits()
	a.Clear()
	a.Clear()
	for _, d := range digits {
		if d != 0 {
			t.Fatal("a digit is still there")
		}
	}
	if len(card.Digits()) != 0 || card.ExpiryYYMM() != [4]byte{'0', '0', '0', '0'} || a.Card != nil || a.Whole() != nil {
		t.Error("something is still there")
	}
	code, err := account.ParseCode([]byte(`{"code":"123"}`))
	if err != nil {
		t.Fatal(err)
	}
	digits = code.Digits()
	code.Clear()
	if digits[0]|digits[1]|digits[2] != 0 || len(code.Digits()) != 0 {
		t.Error("the code is still there")
	}
	(*account.Account)(nil).Clear()
	(*account.Code)(nil).Clear()
}

func parse(t testing.TB, number, expiry string) *account.Account {
	t.Helper()
	a, err := account.Parse([]byte(`{"card":{"number":"` + number + `","expiry":"` + expiry + `","name":"Ada Lovelace"}}`))
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// FuzzParse: parsing returns an account of the promised lengths, or ErrForm.
func FuzzParse(f *testing.F) {
	c := readCorpus(f, "account.json", 100)
	for _, v := range c.Vectors {
		f.Add([]byte(v.Text))
	}
	f.Fuzz(func(t *testing.T, plaintext []byte) {
		a, err := account.Parse(plaintext)
		if err != nil {
			if a != nil || err != account.ErrForm { //nolint:errorlint // bare, so that nothing was wrapped into it
				t.Fatalf("error %v beside account %v", err, a)
			}
			return
		}
		if (a.Card == nil) == (a.Bank == nil) {
			t.Fatal("not exactly one of card and bank")
		}
		if a.Card != nil && (len(a.Card.Digits()) < 12 || len(a.Card.Digits()) > 19) {
			t.Fatal("a card number of a length that no card has")
		}
		if n := len(a.Masked()); n < 8 || n > 19 {
			t.Fatal("a mask of a length that none has")
		}
		_ = a.Check(c.Now)
		if again, err := account.Parse(a.Encode()); err != nil || !bytes.Equal(again.Whole(), a.Whole()) {
			t.Fatal("an encoded account is not read again")
		}
		a.Clear()
	})
}

// A refund goes to an account that paid before, whatever the table of routing numbers says now.
func TestRefundsAreNotHeldAgainstTheTable(t *testing.T) {
	now := time.Date(2026, 11, 30, 0, 0, 0, 0, time.UTC)
	for routing, want := range map[string]envelope.Code{"110000000": envelope.CodeOK, "990000000": envelope.CodeOK, "130000006": envelope.CodeOK,
		"990000001": envelope.CodeRouting, "000000000": envelope.CodeRouting} {
		a, err := account.Parse([]byte(`{"bank":{"routing":"` + routing + `","account":"0012345678","type":"checking","name":"Ann"}}`))
		if err != nil {
			t.Fatal(err)
		}
		if got := a.CheckRefund(now); got != want {
			t.Errorf("a refund to %s: %s, want %s", routing, got, want)
		}
	}
	if got := parse(t, "4242424242424241", "2030-12").CheckRefund(now); got != envelope.CodeLuhn {
		t.Errorf("a refund to a card without its check digit: %s", got)
	}
}
