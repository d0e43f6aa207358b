package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/durable/durabletest"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// binaries is where TestMain built the programs.
var binaries string

// builtVariable says where, to a process of tests that another one started.
const builtVariable = "NIGHTDROP_E2E_BINARIES"

func TestMain(m *testing.M) {
	durabletest.Enter()
	os.Exit(func() int {
		if binaries = os.Getenv(builtVariable); binaries != "" {
			return m.Run()
		}
		dir, err := os.MkdirTemp("", "nightdrop-e2e-")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(dir)
		build := exec.Command("go", "build", "-o", dir, "nightdrop/relay", "nightdrop/vault", "nightdrop/ops/storefront", "nightdrop/ops/simulator",
			"nightdrop/ops/site/training")
		if out, err := build.CombinedOutput(); err != nil {
			fmt.Fprintf(os.Stderr, "build: %v\n%s", err, out)
			return 1
		}
		binaries = dir
		if err := os.Setenv(builtVariable, dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// newSite puts up a site that stops with the test. When the test fails it shows the ends of the
// logs.
func newSite(t *testing.T, o site.Options) *site.Site {
	t.Helper()
	o.Bin = binaries
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	s, err := site.New(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Errorf("stop: %v", err)
		}
		if t.Failed() {
			showLogs(t, s)
		}
	})
	return s
}

func showLogs(t *testing.T, s *site.Site) {
	for _, p := range s.Processes() {
		t.Logf("--- the end of %s\n%s", p.Log, p.Tail())
	}
}

// running starts everything and enrols one merchant.
func running(t *testing.T, o site.Options, merchant string) *site.Site {
	t.Helper()
	s := newSite(t, o)
	if err := s.Launch(t.Context(), site.Merchant{ID: merchant, Currencies: []string{"EUR", "USD"}}); err != nil {
		t.Fatal(err)
	}
	return s
}

// shop is a storefront's server in this process.
type shop struct {
	site.Shop
	outbox *storefront.Outbox
}

func newShop(t *testing.T, s *site.Site, merchant string) shop {
	t.Helper()
	connected, err := s.Shop(merchant)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(connected.HTTP.CloseIdleConnections)
	outbox, err := storefront.OpenOutbox(filepath.Join(t.TempDir(), "outbox"))
	if err != nil {
		t.Fatal(err)
	}
	return shop{connected, outbox}
}

func httpClient(t *testing.T, s *site.Site) *http.Client {
	t.Helper()
	client, err := s.HTTPClient()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.CloseIdleConnections)
	return client
}

// testCard is a Visa test number, testBank a made-up account in the form of the ABA's routing
// numbers.
const (
	testCard = `{"card":{"number":"4242424242424242","expiry":"2033-11"}}`
	testBank = `{"bank":{"routing":"800000006","account":"71002345678913","type":"checking","name":"Elif Castro"}}`
	testCode = `{"code":"123"}`
)

// sell seals a card sale of an amount and keeps it in the outbox.
func (s shop) sell(ctx context.Context, reference string, amount int64) (storefront.Sealed, error) {
	return s.keep(ctx, storefront.Payment{Order: envelope.Order{Operation: envelope.OpSale, Reference: reference, Amount: amount, Currency: "EUR"},
		Account: []byte(testCard), Code: []byte(testCode)})
}

// keep seals an instruction and keeps it in the outbox.
func (s shop) keep(ctx context.Context, p storefront.Payment) (storefront.Sealed, error) {
	sealed, err := s.Seal(ctx, p)
	if err != nil {
		return sealed, err
	}
	return s.outbox.Keep(sealed)
}

// readAll reads results until every digest has one with a final status, and returns those statuses.
func (s shop) readAll(ctx context.Context, chain *storefront.Chain, final map[string]envelope.Status, waitFor []storefront.Sealed) error {
	missing := func() int {
		n := 0
		for _, w := range waitFor {
			if _, ok := final[w.Digest]; !ok {
				n++
			}
		}
		return n
	}
	for missing() > 0 {
		page, err := s.Results(ctx, chain, 5*time.Second)
		if ctx.Err() != nil {
			return fmt.Errorf("%d of %d envelopes have no final result: %w", missing(), len(waitFor), ctx.Err())
		}
		if err != nil {
			// the relay may be down: read on after the same place
			time.Sleep(100 * time.Millisecond)
			continue
		}
		if _, err := s.outbox.Record(page, *chain); err != nil {
			return err
		}
		for _, r := range page {
			if r.Facts.Status != envelope.StatusUnknown {
				final[r.Result.Digest] = r.Facts.Status
			}
		}
	}
	return nil
}

// readBook reads the acquirer's own book.
func readBook(t *testing.T, s *site.Site) site.HostBook {
	t.Helper()
	b, err := s.ReadHostBook(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// awaitBank waits until the bank, which looks for files every second, has taken so many entries,
// and returns its book.
func awaitBank(t *testing.T, s *site.Site, entries int) (b site.BankBook) {
	t.Helper()
	waittest.For(t, fmt.Sprintf("%d entries at the bank", entries), func() bool {
		var err error
		if b, err = s.ReadBankBook(t.Context()); err != nil {
			t.Fatal(err)
		}
		return b.Entries >= entries
	})
	return b
}

// listed is what `vault payment list --json` shows of a payment.
type listed struct {
	ID, Status, Operation, Code string
	Amount                      int64
	Resolutions                 []string
}

// list returns the payments of a status.
func list(t *testing.T, s *site.Site, status string) (payments []listed) {
	t.Helper()
	out, err := s.VaultRun(t.Context(), "payment", "list", "--status", status, "--all", "--json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(out), &payments); err != nil {
		t.Fatal(err)
	}
	return payments
}
