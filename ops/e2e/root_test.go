//go:build root

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"nightdrop/ops/site"
	"nightdrop/shared/envelope"
	"nightdrop/shared/storefront"
	"nightdrop/shared/waittest"
)

// TestRootFullDisk gives the channel a volume of its own and fills it: posts are refused as such,
// nothing that was acked is lost, and when there is room again the relay goes on by itself.
func TestRootFullDisk(t *testing.T) {
	dir := t.TempDir()
	volume := filepath.Join(dir, "relay", "channel")
	if err := os.MkdirAll(volume, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", volume, "tmpfs", 0, "size=512m,mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(volume, syscall.MNT_DETACH) })
	s := running(t, site.Options{Dir: dir, EnvelopeBytes: 64 << 20, ChannelBytes: 160 << 20, MinFree: 32 << 20}, "bookshop")
	shop := newShop(t, s, "bookshop")
	var chain storefront.Chain
	if got := sellAndWait(t, shop, &chain, "room", 100); got != envelope.StatusApproved {
		t.Fatalf("with room: %s", got)
	}
	filler := filepath.Join(volume, "filler")
	fill(t, filler)
	sealed, err := shop.sell(t.Context(), "no room", 200)
	if err != nil {
		t.Fatal(err)
	}
	refusedAsFull(t, shop, sealed)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := shop.Post(ctx, sealed.Note); err != nil {
		t.Fatalf("after there was room again: %v", err)
	}
	final := map[string]envelope.Status{}
	if err := shop.readAll(ctx, &chain, final, []storefront.Sealed{sealed}); err != nil || final[sealed.Digest] != envelope.StatusApproved {
		t.Errorf("%s, %v", final[sealed.Digest], err)
	}
	if b := readBook(t, s); b.Charged != 2 || len(b.Doubled) != 0 {
		t.Errorf("the host charged %d sales, twice %v", b.Charged, b.Doubled)
	}
}

// fill writes until the volume is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 1<<20)
	for {
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// refusedAsFull posts until the relay's guard has noticed, and fails if the envelope is taken once
// the disk is full for a while.
func refusedAsFull(t *testing.T, s shop, sealed storefront.Sealed) {
	t.Helper()
	var refused *storefront.Refused
	waittest.For(t, "a full disk to be answered channel-full", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := s.Post(ctx, sealed.Note)
		return errors.As(err, &refused) && refused.Code == "channel-full"
	})
}

// TestRootVaultBehindAFirewall runs the vault on a host of its own: a network namespace whose
// firewall lets nothing in.
func TestRootVaultBehindAFirewall(t *testing.T) {
	const online, offline = "10.231.77.1", "10.231.77.2"
	ns := fmt.Sprintf("nightdrop%d", os.Getpid())
	link := fmt.Sprintf("nd%d", os.Getpid()%100000)
	command(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { _ = exec.Command("ip", "netns", "delete", ns).Run() })
	command(t, "ip", "link", "add", link, "type", "veth", "peer", "name", "vault0", "netns", ns)
	command(t, "ip", "address", "add", online+"/30", "dev", link)
	command(t, "ip", "link", "set", link, "up")
	command(t, "ip", "-n", ns, "address", "add", offline+"/30", "dev", "vault0")
	command(t, "ip", "-n", ns, "link", "set", "vault0", "up")
	command(t, "ip", "-n", ns, "link", "set", "lo", "up")
	const rules = `table inet vault {
	chain in {
		type filter hook input priority 0; policy drop;
		iif lo accept
		ct state established,related accept
	}
}
`
	nft := exec.Command("ip", "netns", "exec", ns, "nft", "-f", "-")
	nft.Stdin = strings.NewReader(rules)
	if out, err := nft.CombinedOutput(); err != nil {
		t.Fatalf("nft: %v\n%s", err, out)
	}
	s := running(t, site.Options{VaultSees: online, VaultPrefix: []string{"ip", "netns", "exec", ns}}, "bookshop")
	shop := newShop(t, s, "bookshop")
	var chain storefront.Chain
	if got := sellAndWait(t, shop, &chain, "across the firewall", 100); got != envelope.StatusApproved {
		t.Errorf("across the firewall: %s", got)
	}
	if ports := listening(t, s.Vault.Pid()); len(ports) != 0 {
		t.Errorf("the vault listens on %v", ports)
	}
}

func command(t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}
