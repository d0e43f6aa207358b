// Package proof reads and writes the vault's log for those who do not run it: checkpoints (C2SP
// tlog-checkpoint), leaf records, inclusion and consistency proofs (RFC 6962) and their text (C2SP
// tlog-proof).
package proof

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/note"
	"nightdrop/shared/strictjson"
)

// Errors about what was read.
var (
	// is returned when a checkpoint or proof is not of its format
	ErrMalformed = errors.New("malformed")
	// is returned when a proof does not prove
	ErrDiverged = errors.New("the log contradicts what the vault said of it")
)

// LeafBytes is the length of a leaf's record.
const LeafBytes = 2 * sha256.Size

// SaltBytes is the length of a leaf's salt.
const SaltBytes = 16

// Checkpoint is a signed head of the log: its whole text is these three lines. The vault's name is
// the log's origin.
type Checkpoint struct {
	Origin string
	Size   int64     // leaves
	Root   tlog.Hash // RFC 6962
}

// text returns the three lines of C2SP tlog-checkpoint.
func (c Checkpoint) text() []byte {
	text := append([]byte(c.Origin), '\n')
	text = append(strconv.AppendInt(text, c.Size, 10), '\n')
	return append(base64.StdEncoding.AppendEncode(text, c.Root[:]), '\n')
}

// SignCheckpoint signs c. The key's name must be the origin.
func SignCheckpoint(c Checkpoint, s *note.Signer) ([]byte, error) {
	if c.Origin != s.Name() || c.Size < 0 || c.Size > strictjson.MaxInteger {
		return nil, fmt.Errorf("%w: the origin is the signing key's name and the size is 0 to 2^53-1", ErrMalformed)
	}
	return note.Sign(c.text(), s)
}

// OpenCheckpoint checks a checkpoint's form and the signature by any of the vault's keys, whose
// name is the origin. Lines of other keys (witnesses) are ignored.
func OpenCheckpoint(msg []byte, vault ...note.Verifier) (Checkpoint, error) {
	opened, err := note.Open(msg, note.Policy{}, vault...)
	if err != nil {
		return Checkpoint{}, err
	}
	c, err := parseCheckpoint(opened.Text)
	if err != nil {
		return Checkpoint{}, err
	}
	if !slices.ContainsFunc(opened.Signers, func(v note.Verifier) bool { return v.Name() == c.Origin }) {
		return Checkpoint{}, fmt.Errorf("%w: the origin is not the key's name", note.ErrUnverified)
	}
	return c, nil
}

func parseCheckpoint(text []byte) (Checkpoint, error) {
	lines := bytes.Split(text, []byte{'\n'})
	if len(lines) != 4 || len(lines[3]) != 0 || len(lines[0]) == 0 {
		return Checkpoint{}, fmt.Errorf("%w: a checkpoint's text is three lines", ErrMalformed)
	}
	size, err := decimal(lines[1])
	if err != nil {
		return Checkpoint{}, err
	}
	root, err := hash(lines[2])
	if err != nil {
		return Checkpoint{}, err
	}
	return Checkpoint{Origin: string(lines[0]), Size: size, Root: root}, nil
}

// LeafRecord returns a leaf's 64 bytes: SHA-256 of salt and facts (line 1 of a result without
// newline; nil for other events), then the SHA-256 of the sealed entry.
func LeafRecord(salt []byte, facts []byte, entry [32]byte) [LeafBytes]byte {
	line := make([]byte, 0, 512) // on the stack, and seldom too small
	first := sha256.Sum256(append(append(line, salt...), facts...))
	var record [LeafBytes]byte
	copy(record[:], first[:])
	copy(record[sha256.Size:], entry[:])
	return record
}

// CheckInclusion checks that the log of c holds record at index.
func CheckInclusion(c Checkpoint, index int64, record [LeafBytes]byte, proof []tlog.Hash) error {
	if index < 0 || index >= c.Size {
		return fmt.Errorf("%w: the index is not below the checkpoint's size", ErrDiverged)
	}
	if err := tlog.CheckRecord(proof, c.Size, c.Root, index, tlog.RecordHash(record[:])); err != nil {
		return fmt.Errorf("%w: the record is not at that index", ErrDiverged)
	}
	return nil
}

