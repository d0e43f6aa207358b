// Package audit keeps the vault's log: a Merkle tree (RFC 6962, golang.org/x/mod/sumdb/tlog) over sealed entries, written
// inside the ledger's transaction, exported as C2SP tlog-tiles, verified from the exported files alone (Verify), and read and opened from
// them with an auditor's key (OpenExport).
//
// A leaf's record is 64 bytes: the SHA-256 of its salt and of the facts line of the result that the event issued (of the salt
// alone where it issued none), then the SHA-256 of the sealed entry. The sealed entry is the number of its log key
// (4 bytes, big endian) and nonce, ciphertext and tag of XAES-256-GCM over {"salt", "event"}, with the log's origin, the
// index and the key's number as associated data.
//
// In the database each leaf is one row of two buckets, keyed by its index (8 bytes, big endian): "log" holds the sealed
// entry, "tree" the first half of the record and the hashes that the leaf completes, lowest level first. Bodies can
// therefore be dropped one day without touching the tree.
package audit
