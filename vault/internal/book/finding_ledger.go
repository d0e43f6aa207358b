package book

// FindingMarkMended tells that the high-water mark beside the ledger could not be read, and on whose word the ledger is the newest: then it
// was written anew.
const FindingMarkMended Finding = "high-water-mended"

// FindingLedgerRebuilt tells that the ledger was made anew from its own log: its format had changed, or an operator asked for it.
const FindingLedgerRebuilt Finding = "ledger-rebuilt"
