package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
)

// sellAndWait posts a sale and waits for its final status.
func sellAndWait(t *testing.T, s shop, chain *storefront.Chain, reference string, amount int64) envelope.Status {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	sealed, err := s.sell(ctx, reference, amount)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Post(ctx, sealed.Note); err != nil {
		t.Fatal(err)
	}
	final := map[string]envelope.Status{}
	if err := s.readAll(ctx, chain, final, []storefront.Sealed{sealed}); err != nil {
		t.Fatal(err)
	}
	return final[sealed.Digest]
}

func TestOutcomesFollowTheHost(t *testing.T) {
	s := running(t, site.Options{AnswerTimeout: time.Second}, "bookshop")
	shop := newShop(t, s, "bookshop")
	var chain storefront.Chain
	for _, c := range []struct {
		amount int64
		want   envelope.Status
	}{
		{1999, envelope.StatusApproved}, {900051, envelope.StatusDeclined}, {900100, envelope.StatusReversed},
		{900101, envelope.StatusReversed}, {900102, envelope.StatusReversed},
	} {
		if got := sellAndWait(t, shop, &chain, fmt.Sprintf("amount-%d", c.amount), c.amount); got != c.want {
			t.Errorf("a sale of %d became %s, want %s", c.amount, got, c.want)
		}
	}
	if b := readBook(t, s); b.Charged != 1 || len(b.Doubled) != 0 {
		t.Errorf("the host charged %d sales, twice %v", b.Charged, b.Doubled)
	}
}

// TestVaultListensOnNothing looks at the kernel's own list of listening sockets. The relay is the
// control: it must be seen to listen.
func TestVaultListensOnNothing(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	if ports := listening(t, s.Relay.Pid()); len(ports) < 3 {
		t.Fatalf("the relay seems to listen on %v: the search is blind", ports)
	}
	if ports := listening(t, s.Vault.Pid()); len(ports) != 0 {
		t.Errorf("the vault listens on %v", ports)
	}
}

// listening returns the addresses in /proc/PID/net/{tcp,tcp6,udp,udp6} whose sockets the process
// holds and that take from anybody.
func listening(t *testing.T, pid int) (addresses []string) {
	t.Helper()
	held := map[string]bool{}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink(fd); err == nil {
			if inode, ok := strings.CutPrefix(target, "socket:["); ok {
				held[strings.TrimSuffix(inode, "]")] = true
			}
		}
	}
	for _, protocol := range []string{"tcp", "tcp6", "udp", "udp6"} {
		data, err := os.ReadFile(fmt.Sprintf("/proc/%d/net/%s", pid, protocol))
		if err != nil {
			continue // no IPv6 here
		}
		for line := range strings.Lines(string(data)) {
			fields := strings.Fields(line)
			const listen, open = "0A", "07" // TCP_LISTEN; an unconnected UDP socket
			if len(fields) > 9 && held[fields[9]] && (fields[3] == listen || fields[3] == open) {
				addresses = append(addresses, protocol+" "+fields[1])
			}
		}
	}
	return addresses
}

func TestLockForgetsAndUnlockGoesOn(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	shop := newShop(t, s, "bookshop")
	var chain storefront.Chain
	if got := sellAndWait(t, shop, &chain, "before", 100); got != envelope.StatusApproved {
		t.Fatalf("before the lock: %s", got)
	}
	if _, err := s.VaultRun(t.Context(), "lock"); err != nil {
		t.Fatal(err)
	}
	wantExit(t, 3, func() error { _, err := s.VaultRun(t.Context(), "batch", "list"); return err })
	wantExit(t, 4, func() error { return s.Unlock(t.Context(), 2, 2) })
	sealed, err := shop.sell(t.Context(), "while locked", 200)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Post(t.Context(), sealed.Note); err != nil {
		t.Errorf("the relay takes envelopes while the vault is locked: %v", err)
	}
	if err := s.Unlock(t.Context(), 2, 3); err != nil {
		t.Fatal(err)
	}
	final := map[string]envelope.Status{}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := shop.readAll(ctx, &chain, final, []storefront.Sealed{sealed}); err != nil || final[sealed.Digest] != envelope.StatusApproved {
		t.Errorf("posted while locked: %s, %v", final[sealed.Digest], err)
	}
}

