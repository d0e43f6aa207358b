package audit

import (
	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/proof"
)

// Follow adds the record of the next leaf to a tail that grows without a database, as where a journal is read.
func (t *Tail) Follow(record [proof.LeafBytes]byte) { t.add(tlog.RecordHash(record[:])) }
