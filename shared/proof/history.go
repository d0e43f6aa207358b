package proof

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
)

// ErrRewound is returned when the log is now shorter than it was shown before.
var ErrRewound = errors.New("the log is shorter than it was")

// MaxHeads bounds a History's checkpoints, the largest, some hundred kilobytes.
const MaxHeads = 500

// Head is a checkpoint that a reader was shown.
type Head struct {
	Size int64
	Root tlog.Hash
	Note []byte // as the vault signed it
}

// History is what one reader was shown of one log: checkpoints by size, and the proof by the
// largest. Whatever is added is compared with it, so a vault that shows two logs, or rewrites one,
// must keep both stories consistent for every reader, and between any two who [Compare].
//
// Every proof of a leaf shows the log's root at some smaller sizes and the hashes of many complete
// subtrees ([Proof.Subtrees]). Where these meet what was shown before they must be equal. So a
// later log is known to begin with an earlier one if the earlier size is among these, and otherwise
// up to the end of the last common subtree; entries from there to the earlier end are not compared.
// A copy of the log's tiles closes the gap ([History.CheckTiles]).
//
// A History is not safe for concurrent use. Its JSON holds notes, proofs and hashes, nothing
// secret.
type History struct {
	heads   []Head // by size, one a size
	offered int64  // size of the largest that came as the log's newest
	last    *proved
	changed bool
}

type proved struct {
	record   [LeafBytes]byte
	proof    Proof
	size     int64
	subtrees Subtrees
}

func newProved(p Proof, size int64, record [LeafBytes]byte) (*proved, error) {
	subtrees, err := p.Subtrees(size, record)
	return &proved{record, p, size, subtrees}, err
}

// text returns the tlog-proof; it was read from one.
func (p *proved) text() []byte {
	text, err := EncodeProof(p.proof)
	if err != nil {
		return nil
	}
	return text
}

// Contradiction is two statements of a vault that cannot both be true. Keep both as evidence.
type Contradiction struct {
	Kind error  // ErrDiverged or ErrRewound
	Why  string // which entries or sizes
	Kept []byte // what was shown before: a signed checkpoint or a tlog-proof
	Got  []byte // what was shown now
}

// Error returns what does not fit.
func (c *Contradiction) Error() string { return c.Kind.Error() + ": " + c.Why }

// Unwrap returns the kind.
func (c *Contradiction) Unwrap() error { return c.Kind }

// Newest returns the largest checkpoint that was shown.
func (h *History) Newest() (Head, bool) {
	if len(h.heads) == 0 {
		return Head{}, false
	}
	return h.heads[len(h.heads)-1], true
}

// Heads returns the checkpoints that are kept, by size. The caller must not change them.
func (h *History) Heads() []Head { return h.heads }

// shown returns the kept checkpoints, and the last proof's if it is not among them: it may be too
// old, or the history is from elsewhere.
func (h *History) shown() []Head {
	if h.last == nil {
		return h.heads
	}
	c, err := peek(h.last.proof.Checkpoint)
	if err != nil { // it was read from one
		return h.heads
	}
	if n, ok := h.find(c.Size); ok && h.heads[n].Root == c.Root {
		return h.heads
	}
	return append(slices.Clip(h.heads), Head{c.Size, c.Root, h.last.proof.Checkpoint})
}

// Changed reports whether something was added since the History was made, read or cloned.
func (h *History) Changed() bool { return h.changed }

// Clone returns a copy to add to.
func (h *History) Clone() *History {
	return &History{heads: slices.Clone(h.heads), offered: h.offered, last: h.last}
}

