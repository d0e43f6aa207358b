// Package replay does an exported log's sums again, with an auditor's key and nothing else: Run
// opens the entries of the auditor's time, verifies each against the checkpoint, folds them by the
// very code of the vault ([book.Apply]), holds the result that each issues against its leaf, counts
// every total anew, and compares the end with what the vault has signed elsewhere. What does not
// hold is a Finding, the first by its index. One payment's story, with its proofs, is a Story.
//
// A fold needs what was before it. An auditor's time never begins with the log's first entry, so a
// replay begins from a saved State: the vault's signed word (`vault audit opening`), like the
// opening balances of a first audit, or what an earlier replay with the same key ended with.
//
// Memory does not grow with payments but for a small index of them: those that were not touched
// lately are in a file without a name.
package replay
