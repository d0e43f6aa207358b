package storefront

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"nightdrop/shared/durable"
	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
)

// ErrLog is returned when the vault's statements on its log contradict: a result that its proof
// does not prove, or a log that was rewound, rewritten, or shown differently to others. It wraps
// [proof.ErrDiverged] or [proof.ErrRewound] if two signed statements contradict each other;
// [*proof.Contradiction] then holds both.
var ErrLog = errors.New("the vault's log contradicts what the vault said of it: keep the results and checkpoints as evidence, and inform the auditors")

// Errors of what was kept of the vault's log here.
var (
	// ErrKept is returned when it was changed. It says nothing of the vault.
	ErrKept = errors.New("your log.json is damaged: restore it from a backup; without it what was seen of the log before is forgotten")
	// ErrFormerKey is returned when it contradicts what is shown now, but cannot be verified.
	// [*proof.Contradiction] holds both.
	ErrFormerKey = errors.New("what was kept of the vault's log is not what is shown now, and is signed by a key that the vault's directory no longer lists: " +
		"your log.json is damaged, or the log was rewritten; keep both, and ask the auditors, who know the vault's former keys")
)

// LogStore keeps what was seen of the vault's log, for one client at a time.
type LogStore interface {
	// Load returns what Save kept last, or an empty History.
	Load() (*proof.History, error)
	// Save returns when the history is durable. It must not change it.
	Save(*proof.History) error
}

// FileLog is a [LogStore] in one file, replaced whole at each Save.
type FileLog string

// Load reads the file, or returns an empty History if there is none.
func (f FileLog) Load() (*proof.History, error) {
	history, err := f.LoadExisting()
	if errors.Is(err, fs.ErrNotExist) {
		return &proof.History{}, nil
	}
	return history, err
}

// LoadExisting reads the file, which must be there (fs.ErrNotExist).
func (f FileLog) LoadExisting() (*proof.History, error) {
	data, err := os.ReadFile(string(f))
	if err != nil {
		return nil, err
	}
	history := &proof.History{}
	if err := json.Unmarshal(data, history); err != nil {
		return nil, fmt.Errorf("%s: %w (restore it from a backup; without it what was seen of the log before is forgotten)", string(f), err)
	}
	return history, nil
}

// Save replaces the file durably.
func (f FileLog) Save(history *proof.History) error {
	data, err := json.Marshal(history)
	if err != nil {
		return err
	}
	return durable.Replace(string(f), append(data, '\n'))
}

// memoryLog remembers while the client is in use.
type memoryLog struct{}

func (memoryLog) Load() (*proof.History, error) { return &proof.History{}, nil }
func (memoryLog) Save(*proof.History) error     { return nil }

// look lets fn add to a copy of what was seen, and keeps it unless fn fails.
func (c *Client) look(fn func(*proof.History) error) error {
	c.looking.Lock()
	defer c.looking.Unlock()
	if c.seen == nil {
		seen, err := c.log.Load()
		if err != nil {
			return err
		}
		c.seen, c.seenBy = seen, nil
	}
	if err := c.checkKept(); err != nil {
		c.seen = nil // so that one that is restored is read
		return err
	}
	next := c.seen.Clone()
	if err := fn(next); err != nil {
		return c.doubt(err)
	}
	if !next.Changed() {
		return nil
	}
	if err := c.log.Save(next); err != nil {
		return fmt.Errorf("keep what was seen of the log: %w", err)
	}
	c.seen = next
	return nil
}

// checkKept verifies what was loaded, again when keys change: damage here must accuse nobody.
func (c *Client) checkKept() error {
	keys := c.known()
	if slices.Equal(keys, c.seenBy) {
		return nil
	}
	if _, err := c.seen.VerifyKept(c.vault.Name(), keys...); err != nil {
		where := ""
		if file, ok := c.log.(FileLog); ok {
			where = string(file) + ": "
		}
		return fmt.Errorf("%s%w (%w)", where, ErrKept, err)
	}
	c.seenBy = keys
	return nil
}

// doubt returns ErrFormerKey for a contradiction whose kept signature cannot be checked any more:
// it may have been damaged since.
func (c *Client) doubt(err error) error {
	wrong, contradicts := errors.AsType[*proof.Contradiction](err)
	if !contradicts {
		return err
	}
	if _, keptErr := proof.Checkpoints(wrong.Kept, c.known()...); !errors.Is(keptErr, note.ErrUnknownKey) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFormerKey, wrong)
}

