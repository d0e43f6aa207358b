package storefront

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"net/http"
	"slices"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
)

// OpenTiles opens a copy of the vault's log, as auditors or the vault's operators publish it, from
// a directory or a web server (package tiles). The copy's keeper is not trusted: errors other than
// [ErrLog] say nothing about the vault, and another copy may do. The relay only names the vault's
// keys; if it is not reached the pinned one may do ([Config].Unreached), or not ([ErrUnreached]).
func (c *Client) OpenTiles(ctx context.Context, source proof.TileSource) (*proof.Tiles, error) {
	signers, alone, err := c.keys(ctx)
	if err != nil {
		return nil, err
	}
	t, err := proof.OpenTiles(ctx, source, signers...)
	return t, lacking("this copy of the log", alone, err)
}

// Later is a proof of a result by a copy's checkpoint.
type Later struct {
	Checkpoint proof.Checkpoint
	Proof      []byte // C2SP tlog-proof of the result's leaf (Opened.Leaf)
}

// Leaf returns the log's record of the result. It needs only FactsLine and Place, which a
// storefront must keep to have a result proved later; the index is Place.Index.
func (o *Opened) Leaf() ([proof.LeafBytes]byte, error) {
	entry, err := hex.DecodeString(o.Place.Entry)
	if err != nil || len(entry) != sha256.Size || len(o.Place.Salt) != proof.SaltBytes || o.Place.Index > math.MaxInt64 {
		return [proof.LeafBytes]byte{}, errors.New("the result's place is malformed: it has a salt of 16 bytes and the hex SHA-256 of its entry")
	}
	return proof.LeafRecord(o.Place.Salt, o.FactsLine, [sha256.Size]byte(entry)), nil
}

// ProveLater proves a kept result, with a proof of its own or not, by the checkpoint of a copy of
// the log, and adds the proof to what was seen. [ErrLog]: the copy's log does not hold the result,
// or is not that of the result's checkpoint or of what was seen. [proof.ErrBehind]: the copy ends
// before the result; [proof.ErrDamaged] and [proof.ErrIncomplete]: it is of no use.
func (c *Client) ProveLater(ctx context.Context, t *proof.Tiles, o Opened) (Later, error) {
	leaf, err := o.Leaf()
	if err != nil {
		return Later{}, err
	}
	signers, alone, err := c.keys(ctx)
	if err != nil {
		return Later{}, err
	}
	if o.Checkpoint.Size > 0 && o.Checkpoint.Size <= t.Checkpoint().Size {
		if err := t.CheckRoot(ctx, o.Checkpoint, o.Proof); err != nil {
			return Later{}, logError(err)
		}
	}
	p, err := t.Prove(ctx, int64(o.Place.Index), leaf)
	if err != nil && !errors.Is(err, proof.ErrDiverged) {
		return Later{}, err
	}
	text, encodeErr := proof.EncodeProof(p)
	if encodeErr != nil {
		return Later{}, encodeErr
	}
	if err != nil {
		return Later{}, logError(&proof.Contradiction{Kind: proof.ErrDiverged, Kept: o.Note, Got: text,
			Why: fmt.Sprintf("entry %d of the log that has %d is not that of result %d", o.Place.Index, t.Checkpoint().Size, o.Result.Serial)})
	}
	err = c.look(func(seen *proof.History) error {
		_, err := seen.AddProof(p, leaf, signers...)
		return logError(lacking("this copy of the log", alone, err))
	})
	return Later{t.Checkpoint(), text}, err
}

// CheckTiles compares all that was seen of the vault's log with a copy of it, entry by entry, and
// keeps the copy's checkpoint. [ErrLog] with [proof.ErrDiverged]: the vault showed us another log
// than the copy's makers. An older copy is no contradiction: the Agreement says how far it reaches.
// [proof.ErrBehind]: all that was seen is newer; nothing was checked, nothing is kept.
func (c *Client) CheckTiles(ctx context.Context, t *proof.Tiles) (proof.Agreement, error) {
	signers, alone, err := c.keys(ctx)
	if err != nil {
		return proof.Agreement{}, err
	}
	seen, err := c.Seen()
	if err != nil {
		return proof.Agreement{}, err
	}
	agreement, err := seen.CheckTiles(ctx, t)
	if err != nil {
		return agreement, c.doubt(logError(err))
	}
	return agreement, c.look(func(seen *proof.History) error {
		_, err := seen.AddCopy(t.Signed(), signers...)
		return logError(lacking("this copy of the log", alone, err))
	})
}

