package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"nightdrop/shared/command"
	"nightdrop/shared/envelope"
)

// facts are what a storefront, an operator and a script need to know; --json prints them.
type facts struct {
	Dir       string            `json:"dir"`
	Origin    string            `json:"origin"` // the relay's
	CA        string            `json:"ca"`     // PEM file
	Verifier  string            `json:"verifier"`
	Pinned    string            `json:"verifierFile"`
	Vault     string            `json:"vault"` // directory
	Shares    []string          `json:"shares"`
	Returns   string            `json:"returns"` // directory of the bank's answers
	Auditor   identity          `json:"auditor"`
	Merchants []merchant        `json:"merchants"`
	Logs      map[string]string `json:"logs"`
	Pids      map[string]int    `json:"pids"`
	Accounts  []account         `json:"accounts"`
	Outcomes  []outcome         `json:"outcomes"`
	Try       []try             `json:"try"`
}

// identity is whose key is in which file.
type identity struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

type merchant struct {
	identity
	Outbox     string   `json:"outbox"`
	Currencies []string `json:"currencies"`
}

// try is a command that works when it is pasted into a shell.
type try struct {
	What    string `json:"what"`
	Command string `json:"command"`
}

func (t *training) facts() facts {
	s := t.site
	f := facts{Dir: s.Dir, Origin: s.Origin(), CA: s.CA(), Verifier: s.Verifier, Pinned: t.pinned(), Vault: s.Path("vault"),
		Shares: s.Shares(), Returns: s.Returns(), Auditor: identity{auditor, s.AuditorKey()},
		Logs: map[string]string{}, Pids: map[string]int{}, Accounts: t.accounts(), Outcomes: outcomes, Try: t.commands()}
	for _, m := range merchants {
		f.Merchants = append(f.Merchants, merchant{identity{m.ID, s.Identity(m.ID)}, s.Outbox(m.ID), m.Currencies})
	}
	for _, p := range s.Processes() {
		f.Logs[p.Name], f.Pids[p.Name] = p.Log, p.Pid()
	}
	return f
}

func (t *training) pinned() string { return t.site.Path("vault.vkey") }