// Seen returns a copy of what the client was shown of the vault's log, for [proof.Compare].
func (c *Client) Seen() (seen *proof.History, err error) {
	err = c.look(func(h *proof.History) error { seen = h; return nil })
	return seen, err
}

// checkProof checks that the log holds the result, and is the log that was seen before.
func (o *Opened) checkProof(seen *proof.History, vault []note.Verifier) error {
	if o.Proof == nil {
		return nil
	}
	p, err := proof.DecodeProof(o.Proof)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrLog, err)
	}
	record, err := o.Leaf()
	if err != nil { // DecodeResult has checked it
		return fmt.Errorf("%w: %w", ErrLog, err)
	}
	if uint64(p.Index) != o.Place.Index {
		return fmt.Errorf("%w: the proof is of another leaf", ErrLog)
	}
	if o.Checkpoint, err = seen.AddProof(p, record, vault...); err != nil {
		return fmt.Errorf("%w: %w", ErrLog, err)
	}
	return nil
}

// A relay behind a balancer may be a moment behind the one that answered before.
const (
	checkpointTries = 3
	checkpointPause = time.Second
)

const maxCheckpointBytes = 64 << 10

// Checkpoint fetches the log's newest checkpoint, checks it, and compares it with what was seen.
// [ErrLog]: it contradicts that; with [proof.ErrRewound] the log is shorter than before, by the
// vault or by a relay that is cut off from it or withholds what is newer; with [proof.ErrDiverged]
// it is another log. [*Refused] of 404: none is there yet.
func (c *Client) Checkpoint(ctx context.Context) (proof.Checkpoint, error) {
	for try := 1; ; try++ {
		checkpoint, err := c.checkpointOnce(ctx)
		if !errors.Is(err, proof.ErrRewound) || try == checkpointTries {
			return checkpoint, err
		}
		select {
		case <-ctx.Done():
			return proof.Checkpoint{}, err
		case <-time.After(c.pause):
		}
	}
}

func (c *Client) checkpointOnce(ctx context.Context) (checkpoint proof.Checkpoint, err error) {
	directory, err := c.Directory(ctx)
	if err != nil {
		return checkpoint, err
	}
	msg, err := c.get(ctx, "/v1/log/checkpoint", maxCheckpointBytes, false)
	if err != nil {
		return checkpoint, fmt.Errorf("fetch checkpoint: %w", err)
	}
	err = c.look(func(seen *proof.History) (err error) {
		checkpoint, err = seen.AddCheckpoint(msg, directory.Value.Signers...)
		_, contradicts := errors.AsType[*proof.Contradiction](err)
		switch {
		case contradicts:
			return fmt.Errorf("%w: %w", ErrLog, err)
		case err != nil:
			return fmt.Errorf("checkpoint: %w: %w", ErrUnverified, err)
		}
		return nil
	})
	return checkpoint, err
}

// Compare compares what this client was shown of the log with what another reader was, whose
// history it verifies first: the file of a [FileLog], or the like. [ErrLog] with
// [proof.ErrDiverged]: the vault shows two logs.
func (c *Client) Compare(ctx context.Context, theirs *proof.History) (proof.Comparison, error) {
	signers, alone, err := c.keys(ctx)
	if err != nil {
		return proof.Comparison{}, err
	}
	if err := theirs.Verify(signers...); err != nil {
		return proof.Comparison{}, lacking("the other reader's history", alone, fmt.Errorf("the other reader's history: %w: %w", ErrUnverified, err))
	}
	ours, err := c.Seen()
	if err != nil {
		return proof.Comparison{}, err
	}
	comparison, err := proof.Compare(ours, theirs)
	_, contradicts := errors.AsType[*proof.Contradiction](err)
	switch {
	case contradicts:
		return comparison, c.doubt(fmt.Errorf("%w: %w", ErrLog, err))
	case err != nil:
		return comparison, fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	return comparison, nil
}

// Position fetches the vault's newest statement of committed bags, and checks it as other notes.
// [*Refused] of 404: none is there yet.
func (c *Client) Position(ctx context.Context) (envelope.Position, error) {
	if _, err := c.Directory(ctx); err != nil { // whose word counts
		return envelope.Position{}, err
	}
	body, err := c.get(ctx, "/v1/position", note.MaxBytes, false)
	if err != nil {
		return envelope.Position{}, fmt.Errorf("fetch position: %w", err)
	}
	signed, err := c.pin.Position(body, c.now())
	if err != nil {
		return envelope.Position{}, fmt.Errorf("position: %w: %w", ErrUnverified, err)
	}
	return signed.Value, nil
}
