// Package replay checks an exported log with an auditor's key and nothing else: Run opens the
// entries of the auditor's time, verifies each against the checkpoint, folds them by the vault's
// own code ([book.Apply]), compares the result that each issues with its leaf, counts every total
// anew, and compares the end with what the vault has signed elsewhere. What does not hold is a
// [Finding], the first by its index. One payment's entries, with their proofs, are a [Story].
//
// A fold needs what was before it. An auditor's time never begins with the log's first entry, so a
// replay begins from a saved [State]: the vault's signed statement (`vault audit opening`), like
// the opening balances of a first audit, or the end of an earlier replay with the same key.
//
// Memory grows with payments only by a small index: those not used lately are in a file without a
// name.
package replay
