package proof

import (
	"bytes"
	"encoding/json"
	"fmt"

	"nightdrop/shared/note"
)

// Checkpoints returns the checkpoints in data ([HistoryOf]) with verified signatures, or fails with
// [ErrMalformed] or [note.ErrUnverified].
func Checkpoints(data []byte, vault ...note.Verifier) ([]Checkpoint, error) {
	history, err := HistoryOf(data)
	if err != nil {
		return nil, err
	}
	if err := history.Verify(vault...); err != nil {
		return nil, err
	}
	var all []Checkpoint
	for _, head := range history.shown() {
		c, err := peek(head.Note)
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

// HistoryOf reads what anybody was shown of the log: a checkpoint, a tlog-proof (its checkpoint
// counts), or the JSON of a History. It checks forms ([ErrMalformed]), not signatures.
func HistoryOf(data []byte) (*History, error) {
	switch {
	case bytes.HasPrefix(data, []byte("{")):
		history := &History{}
		if err := json.Unmarshal(data, history); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		if len(history.shown()) == 0 {
			return nil, fmt.Errorf("%w: it shows nothing of the log (of an exported log, give the checkpoint, not log.json)", ErrMalformed)
		}
		return history, nil
	case bytes.HasPrefix(data, []byte(header)):
		p, err := DecodeProof(data)
		if err != nil {
			return nil, err
		}
		data = p.Checkpoint
	}
	c, err := peek(data)
	if err != nil {
		return nil, err
	}
	return &History{heads: []Head{{c.Size, c.Root, data}}}, nil
}
