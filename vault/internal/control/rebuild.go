package control

// UnlockOptions are what an unlock is asked for beyond opening the vault.
type UnlockOptions struct {
	ConfirmClock bool // the custodians vouch for the vault's clock
	// ConfirmLedger is the custodians' word that the ledger is the newest, where its high-water
	// mark cannot be read and no journal says it.
	ConfirmLedger bool
	Rebuild       bool // the ledger is rebuilt from its log first, though it has the current format
}

// Rebuilding is how far a ledger's rebuilding has come, in entries of its log; Total is 0 while the
// file before is read.
type Rebuilding struct {
	Done  int64 `json:"done"`
	Total int64 `json:"total"`
}

// Rebuilt reports that the ledger was rebuilt from its log at this unlock.
type Rebuilt struct {
	Format  string `json:"format"`  // of the file before
	Entries int64  `json:"entries"` // of its log
	Kept    string `json:"kept"`    // where that file is now, on the vault's host
}
