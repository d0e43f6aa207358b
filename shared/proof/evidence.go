package proof

import (
	"bytes"
	"encoding/json"

	"nightdrop/shared/note"
)

// Checkpoints returns the checkpoints that data holds, each with the vault's signature checked: data is a checkpoint, as a relay gives it, a
// tlog-proof, or the JSON of a History. It fails with ErrMalformed, note.ErrMalformed or note.ErrUnverified where one is not what it should be.
func Checkpoints(data []byte, vault ...note.Verifier) ([]Checkpoint, error) {
	switch {
	case bytes.HasPrefix(data, []byte("{")):
		history := &History{}
		if err := json.Unmarshal(data, history); err != nil {
			return nil, err
		}
		if err := history.Verify(vault...); err != nil {
			return nil, err
		}
		all := make([]Checkpoint, 0, len(history.heads))
		for _, head := range history.heads {
			c, err := peek(head.Note)
			if err != nil {
				return nil, err
			}
			all = append(all, c)
		}
		return all, nil
	case bytes.HasPrefix(data, []byte(header)):
		p, err := DecodeProof(data)
		if err != nil {
			return nil, err
		}
		data = p.Checkpoint
	}
	c, err := OpenCheckpoint(data, vault...)
	if err != nil {
		return nil, err
	}
	return []Checkpoint{c}, nil
}