// wantExit runs a command that must fail with an exit code of specification 9.
func wantExit(t *testing.T, code int, run func() error) {
	t.Helper()
	err := run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		t.Errorf("want exit code %d, got %v", code, err)
	}
}

func TestRelayBeforeAnyVaultSpoke(t *testing.T) {
	s := newSite(t, site.Options{})
	if err := s.StartRelay(t.Context()); err != nil {
		t.Fatal(err)
	}
	response, err := httpClient(t, s).Post(s.Origin()+"/v1/envelopes", envelope.MediaType, strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Retry-After") == "" || !bytes.Contains(body, []byte("urn:nightdrop:no-directory")) {
		t.Errorf("%s %s", response.Status, body)
	}
}

// TestVaultWaitsForItsChannel starts the vault before the relay, and stops the relay for a while in
// between.
func TestVaultWaitsForItsChannel(t *testing.T) {
	s := newSite(t, site.Options{})
	for _, step := range []func(context.Context) error{s.StartSimulator, s.StartVault,
		func(ctx context.Context) error { return s.Unlock(ctx, 1, 2) },
		func(ctx context.Context) error {
			return s.Enrol(ctx, site.Merchant{ID: "bookshop", Currencies: []string{"EUR"}})
		}, s.StartRelay, s.AwaitRelay,
		func(ctx context.Context) error { return s.AwaitMerchant(ctx, "bookshop") }} {
		if err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	shop := newShop(t, s, "bookshop")
	var chain storefront.Chain
	if got := sellAndWait(t, shop, &chain, "first", 100); got != envelope.StatusApproved {
		t.Errorf("after a late relay: %s", got)
	}
	if err := s.Relay.Stop(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	if err := s.StartRelay(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := sellAndWait(t, shop, &chain, "second", 100); got != envelope.StatusApproved {
		t.Errorf("after the relay was away: %s", got)
	}
}

const repeats = 10_000

// TestTenThousandRepeatsAreOnePayment posts one envelope ten thousand times, and other bytes under
// its id. The relay is one that remembers no receipts: what it is posted travels, and the vault
// decides.
func TestTenThousandRepeatsAreOnePayment(t *testing.T) {
	s := running(t, site.Options{NoRepeats: true}, "bookshop")
	shop := newShop(t, s, "bookshop")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	sealed, err := shop.sell(ctx, "once", 4200)
	if err != nil {
		t.Fatal(err)
	}
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for range repeats {
		group.Go(func() error { _, err := shop.Post(groupCtx, sealed.Note); return err })
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	other, err := shop.Seal(ctx, storefront.Payment{ID: sealed.ID, Order: envelope.Order{Operation: envelope.OpSale, Reference: "twice", Amount: 4200, Currency: "EUR"},
		Account: []byte(`{"card":{"number":"4242424242424242","expiry":"2033-11"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := shop.Post(ctx, other.Note); err != nil {
		t.Fatal(err)
	}
	var chain storefront.Chain
	final := map[string]envelope.Status{}
	if err := shop.readAll(ctx, &chain, final, []storefront.Sealed{sealed, other}); err != nil {
		t.Fatal(err)
	}
	if final[sealed.Digest] != envelope.StatusApproved || final[other.Digest] != envelope.StatusRejected {
		t.Errorf("the first digest is %s, the second %s", final[sealed.Digest], final[other.Digest])
	}
	if b := readBook(t, s); b.Sales != 1 || b.Charged != 1 {
		t.Errorf("the host took %d sales and charged %d", b.Sales, b.Charged)
	}
	if chain.Serial > 4 {
		t.Errorf("%d results for one payment and one conflict", chain.Serial)
	}
}

// TestSettlementAndLog closes and settles a batch by command line, twice, and verifies the exported
// log with a flipped bit as control.
func TestSettlementAndLog(t *testing.T) {
	s := running(t, site.Options{}, "bookshop")
	shop := newShop(t, s, "bookshop")
	var chain storefront.Chain
	for i := range 5 {
		sellAndWait(t, shop, &chain, fmt.Sprintf("sale-%d", i), int64(1000+i))
	}
	settle := func() (settled int) {
		if _, err := s.VaultRun(t.Context(), "batch", "close", "--all"); err != nil {
			t.Fatal(err)
		}
		out, err := s.VaultRun(t.Context(), "batch", "settle", "--all", "--json")
		if err != nil {
			t.Fatal(err)
		}
		var result struct{ Payments int }
		if err := json.Unmarshal([]byte(out), &result); err != nil {
			t.Fatal(err)
		}
		return result.Payments
	}
	if first, second := settle(), settle(); first != 5 || second != 0 {
		t.Errorf("settled %d, then %d", first, second)
	}
	dir := s.Path("audit")
	if _, err := s.VaultRun(t.Context(), "audit", "export", dir); err != nil {
		t.Fatal(err)
	}
	verify := func() error {
		_, err := s.Run(t.Context(), "vault", "audit", "verify", dir, "--verifier", s.Verifier)
		return err
	}
	if err := verify(); err != nil {
		t.Fatal(err)
	}
	proveLater(t, s, "bookshop", dir)
	tiles, err := filepath.Glob(filepath.Join(dir, "tile", "*", "*"))
	if err != nil || len(tiles) == 0 {
		t.Fatalf("no tiles in the export: %v", err)
	}
	slices.Sort(tiles)
	flipBit(t, tiles[0])
	wantExit(t, 7, verify)
	wantExit(t, 7, func() error {
		_, err := s.ShopRun(t.Context(), "bookshop", "results", "--check-log", "--tiles", dir)
		return err
	})
}

// proveLater reads a shop's results by command line and proves each again from an exported log, of
// which only the public files are given.
func proveLater(t *testing.T, s *site.Site, merchant, exported string) {
	t.Helper()
	run := func(args ...string) (lines []string) {
		out, err := s.ShopRun(t.Context(), merchant, append([]string{"results", "--json"}, args...)...)
		if err != nil {
			t.Fatal(err)
		}
		return strings.Split(strings.TrimSpace(out), "\n")
	}
	public := filepath.Join(t.TempDir(), "public")
	if err := os.CopyFS(filepath.Join(public, "tile"), os.DirFS(filepath.Join(exported, "tile"))); err != nil {
		t.Fatal(err)
	}
	checkpoint, err := os.ReadFile(filepath.Join(exported, "checkpoint"))
	if err == nil {
		err = os.WriteFile(filepath.Join(public, "checkpoint"), checkpoint, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	type result struct {
		ID             string
		Index, Entries int64
		Proof          string
	}
	proved := map[int64]bool{}
	read := run()
	for _, line := range read {
		var found result
		if err := json.Unmarshal([]byte(line), &found); err != nil {
			t.Fatal(err)
		}
		for _, line := range run("--prove", found.ID, "--tiles", public) {
			var later result
			if err := json.Unmarshal([]byte(line), &later); err != nil || later.Entries <= later.Index || !strings.HasPrefix(later.Proof, "c2sp.org/tlog-proof@v1\n") {
				t.Errorf("proved as %s, %v", line, err)
			}
			proved[later.Index] = true
		}
		if !proved[found.Index] {
			t.Errorf("%s was not proved", line)
		}
	}
	if len(read) < 5 { // each sale was approved; that it was settled may still be on its way
		t.Errorf("only %d results were read", len(read))
	}
	var agreement struct{ Checked, Beyond int }
	if err := json.Unmarshal([]byte(run("--check-log", "--tiles", public)[0]), &agreement); err != nil || agreement.Checked == 0 {
		t.Errorf("what was seen against the export: %+v, %v", agreement, err)
	}
}

func flipBit(t *testing.T, path string) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.IsDir() {
		entries, err := os.ReadDir(path)
		if err != nil || len(entries) == 0 {
			t.Fatalf("%s is empty: %v", path, err)
		}
		flipBit(t, filepath.Join(path, entries[0].Name()))
		return
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, info.Mode()); err != nil {
		t.Fatal(err)
	}
}
