package main

import (
	"bytes"
	"context"
	_ "embed" // of testdata
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nightdrop/ops/simulator/bank"
	"nightdrop/ops/simulator/host"
	"nightdrop/shared/waittest"
)

const sampleBook = `{"kind":"transaction","at":"2026-11-22T17:00:00Z","transaction":{"type":"0200","kind":"sale","terminal":"T1","stan":"000001","sent":"1122170000","rrn":"R00000000001","acceptor":"BOOKSHOP","batch":"000007","amount":1099,"currency":"840","masked":"424242******4242","answer":"00","approval":"000001","reversed":false,"repeats":0}}
{"kind":"transaction","at":"2026-11-22T17:00:00Z","transaction":{"type":"0200","kind":"sale","terminal":"T1","stan":"000002","sent":"1122170000","rrn":"R00000000002","acceptor":"BOOKSHOP","batch":"000007","amount":500,"currency":"840","masked":"424242******4242","answer":"00","approval":"000002","reversed":false,"repeats":0}}
{"kind":"reversal","at":"2026-11-22T17:00:01Z","original":{"type":"0200","terminal":"T1","stan":"000002","sent":"1122170000","rrn":"R00000000002"},"undone":true}
`

func writeSample(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "book")
	if err := os.WriteFile(path, []byte(sampleBook), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBookIsPrinted(t *testing.T) {
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"book", "--book", writeSample(t)}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	want := `ACCEPTOR   BATCH  CURRENCY  DEBITS  AMOUNT  REVERSED  AMOUNT  STANDING  AMOUNT
  REFUNDS  AMOUNT
BOOKSHOP  000007       840       2   1,599         1     500         1   1,099
        0       0

2 sales, 0 holds, 0 captures, 0 refunds: 1 charged, 0 credited, 1 reversed, 0 declined; 0 came again, 0 twice over
`
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	out.Reset()
	if code := run(t.Context(), []string{"book", "--book", writeSample(t), "--json"}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	var st host.Statement
	if err := json.Unmarshal(out.Bytes(), &st); err != nil || st.Charged != 1 || len(st.Transactions) != 2 || len(st.Totals) != 1 {
		t.Errorf("JSON %s, error %v", out.String(), err)
	}
	for _, member := range []string{`"doubled": []`, `"rrn": "R00000000001"`, `"standing": {`} {
		if !strings.Contains(out.String(), member) {
			t.Errorf("JSON has no %s", member)
		}
	}
}

func TestListingIsWhatStandsOfABatch(t *testing.T) {
	book := writeSample(t)
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"listing", "--book", book, "--acceptor", "BOOKSHOP", "--batch", "7"}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	const header = `"rrn","stan","terminal","kind","amount","currency"` + "\n"
	want := header + `"R00000000001","000001","T1","sale",1099,"840"` + "\n"
	if out.String() != want {
		t.Errorf("printed\n%s\nwant\n%s", out.String(), want)
	}
	for args, want := range map[string]string{"--batch 8": header, "--batch 8 --json": "[]\n"} {
		out.Reset()
		all := append([]string{"listing", "--book", book, "--acceptor", "BOOKSHOP"}, strings.Fields(args)...)
		if code := run(t.Context(), all, &out, &errOut); code != 0 || out.String() != want {
			t.Errorf("%s: exit code %d, printed %q, want %q", args, code, out.String(), want)
		}
	}
}

// vaultFile is a NACHA file of two sales, the second to be returned with R01, and a payout.
//
//go:embed testdata/vault.ach
var vaultFile []byte

func TestReturnsAreWrittenOnceAndShown(t *testing.T) {
	outbox, returns := t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(outbox, "vault.ach"), vaultFile, 0o400); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outbox, "bad.ach"), []byte("not NACHA"), 0o400); err != nil {
		t.Fatal(err)
	}
	var first string
	for range 2 {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), []string{"returns", "--outbox", outbox, "--returns", returns}, &out, &errOut); code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut.String())
		}
		for _, want := range []string{"vault.ach  answered       2  9,013.00 USD        1  50.00 USD         1\n             1      0  return-", "bad.ach    refused",
			"\n1 files, 1 refused: 3 entries, 1 returned, 1 acknowledged, 0 noted; 0 trace numbers twice over\n"} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("printed\n%s\nwant %q", out.String(), want)
			}
		}
		if first == "" {
			first = out.String()
		} else if out.String() != first {
			t.Errorf("the second time\n%s\nwant\n%s", out.String(), first)
		}
	}
	if list, _ := filepath.Glob(filepath.Join(returns, "*.ach")); len(list) != 1 {
		t.Errorf("the bank wrote %v, want one file", list)
	}
	if got, _ := os.ReadFile(filepath.Join(outbox, "vault.ach")); !bytes.Equal(got, vaultFile) {
		t.Error("the vault's file was changed")
	}
	var out, errOut bytes.Buffer
	if code := run(t.Context(), []string{"bank-book", "--book", filepath.Join(returns, ".bank.book"), "--json"}, &out, &errOut); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut.String())
	}
	var st bank.Statement
	if err := json.Unmarshal(out.Bytes(), &st); err != nil || st.Returned != 1 || len(st.List) != 2 || strings.Contains(out.String(), "123456789012") {
		t.Errorf("JSON %s, error %v", out.String(), err)
	}
}

