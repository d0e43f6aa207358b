package book

// Exceeded names the limit that a payment with the code limit exceeded, for operators; its
// merchant's result has the code alone.
type Exceeded string

// The limits.
const (
	ExceededPayment Exceeded = "payment" // of the policy: of one sale, authorisation or payout
	// of the policy: of a UTC day's sales and authorisations
	ExceededDay     Exceeded = "day"
	ExceededPayouts Exceeded = "payouts"        // of the policy: of a UTC day's payouts
	ExceededRefunds Exceeded = "refund-percent" // of the policy: of two months' refunds
	ExceededStores  Exceeded = "stores-per-day" // of the policy: of a UTC day's stored accounts
	ExceededKeys    Exceeded = "stored-keys"    // of the vault: keys of stored accounts
	ExceededBatches Exceeded = "batch-numbers"  // of the vault: 999,999 batches
	// of refunds that name an account ([MaxMismatches], [MaxMismatchesPerDay])
	ExceededComparisons Exceeded = "comparisons"
)

// Means describes what was exceeded and what ends it.
func (e Exceeded) Means() string {
	switch e {
	case ExceededPayment:
		return "the merchant's limit of one payment (vault merchant policy --limit)"
	case ExceededDay:
		return "the merchant's limit of a day's sales, until the UTC day ends (vault merchant policy --limit)"
	case ExceededPayouts:
		return "the merchant's limit of a day's payouts, until the UTC day ends (vault merchant policy --payouts)"
	case ExceededRefunds:
		return "the merchant's share of refunds in its sales, this month and the last (vault merchant policy --refund-percent)"
	case ExceededStores:
		return "the merchant's accounts stored in a day, until the UTC day ends (vault merchant policy --stores-per-day)"
	case ExceededKeys:
		return "the vault's keys of stored accounts: forget accounts that nobody uses"
	case ExceededBatches:
		return "the vault's batch numbers, which are used up"
	case ExceededComparisons:
		return "refunds of the payment, or of the merchant's UTC day, that named another account: let the refund leave the account out"
	}
	return ""
}