// CompareTiles is [Client.Compare] for all entries: it compares what this client and another reader
// were shown with one copy of the log. If the copy is at least as new as both, and nothing
// contradicts, both were shown one log, to the last entry. If it is older than all of one, nothing
// was checked there: [proof.ErrBehind], unless the other contradicts.
func (c *Client) CompareTiles(ctx context.Context, theirs *proof.History, t *proof.Tiles) (ours, others proof.Agreement, err error) {
	if _, err := c.Compare(ctx, theirs); err != nil {
		return ours, others, err
	}
	ours, oursErr := c.CheckTiles(ctx, t)
	if oursErr != nil && !errors.Is(oursErr, proof.ErrBehind) {
		return ours, others, oursErr
	}
	others, err = theirs.CheckTiles(ctx, t)
	switch {
	case err != nil && !errors.Is(err, proof.ErrBehind):
		return ours, others, logError(err)
	case oursErr != nil:
		return ours, others, fmt.Errorf("what was seen here: %w", oursErr)
	case err != nil:
		return ours, others, fmt.Errorf("what the other reader saw: %w", err)
	}
	return ours, others, nil
}

// logError returns ErrLog for a contradiction, ErrUnverified for an unverified note, else err.
func logError(err error) error {
	_, contradicts := errors.AsType[*proof.Contradiction](err)
	switch {
	case contradicts, errors.Is(err, proof.ErrDiverged):
		return fmt.Errorf("%w: %w", ErrLog, err)
	case errors.Is(err, note.ErrUnverified):
		return fmt.Errorf("%w: %w", ErrUnverified, err)
	}
	return err
}

// noResult: an envelope of this id has no result. It is [fs.ErrNotExist].
type noResult string

func (id noResult) Error() string {
	return fmt.Sprintf("no result of %s: none came yet, or over 30 days ago and into another outbox", string(id))
}

func (noResult) Is(target error) bool { return target == fs.ErrNotExist }

// AllResultsOf reads the results of one envelope that the outbox recorded, and those that the relay
// still has, for 30 days, each once and by serial, and checks them as Results does.
// [fs.ErrNotExist]: there is none. If the relay is not reached ([Config].Unreached) only the
// outbox's: [ErrUnreached] if there is none.
func (c *Client) AllResultsOf(ctx context.Context, box *Outbox, id string) ([]Opened, error) {
	fresh, err := c.ResultsOf(ctx, id)
	refused, wasRefused := errors.AsType[*Refused](err)
	none, away := wasRefused && refused.Status == http.StatusNotFound, c.goesOn(err)
	if err != nil && !none && !away {
		return nil, err
	}
	notes, keptErr := box.resultsOf(id)
	if keptErr != nil {
		return nil, keptErr
	}
	switch {
	case len(notes)+len(fresh) > 0:
	case away:
		return nil, fmt.Errorf("%w: this outbox has no result of %s, and the relay may have one: run this again when it is reached", ErrUnreached, id)
	default:
		return nil, noResult(id)
	}
	signers, alone, err := c.keys(ctx)
	if err != nil {
		return nil, err
	}
	all, err := c.openAll(signers, notes, func(Opened, string) error { return nil })
	if err != nil {
		return nil, lacking("a result in the outbox", alone, err)
	}
	kept := map[uint64]string{}
	for _, o := range all {
		kept[o.Result.Serial] = string(o.Note)
	}
	for _, o := range fresh {
		switch text, known := kept[o.Result.Serial]; {
		case !known:
			all = append(all, o)
		case text != string(o.Note):
			return nil, fmt.Errorf("result %d differs from the one recorded: %w", o.Result.Serial, ErrChain)
		}
	}
	slices.SortFunc(all, func(a, b Opened) int { return cmp.Compare(a.Result.Serial, b.Result.Serial) })
	return all, nil
}
