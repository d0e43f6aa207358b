// Package auditor reads from files what an auditor needs to check an exported log: the auditor's
// key, the state to begin from, and what the vault signed elsewhere. Packages audit and replay do
// the checks. It knows no daemon, no ledger and no vault's directory.
package auditor

import (
	"errors"
	"fmt"
	"os"

	"nightdrop/shared/note"
	"nightdrop/shared/proof"
	"nightdrop/vault/internal/audit"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/replay"
)

// ErrUsage is returned for a named file that is not of the expected kind.
var ErrUsage = errors.New("usage")

// Sources are the files that a check of a log reads.
type Sources struct {
	Vault      note.Verifier // pinned by the auditor, not taken from the log
	Identity   string        // file of the auditor's own key
	From       string        // file of the state to begin from; "": the log's beginning
	Statements []string      // files of notes that the vault signed
	Files      []string      // settlement files, named as the vault named them

	Open func(path string) (*os.File, error) // opens a file that the auditor named
	Read func(path string) ([]byte, error)   // reads one whole
}

// Replay reads everything but the log in dir, and returns the auditor's key too. The caller closes
// r's state.
func (s Sources) Replay(dir string) (r replay.Options, owner *keyring.Auditor, err error) {
	if owner, err = keyring.LoadAuditor(s.Identity); err != nil {
		return r, nil, err
	}
	r.Identity = owner
	if r.Export, err = audit.OpenExport(dir, s.Vault); err != nil {
		return r, owner, err
	}
	if r.Statements, err = s.statements(); err != nil {
		return r, owner, err
	}
	if s.From == "" {
		r.From, err = replay.NewState(s.Vault.Name())
		return r, owner, err
	}
	f, err := s.Open(s.From)
	if err != nil {
		return r, owner, err
	}
	defer f.Close()
	if r.From, err = replay.LoadState(f, s.Vault, owner); err != nil {
		return r, owner, fmt.Errorf("%s: %w", s.From, err)
	}
	return r, owner, nil
}

func (s Sources) statements() (*replay.Statements, error) {
	given := replay.NewStatements(s.Vault)
	for _, path := range s.Statements {
		data, err := s.Read(path)
		if err != nil {
			return nil, err
		}
		err = given.Add(data)
		if err != nil && !errors.Is(err, note.ErrUnverified) && !errors.Is(err, replay.ErrDiverged) {
			err = fmt.Errorf("%w: %w", ErrUsage, err)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	for _, path := range s.Files {
		data, err := s.Read(path)
		if err != nil {
			return nil, err
		}
		given.AddFile(path, data)
	}
	return given, nil
}

// Earlier reads the checkpoints in the files of statements, for [audit.Verify].
func (s Sources) Earlier() (o audit.VerifyOptions, err error) {
	for _, path := range s.Statements {
		data, err := s.Read(path)
		if err != nil {
			return o, err
		}
		all, err := proof.Checkpoints(data, s.Vault)
		switch {
		case errors.Is(err, note.ErrUnverified):
			return o, fmt.Errorf("%s: %w: %s has not signed it: ask whoever gave it to you where it is from", path, err, s.Vault.Name())
		case err != nil:
			return o, fmt.Errorf("%w: %s is not a checkpoint, proof or storefront's log.json: %w", ErrUsage, path, err)
		}
		for _, c := range all {
			o.Earlier = append(o.Earlier, audit.Earlier{From: path, Checkpoint: c})
		}
	}
	return o, nil
}
