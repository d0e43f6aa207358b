package keyring

import (
	"errors"
	"fmt"
)

// Errors of creating and opening a vault's directory.
var (
	// ErrExists is returned when Create would overwrite.
	ErrExists = errors.New("there is a vault in this directory already; choose another directory")
	// ErrInUse is returned when the directory is locked.
	ErrInUse = errors.New("another process has this vault open; stop it first")
	// ErrDamaged is returned, with file and remedy, when a file is not what this vault wrote
	ErrDamaged = errors.New("damaged")
	// ErrNewer is returned, with the file, when its format is not known here
	ErrNewer = errors.New("a newer version of the vault wrote it; run that version: nothing was changed")
	// ErrMode is returned when a file's mode is too wide.
	ErrMode = errors.New("a key file can be read by others; set its mode to 0600 and consider it disclosed")
)

// Errors of custody.
var (
	// ErrLocked is returned when a key is needed before Unlock.
	ErrLocked = errors.New("the vault is locked; unlock it with custodians' shares")
	// ErrWrongShare is returned, with the reason, for a share that is damaged or not of this vault
	ErrWrongShare = errors.New("wrong share")
	// ErrSameShare is returned when two shares have one number.
	ErrSameShare = errors.New("the same share was given twice")
)

// Errors of opening a part.
var (
	// ErrKeyDead is returned when the private half is gone, or by the clock should be.
	ErrKeyDead = errors.New("the part's key is dead or was never this vault's")
	// ErrCannotOpen is returned when the key lives and the seal does not open.
	ErrCannotOpen = errors.New("the part does not open: altered, moved or sealed wrongly")
)

// ErrForgotten is returned when a stored account's key is destroyed: it is gone from every copy of
// the ledger.
var ErrForgotten = errors.New("the stored account is forgotten: its key is destroyed")

// ErrUnknownOnDisk is returned, with the file, from the first failed write to a file of keys on:
// the process must restart.
var ErrUnknownOnDisk = errors.New("what is on disk is unknown: check the disk, then stop the vault and start it again")

// ErrFull is returned by [Ring.SealStored] when stored.keys can hold no more.
var ErrFull = errors.New("no more accounts can be stored: forget some and restart the vault, or take another vault into service")

// ErrFewShares is returned when the shares are valid but fewer than the threshold.
type ErrFewShares struct {
	Have, Need int // distinct shares given, threshold
}

// Error returns how many are missing.
func (e ErrFewShares) Error() string {
	return fmt.Sprintf("%d of %d shares given; %d more custodians must give theirs", e.Have, e.Need, e.Need-e.Have)
}

const (
	restoreCustody = "restore it from a backup: the custodians' shares fit every copy of the same sharing"
	restoreSealing = "restore it from the standby's mirror; where there is none, move it aside: " +
		"the vault makes new keys, and parts sealed to the old ones can never be opened"
	restoreStored = "restore it from the standby's mirror; where there is none, move it aside: " +
		"the vault makes a new file, and shops must store their accounts again"
)

func damaged(file, what, remedy string) error {
	return fmt.Errorf("%s is %w (%s): %s", file, ErrDamaged, what, remedy)
}
