package vaulttest

import "os"

// Kill leaves the ledger as a killed process does, without the mark of a proper end, and opens it
// again. Its users must have ended.
func (v *Vault) Kill() {
	v.TB.Helper()
	v.must(v.Ledger.Close())
	v.must(os.Remove(v.Path() + ".clean"))
	v.open()
}