// AddCheckpoint adds a checkpoint given as the newest, after checking its signature. If it
// contradicts what was shown before, it returns [*Contradiction] and adds nothing.
func (h *History) AddCheckpoint(msg []byte, vault ...note.Verifier) (Checkpoint, error) {
	c, err := OpenCheckpoint(msg, vault...)
	if err != nil {
		return Checkpoint{}, err
	}
	if c.Size < h.offered {
		return Checkpoint{}, &Contradiction{ErrRewound, fmt.Sprintf("%d entries, after %d", c.Size, h.offered), h.noteOf(h.offered), msg}
	}
	if err := h.fits(c, msg); err != nil {
		return Checkpoint{}, err
	}
	h.insert(Head{c.Size, c.Root, msg})
	if c.Size > h.offered {
		h.offered, h.changed = c.Size, true
	}
	return c, nil
}

// AddProof adds the proof of a leaf after checking it by its signed checkpoint. Errors as
// [History.AddCheckpoint].
func (h *History) AddProof(p Proof, record [LeafBytes]byte, vault ...note.Verifier) (Checkpoint, error) {
	c, err := p.Verify(record, vault...)
	if err != nil {
		return Checkpoint{}, err
	}
	next, err := newProved(p, c.Size, record)
	if err != nil {
		return Checkpoint{}, err
	}
	if err := h.fits(c, p.Checkpoint); err != nil {
		return Checkpoint{}, err
	}
	if _, err := next.against(h.heads); err != nil {
		return Checkpoint{}, err
	}
	if h.last != nil {
		if _, clash := next.subtrees.agree(h.last.subtrees); clash != "" {
			return Checkpoint{}, &Contradiction{ErrDiverged, clash, h.last.text(), next.text()}
		}
	}
	h.insert(Head{c.Size, c.Root, p.Checkpoint})
	if h.last == nil || c.Size >= h.last.size {
		h.last, h.changed = next, true
	}
	return c, nil
}

// fits compares a checkpoint with those of its size and with the last proof.
func (h *History) fits(c Checkpoint, msg []byte) error {
	if n, ok := h.find(c.Size); ok && h.heads[n].Root != c.Root {
		return &Contradiction{ErrDiverged, fmt.Sprintf("two roots of %d entries", c.Size), h.heads[n].Note, msg}
	}
	if len(h.heads) > 0 {
		if err := sameLog(h.heads[0].Note, msg); err != nil {
			return err
		}
	}
	if h.last == nil {
		return nil
	}
	_, err := h.last.against([]Head{{c.Size, c.Root, msg}})
	return err
}

// sameLog checks that two checkpoints have one origin.
func sameLog(a, b []byte) error {
	first, _, _ := bytes.Cut(a, []byte{'\n'})
	second, _, _ := bytes.Cut(b, []byte{'\n'})
	if !bytes.Equal(first, second) {
		return fmt.Errorf("%w: the checkpoint is of another log", note.ErrUnverified)
	}
	return nil
}

// against compares a proof's roots with checkpoints, and returns the size of the largest that the
// proof's log begins with.
func (p *proved) against(heads []Head) (common int64, err error) {
	bySize := make(map[int64]Head, len(heads))
	for _, head := range heads {
		bySize[head.Size] = head
	}
	for name := range p.subtrees {
		head, shown := bySize[name.end()]
		if !shown {
			continue
		}
		root, known := p.subtrees.Root(head.Size)
		if known && root != head.Root {
			return 0, &Contradiction{ErrDiverged, fmt.Sprintf("the first %d entries are not those of the log that has %d", head.Size, p.size), head.Note, p.text()}
		}
		if known {
			common = max(common, head.Size)
		}
	}
	return common, nil
}

func (h *History) find(size int64) (int, bool) {
	return slices.BinarySearchFunc(h.heads, size, func(head Head, size int64) int { return int(max(min(head.Size-size, 1), -1)) })
}

func (h *History) noteOf(size int64) []byte {
	if n, ok := h.find(size); ok {
		return h.heads[n].Note
	}
	return nil
}

func (h *History) insert(head Head) {
	n, ok := h.find(head.Size)
	if ok || n == 0 && len(h.heads) == MaxHeads {
		return
	}
	h.heads = slices.Insert(h.heads, n, head)
	if len(h.heads) > MaxHeads {
		h.heads = slices.Delete(h.heads, 0, 1)
	}
	h.changed = true
}

