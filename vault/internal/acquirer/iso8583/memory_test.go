package iso8583_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"nightdrop/vault/internal/account"
	"nightdrop/vault/internal/acquirer"
	"nightdrop/vault/internal/acquirer/iso8583"
)

// TestNumberLeavesNoCopies sends sales to a host in another process and then searches this
// process's writable memory for their number. As a control, a copy kept on purpose must be found.
func TestNumberLeavesNoCopies(t *testing.T) {
	p := newSimulator(t)
	p.start(t)
	leavesNoCopies(t, iso8583.Config{Address: p.address}, 50)
}

// TestNumberLeavesNoCopiesOverTLS does so over TLS, while the garbage collector empties the pools
// of buffers.
func TestNumberLeavesNoCopiesOverTLS(t *testing.T) {
	certificate, roots := selfSigned(t)
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	private, err := x509.MarshalPKCS8PrivateKey(certificate.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: certificate.Certificate[0]}, key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := newSimulator(t)
	p.more = []string{"--tls-cert", cert, "--tls-key", key}
	p.start(t)
	collecting, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		for collecting.Err() == nil {
			runtime.GC()
			time.Sleep(5 * time.Millisecond)
		}
	}()
	leavesNoCopies(t, iso8583.Config{Address: p.address, TLS: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}, 200)
}

func leavesNoCopies(t *testing.T, config iso8583.Config, sales int) {
	t.Helper()
	a := iso8583.New(config)
	defer func() { _ = a.Close() }()
	number, mask := freshNumber(t)
	found := 0
	for i := range sales {
		if i%20 == 19 {
			found += copiesInMemory(t, number, mask) // before freed memory is reused
		}
		sale := testSale(t, uint32(i+1))
		plaintext := fillPlaintext(number, mask)
		card, err := account.Parse(plaintext)
		clear(plaintext)
		if err != nil {
			t.Fatal(err)
		}
		sale.Card = card.Card
		answer, err := a.Authorise(t.Context(), sale)
		card.Clear()
		if err != nil || answer.Outcome != acquirer.Approves {
			t.Fatalf("answer %+v, error %v", answer, err)
		}
	}
	// A reversal and a refused request leave no number either.
	sale := testSale(t, 1)
	_, err := a.Reverse(t.Context(), acquirer.Reversal{Trace: sale.Trace, Original: acquirer.Original{Trace: sale.Trace, Kind: sale.Kind}, Batch: 7, Amount: 1099, Currency: "USD"})
	if err != nil {
		t.Fatal(err)
	}
	if found += copiesInMemory(t, number, mask); found != 0 {
		t.Errorf("%d copies of the number are in memory after %d sales", found, sales)
	}
	control := make([]byte, len(number))
	for i := range number {
		control[i] = number[i] ^ mask[i]
	}
	if copiesInMemory(t, number, mask) == 0 {
		t.Error("the control was not found: the search finds nothing")
	}
	runtime.KeepAlive(control)
	clear(control)
}

// freshNumber returns a Visa number that is nowhere in the program, masked so that the search does
// not find its own pattern.
func freshNumber(t *testing.T) (hidden, mask [16]byte) {
	t.Helper()
	if _, err := rand.Read(mask[:]); err != nil {
		t.Fatal(err)
	}
	if _, err := rand.Read(hidden[:]); err != nil {
		t.Fatal(err)
	}
	sum := 0
	for i := range hidden {
		digit := hidden[i] % 10
		if i == 0 {
			digit = 4
		}
		if i == 15 {
			digit = byte((10 - sum%10) % 10)
		}
		weighted := int(digit)
		if i%2 == 0 {
			weighted *= 2
		}
		sum += weighted/10 + weighted%10
		hidden[i] = ('0' + digit) ^ mask[i]
	}
	return hidden, mask
}

func fillPlaintext(hidden, mask [16]byte) []byte {
	plaintext := []byte(`{"card":{"number":"................","expiry":"2031-09"}}`)
	at := strings.Index(string(plaintext), ".")
	for i := range hidden {
		plaintext[at+i] = hidden[i] ^ mask[i]
	}
	return plaintext
}

// copiesInMemory counts the number's occurrences in this process's private writable memory.
func copiesInMemory(t *testing.T, hidden, mask [16]byte) int {
	t.Helper()
	const window = 1 << 20
	buffer, err := unix.Mmap(-1, 0, window, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Munmap(buffer) }()
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = memory.Close() }()
	self := fmt.Sprintf("%p", &buffer[0])
	found, seen := 0, 0
	for _, r := range writableRegions(t) {
		var own uint64
		if _, err := fmt.Sscanf(self, "0x%x", &own); err == nil && r.from <= own && own < r.to {
			continue // the window itself
		}
		for from := r.from; from < r.to; from += window - 32 {
			n, err := memory.ReadAt(buffer[:min(window, r.to-from)], int64(from))
			if err != nil && n == 0 {
				break
			}
			seen += n
			found += count(buffer[:n], hidden, mask)
		}
	}
	clear(buffer)
	if seen < 1<<20 {
		t.Fatalf("only %d bytes of memory could be read", seen)
	}
	return found
}

func count(text []byte, hidden, mask [16]byte) int {
	found := 0
	for {
		next := bytes.IndexByte(text, '4') // a Visa number's first digit
		if next < 0 || next+len(hidden) > len(text) {
			return found
		}
		j := 0
		for j < len(hidden) && text[next+j]^mask[j] == hidden[j] {
			j++
		}
		if j == len(hidden) {
			found++
		}
		text = text[next+1:]
	}
}

type region struct{ from, to uint64 }

func writableRegions(t *testing.T) []region {
	t.Helper()
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = maps.Close() }()
	var regions []region
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		var r region
		var rights string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &r.from, &r.to, &rights); err == nil && strings.HasPrefix(rights, "rw") {
			regions = append(regions, r)
		}
	}
	if len(regions) == 0 {
		t.Fatal("no writable memory was listed")
	}
	return regions
}
