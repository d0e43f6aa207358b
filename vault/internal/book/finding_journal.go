package book

// The findings of the places in which the log is kept a second time.
const (
	FindingJournalDoubted  Finding = "journal-doubted"  // a place holds less than was journalled there: nothing is sent before custodians speak
	FindingLedgerConfirmed Finding = "ledger-confirmed" // custodians said that the ledger is the newest all the same
	FindingJournalLost     Finding = "journal-lost"     // a place lost entries of the log; they are sent again
)
