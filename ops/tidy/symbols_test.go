package tidy

import (
	"path/filepath"
	"strings"
	"testing"
)

// binaries says what the linked programs must and must not hold. "must" is the positive control: it
// proves that the search can find.
var binaries = []struct {
	name    string
	must    []string
	mustNot []string
	because string
}{
	{"relay",
		[]string{"nightdrop/relay/internal/ingest.", "github.com/nats-io/nats-server/v2/server."},
		[]string{"nightdrop/shared/storefront.", "github.com/tink-crypto/", "go.etcd.io/bbolt.", "nightdrop/vault/", "nightdrop/shared/seal."},
		"a stolen relay must be worthless"},
	{"vault",
		[]string{"crypto/hpke.", "github.com/tink-crypto/", "go.etcd.io/bbolt.", "nightdrop/vault/internal/keyring."},
		[]string{"github.com/nats-io/nats-server/", "nightdrop/relay/", "net/http.ListenAndServe", "net/http.(*Server).ListenAndServe"},
		"the vault host listens on nothing but its unix socket"},
}

// executed is in a program that executes templates, and so calls methods by their names: then the
// linker keeps every exported method of every type, used or not, and mustNot says little.
const executed = "text/template.(*Template).Execute"

func TestBinariesHoldWhatTheyShould(t *testing.T) {
	for _, b := range binaries {
		symbols := run(t, "go", "tool", "nm", filepath.Join(build(t), b.name))
		for _, symbol := range b.must {
			if !strings.Contains(symbols, " "+symbol) {
				t.Errorf("%s has no symbol %s: the search is blind", b.name, symbol)
			}
		}
		if strings.Contains(symbols, " "+executed) {
			t.Errorf("%s holds %s: all that it could call is in it now, and this search proves little", b.name, executed)
		}
		for _, symbol := range b.mustNot {
			if strings.Contains(symbols, " "+symbol) {
				t.Errorf("%s holds %s: %s", b.name, symbol, b.because)
			}
		}
	}
}
