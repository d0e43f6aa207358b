package publisher

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/ledger"
)

// prover makes the proofs of one round within one transaction, by one checkpoint. It reads each
// hash once: leaves that were written together share most of theirs.
type prover struct {
	size       int64
	checkpoint []byte
	stored     tlog.HashReader
	read       map[int64]tlog.Hash // by stored index
}

func newProver(tx *ledger.Tx, signer *note.Signer) (*prover, error) {
	size, err := tx.TreeSize()
	if err != nil {
		return nil, err
	}
	checkpoint, err := tx.Checkpoint(signer)
	if err != nil {
		return nil, fmt.Errorf("sign a checkpoint: %w", err)
	}
	return &prover{size, checkpoint, tx.Hashes(), map[int64]tlog.Hash{}}, nil
}

// ReadHashes implements [tlog.HashReader].
func (p *prover) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	var missing []int64
	for _, index := range indexes {
		if _, ok := p.read[index]; !ok {
			missing = append(missing, index)
		}
	}
	if len(missing) > 0 {
		hashes, err := p.stored.ReadHashes(missing)
		if err != nil {
			return nil, err
		}
		for i, index := range missing {
			p.read[index] = hashes[i]
		}
	}
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = p.read[index]
	}
	return hashes, nil
}

// prove returns the tlog-proof of the leaf at index.
func (p *prover) prove(index uint64) ([]byte, error) {
	hashes, err := tlog.ProveRecord(p.size, int64(index), p)
	if err != nil {
		return nil, fmt.Errorf("prove leaf %d of %d: %w", index, p.size, err)
	}
	return proof.EncodeProof(proof.Proof{Index: int64(index), Hashes: hashes, Checkpoint: p.checkpoint})
}
