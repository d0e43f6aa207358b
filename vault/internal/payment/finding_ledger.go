package payment

// FindingLedgerRebuilt tells that the ledger was made anew from its own log: its format had changed, or an operator asked for it.
const FindingLedgerRebuilt Finding = "ledger-rebuilt"
