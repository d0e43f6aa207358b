package proof

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
)

// Agreement is the outcome of comparing a [History] with a copy of the log.
type Agreement struct {
	Entries int64 // that the copy has
	Shown   int64 // size of the largest checkpoint of the history, 0 for none
	// first entries proved equal in both: all that were shown, unless the copy is older
	Common  int64
	Checked int // checkpoints that the copy leads to
	// checkpoints larger than the copy: only what the last proof shows was checked, up to Common
	Beyond int
}

// shownRoot is a root of the log's first entries that a kept statement of the vault commits to.
type shownRoot struct {
	size int64
	root tlog.Hash
	word func() []byte
}

// rootsAtOnce bounds what one pass over the tiles holds: two or three tiles each.
const rootsAtOnce = 128

// CheckTiles compares all that was shown with a copy of the log: every checkpoint no larger than
// the copy must be of its log, entry by entry, and so must what the last proof shows of the log's
// beginning. [*Contradiction] with [ErrDiverged]: one is not; Got is then a [Prefix]. [ErrBehind]:
// all that was shown is newer than the copy. If nothing was shown, nothing is wrong. It adds
// nothing. If the copy's source cannot be read, its error says so and nothing is known.
func (h *History) CheckTiles(ctx context.Context, t *Tiles) (Agreement, error) {
	a := Agreement{Entries: t.checkpoint.Size}
	var shown []shownRoot
	for _, head := range h.shown() {
		a.Shown = max(a.Shown, head.Size)
		if err := sameLog(head.Note, t.signed); err != nil {
			return a, err
		}
		if head.Size > a.Entries {
			a.Beyond++
			continue
		}
		a.Checked++
		shown = append(shown, shownRoot{head.Size, head.Root, func() []byte { return head.Note }})
	}
	if h.last != nil && h.last.size > a.Entries {
		for name := range h.last.subtrees {
			if root, known := h.last.subtrees.Root(name.end()); known && name.end() <= a.Entries {
				shown = append(shown, shownRoot{name.end(), root, h.last.text})
			}
		}
	}
	slices.SortStableFunc(shown, func(x, y shownRoot) int { return int(max(min(x.size-y.size, 1), -1)) })
	for part := range slices.Chunk(shown, rootsAtOnce) {
		if err := t.hold(ctx, part); err != nil {
			return a, err
		}
		a.Common = part[len(part)-1].size
	}
	if a.Shown > 0 && a.Common == 0 {
		return a, fmt.Errorf("%w: it ends after %d entries, and all %d checkpoints seen are newer, of up to %d: nothing was checked", ErrBehind, a.Entries, a.Beyond, a.Shown)
	}
	return a, nil
}

func (t *Tiles) hold(ctx context.Context, shown []shownRoot) error {
	sizes := make([]int64, len(shown))
	for i, s := range shown {
		sizes[i] = s.size
	}
	roots, err := t.roots(ctx, sizes)
	if err != nil {
		return err
	}
	for _, s := range shown {
		if roots[s.size] != s.root {
			return t.contradict(ctx, s)
		}
	}
	return nil
}

func (t *Tiles) contradict(ctx context.Context, s shownRoot) error {
	p, err := t.Prefix(ctx, s.size)
	if err != nil {
		return err
	}
	got, err := EncodePrefix(p)
	if err != nil {
		return err
	}
	return &Contradiction{ErrDiverged, fmt.Sprintf("the first %d entries are not those of the log that has %d", s.size, t.checkpoint.Size), s.word(), got}
}

// CheckRoot compares a signed checkpoint, no larger than the copy ([ErrBehind]), with it. Errors as
// [History.CheckTiles].
func (t *Tiles) CheckRoot(ctx context.Context, c Checkpoint, msg []byte) error {
	return t.hold(ctx, []shownRoot{{c.Size, c.Root, func() []byte { return msg }}})
}

// AddCopy adds a copy's checkpoint after checking the vault's signature. It may be smaller than
// those shown before. Errors as [History.AddCheckpoint].
func (h *History) AddCopy(msg []byte, vault ...note.Verifier) (Checkpoint, error) {
	c, err := OpenCheckpoint(msg, vault...)
	if err != nil {
		return Checkpoint{}, err
	}
	if err := h.fits(c, msg); err != nil {
		return Checkpoint{}, err
	}
	h.insert(Head{c.Size, c.Root, msg})
	return c, nil
}

// String describes for people what was proved and what was not.
func (a Agreement) String() string {
	var b strings.Builder
	switch {
	case a.Shown == 0:
		fmt.Fprintf(&b, "nothing was seen of the log before; this copy has %d entries", a.Entries)
	case a.Beyond == 0:
		fmt.Fprintf(&b, "no contradiction: all %d checkpoints seen, of up to %d entries, are of the log in this copy, which has %d", a.Checked, a.Shown, a.Entries)
	default:
		fmt.Fprintf(&b, "no contradiction: the first %d entries are proved to be the same; of %d checkpoints seen %d are of the log in this copy, and %d are newer than this copy "+
			"and were not checked: this copy ends after %d entries, and the log was shown to have %d: take a newer copy", a.Common, a.Checked+a.Beyond, a.Checked, a.Beyond, a.Entries, a.Shown)
	}
	return b.String()
}
