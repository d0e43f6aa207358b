package ledger

import (
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/vault/internal/audit"
)

// Hashes reads the log's stored hashes (golang.org/x/mod/sumdb/tlog), for who makes many proofs in one transaction; Proof makes one.
func (tx *Tx) Hashes() tlog.HashReader { return audit.Hashes(tx.bolt) }