// writeFiles writes the pinned line and the test accounts.
func (t *training) writeFiles() error {
	if err := os.WriteFile(t.pinned(), []byte(t.site.Verifier+"\n"), 0o600); err != nil {
		return err
	}
	for _, a := range t.accounts() {
		if err := os.MkdirAll(filepath.Dir(a.File), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(a.File, []byte(a.content+"\n"), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// account is one of the test accounts, in a file as `storefront seal` takes it.
type account struct {
	Name    string `json:"name"`
	File    string `json:"file"`
	Number  string `json:"number"`
	content string
}

// accounts are test numbers of the card schemes, and a bank account in the form of the ABA's
// routing numbers that no bank has.
func (t *training) accounts() (all []account) {
	expiry := time.Now().AddDate(5, 0, 0).Format("2006-01")
	for _, a := range []account{
		{Name: "visa", Number: "4242424242424242"},
		{Name: "mastercard", Number: "5555555555554444"},
		{Name: "amex", Number: "378282246310005"},
		{Name: "bank", Number: "71002345678913", content: `{"bank":{"routing":"800000006","account":"%s","type":"checking","name":"Elif Castro"}}`},
		{Name: "code", Number: "123", content: `{"code":"%s"}`},
		{Name: "code-wrong", Number: "999", content: `{"code":"%s"}`},
	} {
		a.File = t.site.Path("cards", a.Name+".json")
		if a.content == "" {
			a.content = `{"card":{"number":"%s","expiry":"` + expiry + `"}}`
		}
		a.content = fmt.Sprintf(a.content, a.Number)
		all = append(all, a)
	}
	return all
}

// outcome is what the acquirer or the bank makes of an amount (specification 10).
type outcome struct {
	Account string `json:"account"` // file in cards/, visa for any card
	Code    string `json:"code,omitempty"`
	Amount  int64  `json:"amount"`
	Status  string `json:"status"` // of the first result that is not unknown
	Answer  string `json:"answer"` // its code
	What    string `json:"what"`
}

var outcomes = []outcome{
	{"visa", "code", 1250, "approved", "iso-00", "so is any other amount, by any card"},
	{"visa", "", 900_051, "declined", "iso-51", "no funds; 900000 + NN answers ISO 8583 code NN"},
	{"visa", "code-wrong", 1250, "declined", "iso-N7", "wrong security code"},
	{"visa", "", 900_100, "reversed", "iso-00", "never answered: unknown, until it is reversed"},
	{"visa", "", 900_101, "reversed", "iso-00", "answered too late: unknown, until it is reversed"},
	{"visa", "", 900_102, "reversed", "iso-00", "the line breaks: unknown, until it is reversed"},
	{"visa", "", 900_300, "reversed", "iso-00", "half is approved, and that is reversed"},
	{"bank", "", 1250, "accepted", "ok", "waits for the file that batch settle writes"},
	{"bank", "", 900_201, "accepted", "ok", "returned by the file that the bank answers with; 900200 + NN: code RNN"},
	{"bank", "", 900_402, "accepted", "ok", "a notice of change in that file; 900400 + NN: CNN"},
}

// commands are the three to try.
func (t *training) commands() []try {
	s, shop := t.site, merchants[0].ID
	connection := []string{"--identity", s.Identity(shop), "--vault", "@" + t.pinned(), "--relay", s.Origin(), "--ca", s.CA()}
	storefront, vault := filepath.Join(s.Bin, "storefront"), filepath.Join(s.Bin, "vault")
	outbox, dir := []string{"--outbox", s.Outbox(shop)}, []string{"--dir", s.Path("vault")}
	files := map[string]string{}
	for _, a := range t.accounts() {
		files[a.Name] = a.File
	}
	return []try{
		{"A sale is sealed, and posted", folded(" | ",
			shell(append([]string{storefront, "seal", "--amount", "1250", "--currency", "EUR", "--reference", "table-7",
				"--account", files["visa"], "--code", files["code"]}, connection...)...),
			shell(append(append([]string{storefront, "post", "/dev/stdin"}, connection...), outbox...)...))},
		{"Its result is read", folded("", shell(append(append([]string{storefront, "results", "--wait", "10s"}, connection...), outbox...)...))},
		{"The day is settled", folded(" && ", shell(append([]string{vault, "batch", "list"}, dir...)...),
			shell(append([]string{vault, "batch", "close", "--all"}, dir...)...), shell(append([]string{vault, "batch", "settle", "--all"}, dir...)...))},
	}
}

// folded joins commands, a line for each flag that is long.
func folded(operator string, commands ...string) string {
	for i, c := range commands {
		for _, flag := range []string{" --account ", " --identity ", " --vault ", " --relay ", " --outbox "} {
			c = strings.Replace(c, flag, " \\\n    "+flag[1:], 1)
		}
		commands[i] = c
	}
	return strings.Join(commands, operator+"\\\n  ")
}

// plain are words that a POSIX shell takes as they are.
var plain = regexp.MustCompile(`^[A-Za-z0-9_./:@%+=,-]+$`)

// shell quotes the words of a command for a POSIX shell, those that need it.
func shell(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		if quoted[i] = w; !plain.MatchString(w) {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

// printFacts prints where all is, the test accounts, and what comes of each.
func (t *training) printFacts(w io.Writer, f facts) {
	fmt.Fprintln(w)
	command.Row(w, "Relay's origin", f.Origin)
	command.Row(w, "Certificate authority", f.CA)
	command.Row(w, "Vault's verifier key", f.Verifier)
	command.Row(w, "  (pin this line)", f.Pinned)
	for _, m := range f.Merchants {
		command.Row(w, "Merchant "+m.ID, fmt.Sprintf("%s (%s)", m.Key, strings.Join(m.Currencies, ", ")))
	}
	command.Row(w, "Auditor "+f.Auditor.ID, f.Auditor.Key)
	command.Row(w, "Vault's directory", f.Vault)
	command.Row(w, "Bank's answers", f.Returns)
	command.Row(w, "Logs", t.site.Path("logs"))
	fmt.Fprintln(w)
	command.Row(w, "TEST ACCOUNT", "NUMBER", "FILE")
	for _, a := range f.Accounts {
		command.Row(w, a.Name, a.Number, a.File)
	}
	fmt.Fprintln(w)
	command.Row(w, "A SALE BY", "OF AMOUNT", "IS", "CODE", "WHICH MEANS")
	for _, o := range f.Outcomes {
		by, currency := o.Account, "EUR"
		if o.Code == "code-wrong" {
			by += ", " + o.Code
		}
		if o.Account == "bank" {
			currency = "USD"
		}
		command.Row(w, by, envelope.FormatAmount(o.Amount, currency), o.Status, o.Answer, o.What)
	}
}

// show prints the facts.
func (t *training) show() error {
	f := t.facts()
	if t.asJSON {
		return json.NewEncoder(t.out).Encode(f)
	}
	if err := command.Table(t.out, func(w io.Writer) { t.printFacts(w, f) }); err != nil {
		return err
	}
	fmt.Fprintf(t.out, "\nTry in another terminal:\n")
	for _, c := range f.Try {
		fmt.Fprintf(t.out, "\n%s:\n  %s\n", c.What, c.Command)
	}
	fmt.Fprintf(t.out, "\nFor training only: the custodians' shares lie beside the vault (custodian-1 to custodian-%d), so whoever reads this directory\n"+
		"can open everything. Use no real account. Ctrl-C stops it; the next start goes on.\n", len(f.Shares))
	return nil
}
