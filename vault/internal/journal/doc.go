// Package journal keeps the vault's sealed log in a second place, and says when it is durable
// there: the JOURNAL stream of the channel, or a directory on another disk where there is no
// channel. Money moves only after that (settle.Journal): so whoever restores the vault from a
// backup and the journal knows of every request that may have left, and charges nobody twice.
//
// What the ledger committed goes out in messages, in order, each with all entries that waited when
// it was made. A message is signed and says which entries of which generation it holds and what
// root the log has with them; its entries are as the ledger has them, sealed, beside the log keys
// that open them, wrapped under the key-encryption key. So who owns the second place can lose or
// delay messages, and no more: nobody can read or make one, or put one into another log or another
// place of this one.
//
// The ledger is the truth of what is in the log; the journal is a copy that is sent again from
// wherever the second place ends. It is the truth of how far the log had come: a ledger that ends
// before its journal is an older copy, or has lost its end.
package journal
