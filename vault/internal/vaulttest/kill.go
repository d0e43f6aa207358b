package vaulttest

import "os"

// Kill leaves the ledger as a killed process does, with what was committed and without the mark of
// a proper end, and opens it again. Whoever used the ledger must have ended.
func (v *Vault) Kill() {
	v.TB.Helper()
	v.must(v.Ledger.Close())
	v.must(os.Remove(v.Path() + ".clean"))
	v.open()
}
