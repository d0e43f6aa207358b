package tidy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// shop is a program of another module that uses the SDK as the README says.
const shop = `package main

import (
	"fmt"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/storefront"
)

func main() {
	identity, err := storefront.NewIdentity("acme-shoes")
	if err != nil {
		panic(err)
	}
	vault, err := note.ParseVerifier("vault.example+12179b4f+Abm9tM3YZe+bd8F4MD8ARFv1YLsm0PFcN70z74a2ZJAm")
	if err != nil {
		panic(err)
	}
	client, err := storefront.New(storefront.Config{Relay: "https://relay.example", Vault: vault, Identity: identity})
	if err != nil {
		panic(err)
	}
	fmt.Println(client.Merchant(), envelope.FormatAmount(1999, "EUR"))
}
`

// TestAnOutsideModuleImportsTheSDK: the module's path is no address, so who imports it says where
// it is. It is built without a network.
func TestAnOutsideModuleImportsTheSDK(t *testing.T) {
	own := read(t, "go.mod")
	_, requirements, _ := strings.Cut(own, "\nrequire (")
	dir := t.TempDir()
	line := "replace nightdrop => " + root(t)
	if !strings.Contains(read(t, "README.md"), "replace nightdrop => ") {
		t.Error("the README does not show the replace line")
	}
	module := "module example.com/shop\n\ngo " + goVersion(own) + "\n\nrequire nightdrop v0.0.0\n\n" + line + "\n\nrequire (" + requirements
	for name, text := range map[string]string{"go.mod": module, "main.go": shop, "go.sum": read(t, "go.sum")} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "run", ".")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "acme-shoes 19.99 EUR\n" {
		t.Errorf("%v: %s", err, out)
	}
}

// goVersion returns the version of a module file's go line.
func goVersion(module string) string {
	for _, line := range strings.Split(module, "\n") {
		if version, ok := strings.CutPrefix(line, "go "); ok {
			return version
		}
	}
	return ""
}
