package envelope

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"nightdrop/shared/note"
)

// Errors of [Pin], besides those of [Open].
var (
	ErrExpired = errors.New("the note has expired") // is returned when a note's expires has come
	// is returned when generation, serial or issued went back
	ErrRolledBack = errors.New("the note is older than one seen before")
)

// Pin reads a vault's rolling notes (directory, members, position) by one pinned key. It refuses
// expired ones, a lower generation than any accepted note's, and within a generation a lower serial
// (of position: an earlier issued) of the same kind, or the same serial with another text. It
// follows a rotation of the vault's key only through a directory signed by both old and new. Safe
// for concurrent use. It remembers while the process runs; the minimum serial carries over
// restarts.
type Pin struct {
	name string

	mu         sync.Mutex
	trusted    []note.Verifier // whose signatures on rolling notes count
	listed     []note.Verifier // the newest directory's signers, whose results count too
	generation uint64          // the highest of any note taken
	directory  mark
	members    mark
	position   mark
}

// mark is the state of a kind's newest note.
type mark struct {
	generation uint64
	serial     uint64
	issued     time.Time // of a position, which has no serial
	digest     string    // "" before the first note
}

// NewPin pins the vault's vkey. Directories of a serial below minSerial are refused.
func NewPin(vault note.Verifier, minSerial uint64) *Pin {
	return &Pin{name: vault.Name(), trusted: []note.Verifier{vault}, directory: mark{serial: minSerial}}
}

// Vault returns the vault's name.
func (p *Pin) Vault() string { return p.name }

// Trusted returns the keys that may sign directories, members and positions.
func (p *Pin) Trusted() []note.Verifier {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.trusted)
}

// Signers returns the keys that may sign results and checkpoints: the trusted and the newest
// directory's.
func (p *Pin) Signers() []note.Verifier {
	p.mu.Lock()
	defer p.mu.Unlock()
	keys := slices.Clone(p.trusted)
	for _, v := range p.listed {
		if !slices.Contains(keys, v) {
			keys = append(keys, v)
		}
	}
	return keys
}

// Directory opens a directory note and keeps it as the newest seen.
func (p *Pin) Directory(msg []byte, now time.Time) (Signed[Directory], error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, err := Read[Directory](msg)
	if err != nil {
		return Signed[Directory]{}, err
	}
	signed, err := u.Verify(p.trusted...)
	if err != nil {
		return Signed[Directory]{}, err
	}
	d := signed.Value
	if err := p.current(d.Vault, d.Expires, now); err != nil {
		return Signed[Directory]{}, err
	}
	trusted, err := p.follow(u)
	if err != nil {
		return Signed[Directory]{}, err
	}
	next := mark{generation: d.Generation, serial: d.Serial, digest: signed.Digest}
	if err := p.advance(&p.directory, next); err != nil {
		return Signed[Directory]{}, err
	}
	p.trusted, p.listed = trusted, slices.Clone(d.Signers)
	return signed, nil
}

// follow returns the keys to trust after u: of those it lists, the trusted ones and its signers.
func (p *Pin) follow(u Unverified[Directory]) ([]note.Verifier, error) {
	signed, err := u.Verify(u.Value.Signers...)
	if err != nil {
		return nil, err
	}
	var keys []note.Verifier
	for _, v := range u.Value.Signers {
		if slices.Contains(p.trusted, v) || slices.Contains(signed.Signers, v) {
			keys = append(keys, v)
		}
	}
	if !slices.ContainsFunc(signed.Signers, func(v note.Verifier) bool { return slices.Contains(p.trusted, v) }) {
		return nil, fmt.Errorf("%w: the directory does not list the key that signed it", note.ErrUnverified)
	}
	return keys, nil
}

// Members opens a members note and keeps it as the newest seen.
func (p *Pin) Members(msg []byte, now time.Time) (Signed[Members], error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	signed, err := Open[Members](msg, p.trusted...)
	if err != nil {
		return Signed[Members]{}, err
	}
	m := signed.Value
	if err := p.current(m.Vault, m.Expires, now); err != nil {
		return Signed[Members]{}, err
	}
	next := mark{generation: m.Generation, serial: m.Serial, digest: signed.Digest}
	if err := p.advance(&p.members, next); err != nil {
		return Signed[Members]{}, err
	}
	return signed, nil
}

// Position opens a position note and keeps it as the newest seen. It does not expire, so the time
// does not matter; two of one second may differ.
func (p *Pin) Position(msg []byte, _ time.Time) (Signed[Position], error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	signed, err := Open[Position](msg, p.trusted...)
	if err != nil {
		return Signed[Position]{}, err
	}
	pos := signed.Value
	if pos.Vault != p.name {
		return Signed[Position]{}, fmt.Errorf("%w: the note is of another vault", note.ErrUnverified)
	}
	next := mark{generation: pos.Generation, issued: pos.Issued.Time, digest: signed.Digest}
	if err := p.advance(&p.position, next); err != nil {
		return Signed[Position]{}, err
	}
	return signed, nil
}

func (p *Pin) current(vault string, expires Time, now time.Time) error {
	if vault != p.name {
		return fmt.Errorf("%w: the note is of another vault", note.ErrUnverified)
	}
	if !now.Before(expires.Time) {
		return fmt.Errorf("%w: get a newer one, or check this host's clock", ErrExpired)
	}
	return nil
}

// advance checks next against the newest of its kind, and of any kind, and remembers it.
func (p *Pin) advance(seen *mark, next mark) error {
	if next.generation < p.generation {
		return fmt.Errorf("%w: its generation is lower", ErrRolledBack)
	}
	if seen.digest == "" && next.serial < seen.serial {
		return fmt.Errorf("%w: its serial is below the minimum", ErrRolledBack)
	}
	if seen.digest != "" && next.generation == seen.generation {
		forked := next.serial == seen.serial && next.issued.IsZero() && next.digest != seen.digest
		if next.serial < seen.serial || next.issued.Before(seen.issued) || forked {
			return fmt.Errorf("%w: a newer one of its kind was seen", ErrRolledBack)
		}
	}
	p.generation, *seen = next.generation, next
	return nil
}