// A crash that the adversary decides on ends the program, and what was booked is there when it
// starts again.
func TestAdversaryCrashesTheProgram(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "address")
	ended := make(chan int, 1)
	go func() {
		var out, errOut bytes.Buffer
		ended <- run(context.Background(), []string{"serve", "--book", filepath.Join(dir, "book"), "--listen", "127.0.0.1:0", "--address-file", file,
			"--adversary", "5", "--adversary-rates", "none,crash=1"}, &out, &errOut)
	}()
	conn, err := net.Dial("tcp", awaitAddress(t, file))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := conn.Write(append([]byte{0, byte(len(sampleSale))}, sampleSale...)); err != nil {
		t.Fatal(err)
	}
	code := waittest.Receive(t, "the end of the program", ended)
	if st, err := host.ReadBook(filepath.Join(dir, "book")); code != 9 || err != nil || st.Sales != 1 {
		t.Errorf("exit code %d, %d sales, error %v", code, st.Sales, err)
	}
}

// sampleSale is a 0200 with fields 2, 3, 4, 7, 11, 14, 37, 41, 42, 49 and 60.
const sampleSale = "0200" + "7224000008C08010" + "16" + "4242424242424242" + "000000" + "000000001099" + "1122170000" + "000001" + "3109" +
	"RRN000000001" + "TERM0001" + "BOOKSHOP       " + "840" + "006" + "000007"

func TestExitCodes(t *testing.T) {
	book := writeSample(t)
	held, err := host.Start(host.Config{Listen: "127.0.0.1:0", Book: book})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	for _, c := range []struct {
		args []string
		code int
	}{
		{[]string{"--help"}, 0},
		{[]string{"serve", "--help"}, 0},
		{nil, 0},
		{[]string{"serve"}, 2},
		{[]string{"book"}, 2},
		{[]string{"nonsense"}, 2},
		{[]string{"serve", "--nonsense"}, 2},
		{[]string{"book", "--book", book, "more"}, 2},
		{[]string{"serve", "--book", book + ".3", "--tls-cert", "c.pem"}, 2},
		{[]string{"serve", "--book", book + ".3", "--tls-cert", "none.pem", "--tls-key", "none.key"}, 5},
		{[]string{"serve", "--book", book + ".3", "--adversary", "x"}, 2},
		{[]string{"serve", "--book", book + ".3", "--adversary-rates", "slow=1"}, 2},
		{[]string{"serve", "--book", book + ".3", "--adversary", "1", "--adversary-rates", "slow=2"}, 2},
		{[]string{"serve", "--book", book + ".3", "--bank-outbox", t.TempDir()}, 2},
		{[]string{"serve", "--book", book + ".3", "--bank-outbox", t.TempDir(), "--bank-returns", t.TempDir(), "--bank-returns-after", "soon"}, 2},
		{[]string{"listing", "--book", book, "--acceptor", "BOOKSHOP"}, 2},
		{[]string{"listing", "--book", book, "--acceptor", "BOOKSHOP", "--batch", "7"}, 0},
		{[]string{"returns", "--outbox", t.TempDir()}, 2},
		{[]string{"returns", "--outbox", book + ".none", "--returns", t.TempDir()}, 5},
		{[]string{"returns", "--outbox", t.TempDir(), "--returns", t.TempDir()}, 0},
		{[]string{"bank-book"}, 2},
		{[]string{"bank-book", "--book", book + ".none"}, 5},
		{[]string{"serve", "--book", book, "--listen", "127.0.0.1:0"}, 6},
		{[]string{"book", "--book", book + ".none"}, 5},
		{[]string{"serve", "--book", book + ".2", "--listen", held.Addr()}, 1},
	} {
		var out, errOut bytes.Buffer
		if code := run(t.Context(), c.args, &out, &errOut); code != c.code || (code != 0) != (errOut.Len() > 0) {
			t.Errorf("%v: exit code %d, want %d; %s", c.args, code, c.code, errOut.String())
		}
	}
}

func TestServeWritesItsAddressAndStops(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "address")
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		var out, errOut bytes.Buffer
		ended <- run(ctx, []string{"serve", "--book", filepath.Join(dir, "book"), "--listen", "127.0.0.1:0", "--address-file", file}, &out, &errOut)
	}()
	if address := awaitAddress(t, file); !strings.HasPrefix(address, "127.0.0.1:") {
		t.Errorf("address %q", address)
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d after a stop", code)
	}
}

func awaitAddress(t *testing.T, file string) (address string) {
	t.Helper()
	waittest.For(t, "the address", func() bool {
		text, err := os.ReadFile(file)
		address = strings.TrimSpace(string(text))
		return err == nil
	})
	return address
}