// Comparison is what two histories show about each other.
type Comparison struct {
	Ours, Theirs int64 // sizes of the largest checkpoints
	Common       int64 // first entries proved equal in both; later ones are not compared
	Equal        int   // checkpoints of one size and root that both have
}

// Compare compares two readers' histories of one log. [*Contradiction]: the vault showed them
// different logs, a split view: Kept is a's, Got is b's. First verify a history from elsewhere
// ([History.Verify]).
func Compare(a, b *History) (Comparison, error) {
	var c Comparison
	ours, haveOurs := a.Newest()
	theirs, haveTheirs := b.Newest()
	c.Ours, c.Theirs = ours.Size, theirs.Size
	if !haveOurs || !haveTheirs {
		return c, nil
	}
	if err := sameLog(ours.Note, theirs.Note); err != nil {
		return c, err
	}
	for _, head := range b.heads {
		n, both := a.find(head.Size)
		if !both {
			continue
		}
		if a.heads[n].Root != head.Root {
			return c, &Contradiction{ErrDiverged, fmt.Sprintf("two roots of %d entries", head.Size), a.heads[n].Note, head.Note}
		}
		c.Equal, c.Common = c.Equal+1, max(c.Common, head.Size)
	}
	return c, c.proofs(a, b)
}

func (c *Comparison) proofs(a, b *History) error {
	if a.last != nil {
		common, err := a.last.against(b.heads)
		if wrong, ok := errors.AsType[*Contradiction](err); ok {
			wrong.Kept, wrong.Got = wrong.Got, wrong.Kept
			return wrong
		}
		c.Common = max(c.Common, common)
	}
	if b.last != nil {
		common, err := b.last.against(a.heads)
		if err != nil {
			return err
		}
		c.Common = max(c.Common, common)
	}
	if a.last != nil && b.last != nil {
		common, clash := a.last.subtrees.agree(b.last.subtrees)
		if clash != "" {
			return &Contradiction{ErrDiverged, clash, a.last.text(), b.last.text()}
		}
		c.Common = max(c.Common, common)
	}
	return nil
}

// Verify checks the vault's signatures in a history from elsewhere, and its last proof.
func (h *History) Verify(vault ...note.Verifier) error {
	for _, head := range h.heads {
		if _, err := OpenCheckpoint(head.Note, vault...); err != nil {
			return fmt.Errorf("checkpoint of %d entries: %w", head.Size, err)
		}
	}
	if h.last == nil {
		return nil
	}
	if _, err := h.last.proof.Verify(h.last.record, vault...); err != nil {
		return fmt.Errorf("the last proof: %w", err)
	}
	return nil
}

// VerifyKept is [History.Verify] for the reader's own history, whose signatures were checked when
// added: it detects later damage. It is more lenient in one thing, as former keys are forgotten:
// what only other than the given keys signed is not checked, and counted. It is stricter in the
// rest: all must be of the log of origin and fit together.
func (h *History) VerifyKept(origin string, vault ...note.Verifier) (unchecked int, err error) {
	for _, head := range h.heads {
		c, err := peek(head.Note)
		if err == nil {
			_, err = OpenCheckpoint(head.Note, vault...)
		}
		switch {
		case c.Origin != origin:
			return 0, fmt.Errorf("checkpoint of %d entries: %w: it is not of the log of %s", head.Size, note.ErrUnverified, origin)
		case errors.Is(err, note.ErrUnknownKey):
			unchecked++
		case err != nil:
			return 0, fmt.Errorf("checkpoint of %d entries: %w", head.Size, err)
		}
	}
	_, shown := h.find(h.offered)
	dropped := len(h.heads) == MaxHeads && h.offered < h.heads[0].Size
	if h.offered != 0 && !shown && !dropped {
		return 0, fmt.Errorf("%w: the largest checkpoint from a relay, of %d entries, is not there", ErrMalformed, h.offered)
	}
	if h.last == nil {
		return unchecked, nil
	}
	_, err = h.last.proof.Verify(h.last.record, vault...)
	if errors.Is(err, note.ErrUnknownKey) {
		unchecked++
		err = h.last.holds(origin)
	}
	if err != nil {
		return 0, fmt.Errorf("the last proof: %w", err)
	}
	return unchecked, nil
}

