// Package journal copies the vault's sealed log to a second place and reports when it is durable
// there: the JOURNAL stream of the channel, or a directory on another disk. Money moves only after
// that (settle.Journal): so a vault restored from a backup and the journal knows of every request
// that may have been sent, and charges nobody twice.
//
// Committed entries go out in messages, in order, each with all entries that waited when it was
// made. A message is signed and names its entries, their generation and the log's root with them;
// its entries are the ledger's, sealed, with the log keys that open them, wrapped under the
// key-encryption key. So the owner of the second place can only lose or delay messages, not read,
// make or move them.
//
// The ledger decides what is in the log; the journal is a copy, sent again from wherever the second
// place ends. The journal decides how far the log had come: a ledger that ends before it is an
// older copy, or has lost its end.
package journal
