package replay

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/book"
)

// Statements are what the vault has signed or given out before the export: the log must agree.
type Statements struct {
	vault       note.Verifier
	checkpoints []proof.Checkpoint
	positions   []envelope.Position
	numbered    map[numbered]signed
	files       map[string]string // settlement files: hex SHA-256 by name
}

// numbered names a statement that an event of the log reports.
type numbered struct {
	what   string // directory, members, or result of MERCHANT
	serial uint64
}

type signed struct {
	digest     string // of a directory or members note; of the envelope that a result is about
	generation uint64 // of a directory or members note
	id         string // of a result
	created    envelope.Time
	merchant   string // of a result
}

// NewStatements begins a collection of what vault has signed.
func NewStatements(vault note.Verifier) *Statements {
	return &Statements{vault: vault, numbered: map[numbered]signed{}, files: map[string]string{}}
}

// AddFile adds a settlement file as it stood in the outbox.
func (s *Statements) AddFile(name string, data []byte) {
	digest := sha256.Sum256(data)
	s.files[filepath.Base(name)] = hex.EncodeToString(digest[:])
}

// Add adds a position, directory, members note or result, or what [proof.Checkpoints] reads. It
// fails on anything that the vault has not signed.
func (s *Statements) Add(msg []byte) error {
	first, _, _ := bytes.Cut(msg, []byte("\n"))
	switch string(first) {
	case "nightdrop/position/v1":
		p, err := envelope.Open[envelope.Position](msg, s.vault)
		if err != nil {
			return err
		}
		s.positions = append(s.positions, p.Value)
	case "nightdrop/directory/v1":
		d, err := envelope.Open[envelope.Directory](msg, s.vault)
		if err != nil {
			return err
		}
		return s.number(numbered{"directory", d.Value.Serial}, signed{digest: d.Digest, generation: d.Value.Generation})
	case "nightdrop/members/v1":
		m, err := envelope.Open[envelope.Members](msg, s.vault)
		if err != nil {
			return err
		}
		return s.number(numbered{"members note", m.Value.Serial}, signed{digest: m.Digest, generation: m.Value.Generation})
	case "nightdrop/result/v1":
		r, err := envelope.Open[envelope.Result](msg, s.vault)
		if err != nil {
			return err
		}
		v := r.Value
		return s.number(numbered{resultOf(v.Merchant), v.Serial}, signed{digest: v.Digest, id: v.ID, created: v.Created, merchant: v.Merchant})
	default:
		checkpoints, err := proof.Checkpoints(msg, s.vault)
		if err != nil {
			return fmt.Errorf("it is not a checkpoint, proof, storefront's log.json, position, directory, members note or result of %s: %w", s.vault.Name(), err)
		}
		s.checkpoints = append(s.checkpoints, checkpoints...)
	}
	return nil
}

// olderOrCut explains a statement that is newer than the whole log.
const olderOrCut = "this export is older than the statement, so export again, or its end was cut off"

func resultOf(merchant string) string { return "result of " + merchant }

// number keeps a statement. Two of one number that differ are a finding without any log.
func (s *Statements) number(n numbered, v signed) error {
	if old, ok := s.numbered[n]; ok && old != v {
		return fmt.Errorf("the vault has signed two %ss %d that differ: %w", n.what, n.serial, ErrDiverged)
	}
	s.numbered[n] = v
	return nil
}

// event compares a statement with the event that reports it.
func (s *Statements) event(r *Report, index int64, e *book.Event, issued *book.Issued) {
	var n numbered
	switch b := e.Body.(type) {
	case book.DirectoryIssued:
		n = numbered{"directory", b.Serial}
	case book.MembersIssued:
		n = numbered{"members note", b.Serial}
	default:
		if issued == nil {
			return
		}
		n = numbered{resultOf(issued.Merchant), issued.Serial}
	}
	want, ok := s.numbered[n]
	if !ok {
		return
	}
	delete(s.numbered, n)
	same := want.digest == e.Evidence
	if issued != nil {
		same = want.digest == issued.Digest && want.id == issued.ID && want.created == issued.Created
	}
	if !same {
		r.detect(index, "the vault has signed another %s %d than this entry is of", n.what, n.serial)
		return
	}
	r.Compared++
}

