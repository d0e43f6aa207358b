package account_test

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"nightdrop/shared/envelope"
	"nightdrop/vault/internal/account"
)

func TestEncodedAccountsAreReadAgain(t *testing.T) {
	read := 0
	for _, v := range readCorpus(t, "account.json", 100).Vectors {
		a, err := account.Parse([]byte(v.Text))
		if err != nil {
			continue
		}
		read++
		sameAgain(t, v.Name, a)
	}
	if read < 40 {
		t.Errorf("only %d accounts of the corpus were encoded", read)
	}
	if got := new(account.Account).Encode(); got != nil {
		t.Errorf("an account of nothing has %d bytes", len(got))
	}
}

func sameAgain(t *testing.T, name string, a *account.Account) {
	t.Helper()
	text := a.Encode()
	if len(text) > 512 || cap(text) != 512 {
		t.Fatalf("%s: %d bytes with room for %d: it grew, and left a copy", name, len(text), cap(text))
	}
	again, err := account.Parse(text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if !reflect.DeepEqual(a, again) {
		t.Errorf("%s: another account came out", name)
	}
}

func TestEncodedNamesKeepTheirCharacters(t *testing.T) {
	for _, name := range []string{`\"\\\"`, `O'Neill \"Bo\" \\\\`, "Zoë 山田", "\\ud83d\\ude00\u2028/\\/", string(bytes.Repeat([]byte(`\"`), 64)),
		string(bytes.Repeat([]byte("\U0001F600"), 64))} {
		for _, text := range []string{
			`{"card":{"number":"4000000000000000006","expiry":"0001-01","name":"` + name + `"}}`,
			`{"bank":{"routing":"110000000","account":"12345678901234567","type":"savings","name":"` + name + `"}}`,
		} {
			a, err := account.Parse([]byte(text))
			if err != nil {
				t.Fatal(err)
			}
			sameAgain(t, text, a)
		}
	}
}

func TestExpiryOfAnUpdate(t *testing.T) {
	for _, text := range []string{``, `{}`, `{"card":{}}`, `{"card":{"expiry":"2030-13"}}`, `{"card":{"expiry":"2030-00"}}`, `{"card":{"expiry":"30-12"}}`,
		`{"card":{"expiry":"2030/12"}}`, `{"card":{"expiry":203012}}`, `{"card":{"expiry":"2030-12","name":"Ada"}}`, `{"card":{"expiry":"2030-12"},"bank":{}}`,
		`{"card":{"number":"4242424242424242","expiry":"2030-12"}}`, `{"bank":{"expiry":"2030-12"}}`, `{"expiry":"2030-12"}`, `{"card":{"expiry":["2030-12"]}}`,
		`{"card":{"expiry":"2030-12","expiry":"2030-12"}}`, `{"card":{"expiry":"2030-12"}} `} {
		if e, err := account.ParseExpiry([]byte(text)); e != nil || err != account.ErrForm { //nolint:errorlint // bare, so that nothing was wrapped into it
			t.Errorf("%s: error %v, want ErrForm and nothing else", text, err)
		}
	}
	e, err := account.ParseExpiry([]byte(`{"card":{"expiry":"2031-09"}}`))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[time.Time]envelope.Code{
		time.Date(2031, 10, 1, 11, 59, 59, 0, time.UTC): envelope.CodeOK,
		time.Date(2031, 10, 1, 12, 0, 0, 0, time.UTC):   envelope.CodeExpiredCard,
	} {
		if got := e.Check(at); got != want {
			t.Errorf("at %s: %s, want %s", at, got, want)
		}
	}

	card := parse(t, "4242424242424242", "2030-12")
	if !card.SetExpiry(e) || card.Card.ExpiryYYMM() != [4]byte{'3', '1', '0', '9'} || !bytes.Contains(card.Encode(), []byte(`"expiry":"2031-09"`)) {
		t.Error("the card has not its new expiry")
	}
	bank, err := account.Parse([]byte(`{"bank":{"routing":"110000000","account":"1234567","type":"checking","name":"Ada"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if bank.SetExpiry(e) {
		t.Error("a bank account got an expiry")
	}
	e.Clear()
	(*account.Expiry)(nil).Clear()
	if *e != (account.Expiry{}) || card.Card.ExpiryYYMM() != [4]byte{'3', '1', '0', '9'} {
		t.Error("clearing the update's expiry left it, or took the card's")
	}
}