// CheckConsistency checks that the log of newer begins with the log of older.
func CheckConsistency(older, newer Checkpoint, proof []tlog.Hash) error {
	if older.Origin != newer.Origin || older.Size > newer.Size {
		return fmt.Errorf("%w: the checkpoints are of different logs or in the wrong order", ErrDiverged)
	}
	switch older.Size {
	case newer.Size:
		if older.Root != newer.Root || len(proof) != 0 {
			return fmt.Errorf("%w: two roots at one size", ErrDiverged)
		}
		return nil
	case 0:
		if older.Root != emptyRoot() || len(proof) != 0 {
			return fmt.Errorf("%w: an empty log has the root of nothing", ErrDiverged)
		}
		return nil
	}
	if err := tlog.CheckTree(proof, newer.Size, newer.Root, older.Size, older.Root); err != nil {
		return fmt.Errorf("%w: the newer log does not begin with the older", ErrDiverged)
	}
	return nil
}

// emptyRoot is the root of a tree without leaves (RFC 6962, 2.1): the hash of nothing.
func emptyRoot() tlog.Hash { return sha256.Sum256(nil) }

// Proof is a C2SP tlog-proof: that a leaf is in the log of a checkpoint.
type Proof struct {
	Index      int64
	Hashes     []tlog.Hash // at most 63
	Checkpoint []byte      // the signed note
}

const header = "c2sp.org/tlog-proof@v1\n"

// maxHashes is above the height of any tree of at most 2^53-1 leaves.
const maxHashes = 63

// EncodeProof returns the proof's text: header, index, hashes, a blank line, the checkpoint.
func EncodeProof(p Proof) ([]byte, error) {
	text := append([]byte(header), "index "...)
	text = append(strconv.AppendInt(text, p.Index, 10), '\n')
	for _, h := range p.Hashes {
		text = append(base64.StdEncoding.AppendEncode(text, h[:]), '\n')
	}
	text = append(text, '\n')
	text = append(text, p.Checkpoint...)
	if _, err := DecodeProof(text); err != nil {
		return nil, err
	}
	return text, nil
}

// DecodeProof reads a proof's text, with no extra line. It does not check the checkpoint's
// signature or the hashes: see [OpenCheckpoint] and [CheckInclusion].
func DecodeProof(text []byte) (Proof, error) {
	rest, ok := bytes.CutPrefix(text, []byte(header))
	if !ok {
		return Proof{}, fmt.Errorf("%w: a proof begins with %s", ErrMalformed, header[:len(header)-1])
	}
	head, checkpoint, ok := bytes.Cut(rest, []byte("\n\n"))
	if !ok {
		return Proof{}, fmt.Errorf("%w: a proof has a blank line before its checkpoint", ErrMalformed)
	}
	lines := bytes.Split(head, []byte{'\n'})
	index, ok := bytes.CutPrefix(lines[0], []byte("index "))
	if !ok || len(lines)-1 > maxHashes {
		return Proof{}, fmt.Errorf("%w: a proof's second line is its index, and at most %d hashes follow", ErrMalformed, maxHashes)
	}
	p := Proof{Checkpoint: checkpoint}
	var err error
	if p.Index, err = decimal(index); err != nil {
		return Proof{}, err
	}
	for _, line := range lines[1:] {
		h, err := hash(line)
		if err != nil {
			return Proof{}, err
		}
		p.Hashes = append(p.Hashes, h)
	}
	signed, err := note.Text(checkpoint)
	if err != nil {
		return Proof{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if _, err := parseCheckpoint(signed); err != nil {
		return Proof{}, err
	}
	return p, nil
}

// Verify checks that the log holds record at the index, by a checkpoint that any of the vault's
// keys signed.
func (p Proof) Verify(record [LeafBytes]byte, vault ...note.Verifier) (Checkpoint, error) {
	c, err := OpenCheckpoint(p.Checkpoint, vault...)
	if err != nil {
		return Checkpoint{}, err
	}
	return c, CheckInclusion(c, p.Index, record, p.Hashes)
}

// decimal reads plain decimal of 0 to 2^53-1 without leading zeroes.
func decimal(text []byte) (int64, error) {
	n, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil || n < 0 || n > strictjson.MaxInteger || strconv.FormatInt(n, 10) != string(text) {
		return 0, fmt.Errorf("%w: not a plain decimal number of 0 to 2^53-1", ErrMalformed)
	}
	return n, nil
}

func hash(text []byte) (tlog.Hash, error) {
	raw, err := strictjson.Base64(text)
	if err != nil || len(raw) != tlog.HashSize {
		return tlog.Hash{}, fmt.Errorf("%w: a hash is the canonical base64 of 32 bytes", ErrMalformed)
	}
	return tlog.Hash(raw), nil
}