// tree compares checkpoints with the exported tree, which needs no key.
func (s *Statements) tree(r *Report, hashes tlog.HashReader) error {
	for _, c := range s.checkpoints {
		if c.Size > r.Size {
			r.detect(r.Size, "the vault has signed a log of %d entries and this export ends after %d: %s", c.Size, r.Size, olderOrCut)
			continue
		}
		root, err := rootAt(c.Size, hashes)
		if err != nil {
			return err
		}
		if root != c.Root {
			r.detect(-1, "the first %d entries are not those that the vault signed in another checkpoint: the log was rewritten", c.Size)
			continue
		}
		r.Compared++
	}
	return nil
}

func rootAt(size int64, hashes tlog.HashReader) (tlog.Hash, error) {
	if size == 0 {
		return tlog.TreeHash(0, nil)
	}
	return tlog.TreeHash(size, hashes)
}

// end compares the other statements with the state after the last entry. whole: no entries follow
// it.
func (s *Statements) end(r *Report, b *book.State, whole bool) error {
	vault, err := b.Vault()
	if err != nil {
		return err
	}
	for _, p := range s.positions {
		if err := s.position(r, b, vault.Generation, p, whole); err != nil {
			return err
		}
	}
	rest := make([]numbered, 0, len(s.numbered))
	for n := range s.numbered {
		rest = append(rest, n)
	}
	slices.SortFunc(rest, func(x, y numbered) int { return bytes.Compare(fmt.Append(nil, x), fmt.Append(nil, y)) })
	for _, n := range rest {
		newest := vault.Directory
		switch v := s.numbered[n]; {
		case v.merchant != "":
			newest = book.Merchants.In(b)[v.merchant].Results
		case n.what == "members note":
			newest = vault.Members
		}
		if n.serial > newest && whole {
			r.detect(-1, "the vault has signed %s %d, and the log knows none after %d: %s", n.what, n.serial, newest, olderOrCut)
			continue
		}
		r.Not = append(r.Not, fmt.Sprintf("%s %d was logged outside the entries that were replayed", n.what, n.serial))
	}
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		file, ok := book.Files.In(b)[name]
		switch {
		case !ok && !whole:
			r.Not = append(r.Not, fmt.Sprintf("file %s is not of the entries that were replayed", name))
		case !ok || file.Digest == "":
			r.detect(-1, "the log knows no settlement file %s", name)
		case file.Digest != s.files[name]:
			r.detect(-1, "settlement file %s has the digest %s, the log says %s", name, s.files[name], file.Digest)
		default:
			r.Compared++
		}
	}
	return nil
}

// position compares the bags that the vault says it has committed.
func (s *Statements) position(r *Report, b *book.State, generation uint64, p envelope.Position, whole bool) error {
	if p.Generation > generation && whole {
		r.detect(-1, "a position is of generation %d, the log of %d: %s", p.Generation, generation, olderOrCut)
		return nil
	}
	for _, e := range p.Relays {
		run, known, err := b.Run(e.Relay, e.Run)
		if err != nil {
			return err
		}
		if !known || run.Number < e.Number {
			if whole {
				r.detect(-1, "a position names bag %d of run %s, and the log's position there is %d: %s", e.Number, e.Run, run.Number, olderOrCut)
			} else {
				r.Not = append(r.Not, fmt.Sprintf("a position names bag %d of run %s, after the entries that were replayed", e.Number, e.Run))
			}
			continue
		}
		bag, _, err := b.Bag(e.Relay, e.Run, e.Number)
		if err != nil {
			return err
		}
		// zeros: it ended in a gap, which a late bag may have filled
		if e.Digest != envelope.ZeroDigest && !slices.Contains(bag.Digests, e.Digest) {
			r.detect(-1, "a position names another bag %d of run %s than the log", e.Number, e.Run)
			continue
		}
		r.Compared++
	}
	return nil
}
