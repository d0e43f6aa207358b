// Package ledger keeps the vault's state and its log in one bbolt file. Every change is a
// book.Event: it is folded into the state (book.Apply), sealed into the log (merkle.Append) and,
// where it issues a result, that becomes pending, all in one transaction that many callers share
// (Commit).
//
// Records are sealed with their bucket and key as associated data: a merchant's payments, parts and
// results under the merchant's own key, the rest under the vault's. The sealed head holds, next to
// the log's size and root, a count and a keyed multiset hash of each bucket and index, so that a
// record that is missing, too many, or an older version of itself shows: when the ledger is opened,
// where money depends on it (proveFirst), and soon after for the rest (proveLater). Indexes have
// empty values; they are computed from the records and Check compares them. Files beside the ledger
// mark that it was closed properly and how far its log had come; the latter shows an older copy put
// in its place.
//
//	meta       format, head (size, root, time, sums, log key)
//	keys       purpose -> wrapped key                      "vault", "merchant/ID", "log/N"
//	vault      payment.Vault; the hint where to go on reading bags
//	merchants  id -> payment.Merchant
//	batches    number -> payment.Batch
//	runs       relay/run -> payment.Run
//	bags       relay/run/number -> payment.Bag
//	ids        merchant/id -> number of the payment
//	payments   number, merchant -> payment.Payment
//	tokens     merchant/token -> payment.Token
//	stored     merchant/token -> the slot of the account's key (package keyring) and the account, sealed under that key
//	blocks     merchant/fingerprint -> payment.Block
//	files      name -> payment.File
//	entries    trace number -> payment.Entry
//	auditors   name -> payment.Auditor
//	findings   number -> payment.Found
//	wraps      log key's number, auditor -> the log key, wrapped for that auditor
//	parts      number, merchant/part -> the part as it came, still sealed to the vault
//	results    merchant/serial -> facts and place, and the note once it is sealed
//	chains     merchant -> the end of its chain of results
//	log, tree  package merkle
//	by-…       indexes: payments by merchant, working stage, batch and the payment that they are about; results pending and unsent
package ledger
