package tidy

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// rule denies packages to the whole dependency closure of others.
type rule struct {
	// import path prefix of ours; the rule holds for every package below it, tests left out
	from    string
	except  []string // packages below it that may
	deny    []string // import path prefixes
	because string
}

var rules = []rule{
	{from: "nightdrop/relay", deny: []string{"nightdrop/vault"},
		because: "the relay would carry the vault's code to the internet"},
	{from: "nightdrop/relay", deny: []string{"github.com/tink-crypto/tink-go", "nightdrop/shared/seal"},
		because: "the relay must hold nothing that opens or seals a part: whoever owns it should find no tool there"},
	{from: "nightdrop/relay", deny: []string{"go.etcd.io/bbolt"},
		because: "the relay remembers nothing but its head file"},
	{from: "nightdrop/relay", deny: []string{"nightdrop/shared/storefront"},
		because: "the SDK opens results"},
	{from: "nightdrop/vault", deny: []string{"nightdrop/relay"},
		because: "the vault trusts no code of the online side"},
	{from: "nightdrop/vault", deny: []string{"github.com/nats-io/nats-server"},
		because: "the vault host listens on nothing, so it carries no broker"},
	{from: "nightdrop/shared", deny: []string{"nightdrop/relay", "nightdrop/vault", "nightdrop/ops"},
		because: "shared packages are leaves that storefronts and auditors link"},
	{from: "nightdrop/shared/note", deny: []string{"net", "github.com/"},
		because: "a format knows no technology"},
	{from: "nightdrop/shared/envelope", deny: []string{"net", "github.com/tink-crypto", "go.etcd.io/bbolt", "github.com/nats-io"},
		because: "a format knows no technology, and the relay links it"},
	{from: "nightdrop/vault/internal/book", deny: []string{"net", "os/exec", "go.etcd.io/bbolt", "github.com/nats-io"},
		because: "the fold does no I/O"},
	{from: "nightdrop/vault/internal/ledger/pages", deny: []string{"nightdrop/", "github.com/", "go.etcd.io/"},
		because: "what it finds in the file must not rest on the database whose file it is"},
	{from: "nightdrop/vault/internal/replay/spill", deny: []string{"nightdrop/vault/internal/book", "nightdrop/vault/internal/audit", "nightdrop/shared"},
		because: "it keeps what does not fit into memory, of whatever kind: what a payment is, its caller says"},
	{from: "nightdrop/vault/internal/merkle", deny: []string{"net", "os/exec", "go.etcd.io/bbolt", "nightdrop/vault/internal/book", "nightdrop/vault/internal/keyring", "nightdrop/vault/internal/ledger", "nightdrop/shared/durable", "nightdrop/shared/untrusted"},
		because: "the log's tree knows neither database nor files nor what events say: it stands under all who hold a copy of the log"},
	{from: "nightdrop/vault/internal/audit", deny: []string{"go.etcd.io/bbolt", "nightdrop/vault/internal/ledger", "nightdrop/vault/internal/daemon", "nightdrop/vault/internal/control", "github.com/nats-io"},
		because: "auditors link it offline, with files and a key of their own: what needs a vault's database or its daemon cannot check them"},
	{from: "nightdrop/vault/internal/auditor",
		deny: []string{"nightdrop/vault/internal/daemon", "nightdrop/vault/internal/calls", "nightdrop/vault/internal/control", "nightdrop/vault/internal/settings",
			"nightdrop/vault/internal/ledger", "nightdrop/vault/internal/settle", "nightdrop/vault/internal/acquirer", "go.etcd.io/bbolt"},
		because: "an auditor checks the vault with files and a key alone: code of the daemon in it would check itself"},
	{from: "nightdrop/vault/internal/report",
		deny:    []string{"nightdrop/vault/internal/control", "nightdrop/vault/internal/ledger", "nightdrop/vault/internal/replay", "nightdrop/vault/internal/settle"},
		because: "a report is one thing, whoever feeds it: the vault's ledger or an auditor's replay"},
	{from: "nightdrop/vault/internal/account", deny: []string{"net", "log/syslog", "go.etcd.io/bbolt", "github.com/nats-io"},
		because: "account data has no way out of the package that holds it"},
	{from: "nightdrop/vault/internal/control", deny: []string{"nightdrop/vault/internal/settle", "nightdrop/vault/internal/intake", "nightdrop/vault/internal/ledger", "go.etcd.io/bbolt"},
		because: "the socket carries questions and answers: a command line that asks needs no engine and no database, and the API's types must not change with theirs"},
	{from: "nightdrop/vault/internal/operator", deny: []string{"nightdrop/vault/internal/settle", "nightdrop/vault/internal/control", "nightdrop/vault/internal/ledger"},
		because: "who acts is the same whatever is done for him and however he asks"},
	{from: "nightdrop", deny: []string{"github.com/transparency-dev"},
		because: "the foreign implementation of the log's formats checks ours in tests: a program that linked it would check itself"},
}

