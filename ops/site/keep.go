package site

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nightdrop/shared/durable"
)

// ErrConflict is returned for a directory that another process keeps a site in or that holds
// something else, and for a port of the site that is taken.
var ErrConflict = errors.New("conflict")

const (
	stateFile = "site.json" // written last by New: a directory without it holds no whole site
	lockFile  = "site.lock"
)

// state is what the next start of a site needs and no other file has.
type state struct {
	Dir       string `json:"dir"` // as the settings name it
	Verifier  string `json:"verifier"`
	RelayKey  string `json:"relayKey"`
	VaultNkey string `json:"vaultNkey"`
	Ports     ports  `json:"ports"`
}

// Open takes up the site that New made in o.Dir, with the same keys, ports, settings and books. It
// fails with ErrConflict where another process keeps it, and with fs.ErrNotExist where there is
// none.
func Open(o Options) (*Site, error) {
	s := &Site{Options: o.withDefaults()}
	if err := s.absolute(); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(s.Path(stateFile))
	if err != nil {
		return nil, err
	}
	var is state
	if err := json.Unmarshal(text, &is); err != nil {
		return nil, fmt.Errorf("%s: %w", s.Path(stateFile), err)
	}
	if !sameFile(is.Dir, s.Dir) {
		return nil, fmt.Errorf("%w: the site in %s was made as %s, which its settings name: move it back, or choose another directory",
			ErrConflict, s.Dir, is.Dir)
	}
	s.Dir, s.Verifier, s.relayKey, s.vaultNkey, s.ports = is.Dir, is.Verifier, is.RelayKey, is.VaultNkey, is.Ports
	if err := s.takeLock(); err != nil {
		return nil, err
	}
	if err := s.ports.check(); err != nil {
		return nil, err
	}
	return s, s.certify() // those that come to their end are renewed
}

// Keep opens the site in o.Dir, or makes it where the directory is empty or not there, and reports
// whether it made it. What a first start leaves unfinished is deleted again.
func Keep(ctx context.Context, o Options) (s *Site, made bool, err error) {
	entries, err := os.ReadDir(o.Dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, false, fmt.Errorf("%w: %w", ErrConflict, err)
	}
	if len(entries) == 0 {
		if s, err = New(ctx, o); err != nil && !errors.Is(err, ErrConflict) {
			err = errors.Join(err, os.RemoveAll(o.Dir))
		}
		return s, true, err
	}
	s, err = Open(o)
	if !errors.Is(err, fs.ErrNotExist) {
		return s, false, err
	}
	if _, lockErr := os.Stat(filepath.Join(o.Dir, lockFile)); lockErr == nil {
		return nil, false, fmt.Errorf("%w: the site in %s is being made by another process, or that was interrupted; in the latter case "+
			"it took no payment: delete the directory and start again", ErrConflict, o.Dir)
	}
	return nil, false, fmt.Errorf("%w: %s holds other files and no site: choose a new or an empty directory", ErrConflict, o.Dir)
}

func sameFile(one, other string) bool {
	first, err := os.Stat(one)
	if err != nil {
		return false
	}
	second, err := os.Stat(other)
	return err == nil && os.SameFile(first, second)
}

func (s *Site) save() error {
	text, err := json.MarshalIndent(state{s.Dir, s.Verifier, s.relayKey, s.vaultNkey, s.ports}, "", "  ")
	if err != nil {
		return err
	}
	return durable.Replace(s.Path(stateFile), append(text, '\n'))
}

// takeLock keeps other processes out of the directory for as long as this one runs.
func (s *Site) takeLock() (err error) {
	if s.lock, err = os.OpenFile(s.Path(lockFile), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return err
	}
	err = unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return fmt.Errorf("%w: another process runs the site in %s: stop that one first, or choose another directory", ErrConflict, s.Dir)
	}
	return err
}

// check fails when another program listens on one of the ports.
func (p ports) check() error {
	for what, port := range map[string]int{"relay": p.Relay, "relay's admin listener": p.Admin, "channel": p.Channel, "simulator": p.Host} {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return fmt.Errorf("%w: port %d, which is the %s's in this site, is taken (%v): stop the program that has it, or choose another "+
				"directory for another site", ErrConflict, port, what, err)
		}
		l.Close()
	}
	return nil
}
