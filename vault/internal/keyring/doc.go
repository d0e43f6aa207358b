// Package keyring is the sole holder of the vault's private keys: the custodians' key-encryption
// key, the signing key, the sealing keys that rotate and die by the clock, and the keys that wrap
// the ledger's own. It gives no key out: it opens parts, signs through [note.Signer] and seals
// records.
//
// A vault's directory holds three of its files, mode 0600:
//
//	vault.key     a public header (name, vkey, k of n, checks of the shares) and the signing key, sealed under the
//	              key-encryption key. It belongs into every backup: it is worthless without k shares.
//	sealing.keys  the private halves of the day and code keys, one fixed slot each, overwritten in place when they die.
//	              It belongs into no backup, ever: its slots are the retention policy. See store.go for its bytes.
//	stored.keys   a random key for each stored account, one slot each, overwritten in place when the account is forgotten, so that
//	              it is gone from every old copy of the ledger too. It belongs into no backup either. See storedfile.go for its bytes.
//
// The key-encryption key is HKDF-Extract of a random scalar that is Shamir-shared k of n (circl
// secretsharing over ristretto255); everything is sealed under keys expanded from it, one label per
// use. A ring starts locked; locking again means ending the process: no memory can be trusted to
// forget.
//
// Keys live by a trusted clock: the wall clock, unless it differs from the monotonic one or the
// last recorded time by over an hour. A jump forward suspends destruction until custodians confirm
// the clock; after a jump backward the trusted clock goes on from where it was, so no key is made
// twice and none lives longer.
package keyring
