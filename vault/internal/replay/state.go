package replay

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"nightdrop/shared/envelope"
	"nightdrop/shared/note"
	"nightdrop/vault/internal/book"
)

// Who vouches for a saved state.
const (
	ByVault  = "vault"  // its signed statement
	ByReplay = "replay" // the auditor who replayed, for itself alone
)

// ErrForm is returned for a file of another kind than was asked for.
var ErrForm = errors.New("give another file")

// ErrState is returned for a saved state that is damaged, unsigned, or of another log.
var ErrState = errors.New("not a state that this log can be replayed from")

const (
	stateFormat  = "nightdrop/state/v1"
	openingType  = "nightdrop/opening/v1"
	maxStateLine = 16 << 20
)

// Header is the log of a state, and its position there.
type Header struct {
	Format string        `json:"format"`
	Origin string        `json:"origin"`
	Size   int64         `json:"size"` // entries that made it
	Root   tlog.Hash     `json:"root"` // of the log of these entries
	Time   envelope.Time `json:"time"` // of the last of them
	By     string        `json:"by"`   // ByVault or ByReplay
}

// Between its first and last lines a state's file has a line for each record: an object with one
// member, named for the record's table.

// trailer is the last line: the digest of all before it, and who vouches for it.
type trailer struct {
	SHA256 string `json:"sha256"`
	Note   string `json:"note,omitempty"` // ByVault: signed
	Code   []byte `json:"code,omitempty"` // ByReplay: the auditor's
}

type lastLine struct {
	End *trailer `json:"end"`
}

// Owner vouches for the states that it saved; *keyring.Auditor does.
type Owner interface {
	Vouch(kind string, text []byte) ([]byte, error)
}

// State is what a log's events come to. Close removes its file.
type State struct {
	Header
	state *spilled
}

// Close removes the state's file.
func (s *State) Close() error { return s.state.close() }

// NewState is the state before a log's first entry.
func NewState(origin string) (*State, error) {
	b, err := newSpilled()
	if err != nil {
		return nil, err
	}
	empty, err := tlog.TreeHash(0, nil)
	return &State{Header: Header{Format: stateFormat, Origin: origin, Root: empty, By: ByReplay}, state: b}, err
}

// Apply folds one event into the state; size, root and time are the caller's to set.
func (s *State) Apply(e book.Event) (*book.Issued, error) { return book.Apply(s.state.State, e) }

// text is what the vault signs of a state, and what an auditor vouches for.
func (h Header) text(digest string) ([]byte, error) {
	text, err := json.Marshal(struct {
		Origin string    `json:"origin"`
		Size   int64     `json:"size"`
		Root   tlog.Hash `json:"root"`
		SHA256 string    `json:"sha256"`
	}{h.Origin, h.Size, h.Root, digest})
	return fmt.Appendf(nil, "%s\n%s\n", openingType, text), err
}

// stateWriter writes lines, and their digest in the end.
type stateWriter struct {
	out    *bufio.Writer
	digest hash.Hash
}

func (w *stateWriter) line(v any) error {
	text, err := json.Marshal(v)
	if err != nil {
		return err
	}
	text = append(text, '\n')
	w.digest.Write(text)
	_, err = w.out.Write(text)
	return err
}

// SaveOpening writes the state with the vault's signature.
func (s *State) SaveOpening(out io.Writer, vault *note.Signer) error {
	return s.save(out, ByVault, func(text []byte, end *trailer) error {
		signed, err := note.Sign(text, vault)
		end.Note = string(signed)
		return err
	})
}

// Save writes the state for a later replay by the owner, and for nobody else.
func (s *State) Save(out io.Writer, owner Owner) error {
	return s.save(out, ByReplay, func(text []byte, end *trailer) (err error) {
		end.Code, err = owner.Vouch(stateFormat, text)
		return err
	})
}

func (s *State) save(out io.Writer, by string, vouch func(text []byte, end *trailer) error) error {
	header := s.Header
	header.By = by
	w := stateWriter{bufio.NewWriter(out), sha256.New()}
	if err := w.line(header); err != nil {
		return err
	}
	for _, table := range book.Tables {
		if table.Member() == "" {
			continue
		}
		err := table.Records(s.state.State, func(_ book.Place, record any) error {
			return w.line(map[string]any{table.Member(): record})
		})
		if err != nil {
			return err
		}
	}
	end := trailer{SHA256: hex.EncodeToString(w.digest.Sum(nil))}
	text, err := header.text(end.SHA256)
	if err != nil {
		return err
	}
	if err := errors.Join(vouch(text, &end), w.line(lastLine{&end})); err != nil {
		return err
	}
	return w.out.Flush()
}