// direct rules look at imports of one package only, not at what comes along.
var directRules = []rule{
	{from: "nightdrop/vault/internal/book", deny: []string{"os", "time", "math/rand", "crypto/rand"},
		because: "the fold is pure: an auditor's replay must reach the same state from the same events"},
	{from: "nightdrop", except: []string{"nightdrop/vault/internal/keyring"},
		deny:    []string{"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset", "github.com/tink-crypto/tink-go/v2/insecuresecretdataaccess"},
		because: "the cleartext entry point of Tink is used in one place only"},
	{from: "nightdrop/vault", except: []string{"nightdrop/vault/internal"},
		deny: []string{"nightdrop/vault/internal/intake", "nightdrop/vault/internal/publisher", "nightdrop/vault/internal/journal",
			"nightdrop/vault/internal/acquirer", "nightdrop/shared/channel"},
		because: "the command line asks the daemon: what takes, charges and sends is wired below it"},
	{from: "nightdrop/vault/internal", except: []string{"nightdrop/vault/internal/daemon"},
		deny:    []string{"nightdrop/vault/internal/daemon", "nightdrop/vault/internal/calls"},
		because: "the daemon hands out what it wires: who works, or answers, and knew the daemon could reach everything"},
	{from: "nightdrop/relay/internal", except: []string{"nightdrop/relay/internal/daemon"}, deny: []string{"nightdrop/relay/internal/daemon"},
		because: "the relay's daemon hands out what it wires: an edge that knew it could reach the store"},
	{from: "nightdrop", except: []string{"nightdrop/vault", "nightdrop/relay", "nightdrop/ops", "nightdrop/shared/command"},
		deny:    []string{"github.com/spf13/cobra", "github.com/schollz/progressbar"},
		because: "a command line is read in package main, and what all of them share stands in shared/command: a library that parsed flags or drew bars would decide for its caller"},
	{from: "nightdrop/vault/internal", deny: []string{"github.com/spf13/cobra", "github.com/schollz/progressbar", "nightdrop/shared/command"},
		because: "the vault's parts do the same whoever asks, from a command line or over the socket"},
	{from: "nightdrop/relay/internal", deny: []string{"github.com/spf13/cobra", "github.com/schollz/progressbar", "nightdrop/shared/command"},
		because: "the relay's parts do the same in a test as under its command line"},
	{from: "nightdrop/relay", deny: []string{"crypto/hpke"},
		because: "the relay opens nothing (that crypto/tls links it, for Encrypted Client Hello, cannot be helped)"},
	{from: "nightdrop/vault", except: []string{"nightdrop/vault/internal/keyring", "nightdrop/vault/internal/vaulttest"}, deny: []string{"crypto/hpke"},
		because: "only the key ring holds keys that open (vaulttest is a storefront, for tests)"},
	{from: "nightdrop", deny: []string{"github.com/google/tink"},
		because: "the archived module panics beside tink-go v2; it lives in testdata/tinkv1"},
	{from: "nightdrop", except: []string{"nightdrop/shared/channel", "nightdrop/ops"}, deny: []string{"github.com/nats-io/"},
		because: "the channel's technology sits in the package named for it"},
	{from: "nightdrop", except: []string{"nightdrop/vault/internal/ledger"}, deny: []string{"go.etcd.io/bbolt"},
		because: "the database's technology sits in the ledger"},
	{from: "nightdrop", except: []string{"nightdrop/vault/internal/acquirer", "nightdrop/ops/simulator"}, deny: []string{"github.com/moov-io/"},
		because: "the card networks' technology sits in the acquirer"},
	{from: "nightdrop", except: []string{"nightdrop/ops"}, deny: []string{"text/template", "html/template"},
		because: "templates call methods by their names: the linker would keep every exported method, and the search of the binaries' symbols would prove little"},
}

type goPackage struct {
	ImportPath   string
	Imports      []string
	Deps         []string
	TestImports  []string
	XTestImports []string
	Standard     bool
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(run(t, "go", "list", "-json=ImportPath,Imports,Deps,TestImports,XTestImports,Standard", "./...")))
	var list []goPackage
	for {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return list
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
}

func below(path string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if path == prefix || strings.HasPrefix(path, strings.TrimSuffix(prefix, "/")+"/") || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

func TestImportPolicy(t *testing.T) {
	list := packages(t)
	for _, r := range rules {
		enforce(t, list, r, func(p goPackage) []string { return p.Deps })
	}
	for _, r := range directRules {
		enforce(t, list, r, func(p goPackage) []string { return p.Imports })
	}
}

// enforce also fails when a rule speaks of nothing: a renamed package must not silence it.
func enforce(t *testing.T, list []goPackage, r rule, imports func(goPackage) []string) {
	t.Helper()
	held := 0
	for _, p := range list {
		if !below(p.ImportPath, r.from) || below(p.ImportPath, r.except...) {
			continue
		}
		held++
		for _, dep := range imports(p) {
			if below(dep, r.deny...) {
				t.Errorf("%s links %s: %s", p.ImportPath, dep, r.because)
			}
		}
	}
	if held == 0 {
		t.Errorf("the rule on %s holds for no package: was it renamed?", r.from)
	}
	for _, exception := range r.except {
		used := false
		for _, p := range list {
			used = used || below(p.ImportPath, exception)
		}
		if !used {
			t.Errorf("the exception %s of the rule on %s is not there any more", exception, r.from)
		}
	}
}

// TestDeniedPackagesExist keeps the deny lists honest: what they name is linked somewhere, imported
// by a test, or is a package of ours.
func TestDeniedPackagesExist(t *testing.T) {
	known := map[string]bool{}
	for _, p := range packages(t) {
		known[p.ImportPath] = true
		for _, dep := range slices.Concat(p.Deps, p.TestImports, p.XTestImports) {
			known[dep] = true
		}
	}
	allowedAbsent := []string{"github.com/google/tink", "log/syslog", "html/template", "github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"}
	for _, r := range append(rules, directRules...) {
		for _, denied := range r.deny {
			found := below(denied, allowedAbsent...)
			for path := range known {
				found = found || below(path, denied)
			}
			if !found {
				t.Errorf("%s is denied to %s but nothing of that name exists: was it renamed?", denied, r.from)
			}
		}
	}
}
