package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"nightdrop/ops/simulator/host"
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
	want := `ACCEPTOR  BATCH   CURRENCY  DEBITS  AMOUNT  REVERSED  AMOUNT  STANDING  AMOUNT  REFUNDS  AMOUNT
BOOKSHOP  000007  840       2       1599    1         500     1         1099    0        0

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
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if address, err := os.ReadFile(file); err == nil {
			if !strings.HasPrefix(string(address), "127.0.0.1:") {
				t.Errorf("address %q", address)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no address was written")
		}
	}
	cancel()
	if code := <-ended; code != 0 {
		t.Errorf("exit code %d after a stop", code)
	}
}