// LoadState reads a saved state: an opening must have the vault's signature, a replay's state the
// owner's code. That is checked before anything else is believed or kept, so in is read twice. It
// fails with [ErrState], and with [ErrForm] for what is no state.
func LoadState(in io.ReadSeeker, vault note.Verifier, owner Owner) (*State, error) {
	h, digest, err := checkState(in, vault, owner)
	if err != nil {
		return nil, err
	}
	if _, err := in.Seek(0, io.SeekStart); err != nil {
		return nil, fmt.Errorf("a state is read twice, and this cannot be: write it into a file: %w: %w", err, ErrForm)
	}
	s, err := NewState(vault.Name())
	if err != nil {
		return nil, err
	}
	s.Header = h
	if err := s.load(in, digest); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// stateReader reads lines up to the last, and their digest.
type stateReader struct {
	*bufio.Scanner
	digest hash.Hash
	end    *trailer // once it was read
}

func newStateReader(in io.Reader) *stateReader {
	scanner := bufio.NewScanner(in)
	scanner.Buffer(nil, maxStateLine)
	return &stateReader{Scanner: scanner, digest: sha256.New()}
}

// next reads a line, and returns false at the last one, which it checks.
func (r *stateReader) next() (bool, error) {
	if !r.Scan() {
		return false, errors.Join(r.Err(), fmt.Errorf("it is cut, make or fetch it again: %w", ErrState))
	}
	if !bytes.HasPrefix(r.Bytes(), []byte(`{"end":`)) {
		r.digest.Write(r.Bytes())
		r.digest.Write([]byte{'\n'})
		return true, nil
	}
	var l lastLine
	if err := decode(r.Bytes(), &l); err != nil || l.End == nil {
		return false, fmt.Errorf("its last line does not parse: %w", ErrState)
	}
	if l.End.SHA256 != hex.EncodeToString(r.digest.Sum(nil)) || r.Scan() {
		return false, fmt.Errorf("it is damaged, make or fetch it again: %w", ErrState)
	}
	r.end = l.End
	return false, r.Err()
}

// checkState reads a state, keeps nothing, and checks who vouches for it.
func checkState(in io.Reader, vault note.Verifier, owner Owner) (h Header, digest string, err error) {
	r := newStateReader(in)
	if !r.Scan() {
		return h, "", errors.Join(r.Err(), fmt.Errorf("it is empty: %w", ErrState))
	}
	if h, err = parseHeader(r.Bytes(), vault); err != nil {
		return h, "", err
	}
	r.digest.Write(append(bytes.Clone(r.Bytes()), '\n'))
	for more := true; more; {
		if more, err = r.next(); err != nil {
			return h, "", err
		}
	}
	if h.By == ByReplay {
		return h, r.end.SHA256, h.kept(*r.end, owner)
	}
	return h, r.end.SHA256, h.signed(*r.end, vault)
}

func parseHeader(text []byte, vault note.Verifier) (h Header, err error) {
	if !bytes.HasPrefix(text, []byte(`{"format":"nightdrop/state/`)) {
		return h, fmt.Errorf("it is not a state, which `vault audit opening` and `vault audit replay --save` write: %w", ErrForm)
	}
	if err := decode(text, &h); err != nil || h.Format != stateFormat || h.By != ByVault && h.By != ByReplay || h.Size < 0 {
		return h, fmt.Errorf("its first line is not a state's: %w", ErrState)
	}
	if h.Origin != vault.Name() {
		return h, fmt.Errorf("it is of the log of %s: %w", h.Origin, ErrState)
	}
	return h, nil
}

// load reads the lines after the header into the state; their digest must be the one that was
// checked.
func (s *State) load(in io.Reader, digest string) error {
	r := newStateReader(in)
	more, err := r.next() // the header
	for more && err == nil {
		if more, err = r.next(); err != nil || !more {
			break
		}
		if err := s.loadLine(r.Bytes()); err != nil {
			return err
		}
	}
	if err == nil && r.end.SHA256 != digest {
		err = fmt.Errorf("it changed while it was read: %w", ErrState)
	}
	return err
}

// signed reports whether the vault signed the state.
func (h Header) signed(end trailer, vault note.Verifier) error {
	opened, err := note.Open([]byte(end.Note), note.Policy{Single: true}, vault)
	if err != nil {
		return fmt.Errorf("the vault has not signed it: %w: %w", err, ErrState)
	}
	want, err := h.text(end.SHA256)
	if err == nil && !bytes.Equal(opened.Text, want) {
		err = fmt.Errorf("the vault has signed another state: %w", ErrState)
	}
	return err
}

// kept reports whether the owner saved the state.
func (h Header) kept(end trailer, owner Owner) error {
	text, err := h.text(end.SHA256)
	if err != nil {
		return err
	}
	want, err := owner.Vouch(stateFormat, text)
	if err == nil && !hmac.Equal(want, end.Code) {
		err = fmt.Errorf("a replay with your key did not save it (another auditor's did, or it was altered): begin from the vault's opening: %w", ErrState)
	}
	return err
}

func decode(text []byte, v any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decoder.Decode(v)
}

func (s *State) loadLine(text []byte) error {
	member, record, ok := bytes.Cut(bytes.TrimPrefix(text, []byte(`{"`)), []byte(`":`))
	record, closed := bytes.CutSuffix(record, []byte("}"))
	for _, table := range book.Tables {
		if !ok || !closed || table.Member() == "" || table.Member() != string(member) {
			continue
		}
		if table.Load(s.state.State, record) != nil {
			return fmt.Errorf("a line of it does not parse: %w", ErrState)
		}
		return nil
	}
	return fmt.Errorf("a line of it says nothing: %w", ErrState)
}