// holds checks a proof by its own checkpoint, whoever signed that.
func (p *proved) holds(origin string) error {
	c, err := peek(p.proof.Checkpoint)
	if err != nil {
		return err
	}
	if c.Origin != origin {
		return fmt.Errorf("%w: it is not of the log of %s", note.ErrUnverified, origin)
	}
	return CheckInclusion(c, p.proof.Index, p.record, p.proof.Hashes)
}

type historyJSON struct {
	Checkpoints []string `json:"checkpoints"` // signed notes, by size
	Offered     int64    `json:"offered"`     // size of the largest that came as the log's newest
	Record      []byte   `json:"record,omitempty"`
	Proof       string   `json:"proof,omitempty"` // tlog-proof of record
}

// MarshalJSON writes {"checkpoints": [note], "offered": size, "record"?: BASE64 of a leaf,
// "proof"?: its tlog-proof}.
func (h *History) MarshalJSON() ([]byte, error) {
	out := historyJSON{Checkpoints: []string{}, Offered: h.offered}
	for _, head := range h.heads {
		out.Checkpoints = append(out.Checkpoints, string(head.Note))
	}
	if h.last != nil {
		out.Record, out.Proof = h.last.record[:], string(h.last.text())
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote, checking forms, not signatures.
func (h *History) UnmarshalJSON(data []byte) error {
	var in historyJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return fmt.Errorf("%w: a history is one JSON object", ErrMalformed)
	}
	read := History{offered: in.Offered}
	for _, msg := range in.Checkpoints {
		c, err := peek([]byte(msg))
		if err != nil {
			return err
		}
		if newest, ok := read.Newest(); ok && newest.Size >= c.Size {
			return fmt.Errorf("%w: checkpoints are in the order of their sizes, one a size", ErrMalformed)
		}
		read.heads = append(read.heads, Head{c.Size, c.Root, []byte(msg)})
	}
	if in.Proof != "" {
		if len(in.Record) != LeafBytes {
			return fmt.Errorf("%w: a leaf's record is %d bytes", ErrMalformed, LeafBytes)
		}
		p, err := DecodeProof([]byte(in.Proof))
		if err != nil {
			return err
		}
		c, err := peek(p.Checkpoint)
		if err != nil {
			return err
		}
		if read.last, err = newProved(p, c.Size, [LeafBytes]byte(in.Record)); err != nil {
			return err
		}
	}
	*h = read
	return nil
}

// peek reads a checkpoint without checking who signed it.
func peek(msg []byte) (Checkpoint, error) {
	text, err := note.Text(msg)
	if err != nil {
		return Checkpoint{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return parseCheckpoint(text)
}

// String describes for people what was proved and what was not.
func (c Comparison) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "no contradiction: %d and %d entries were shown, %d checkpoints of equal size agree; ", c.Ours, c.Theirs, c.Equal)
	smaller := min(c.Ours, c.Theirs)
	switch {
	case smaller == 0:
		b.WriteString("one of the two has seen nothing, so nothing is compared")
	case c.Common >= smaller:
		fmt.Fprintf(&b, "all %d entries of the shorter are proved to be in the longer", smaller)
	case c.Common > 0:
		fmt.Fprintf(&b, "the first %d entries are proved to be the same, entries %d to %d are not compared, for which it takes a copy of the log", c.Common, c.Common, smaller-1)
	default:
		fmt.Fprintf(&b, "nothing is proved to be the same: compare by a copy of the log, or again after both have read newer results")
	}
	return b.String()
}
