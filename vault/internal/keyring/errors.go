package keyring

import (
	"errors"
	"fmt"
)

// Errors of creating and opening a vault's directory.
var (
	// is returned when Create would overwrite
	ErrExists = errors.New("there is a vault in this directory already; choose another directory")
	// is returned when the directory is locked
	ErrInUse = errors.New("another process has this vault open; stop it first")
	// is returned, with file and remedy, when a file is not what this vault wrote
	ErrDamaged = errors.New("damaged")
	// is returned, with the file, when its format is not known here
	ErrNewer = errors.New("a newer version of the vault wrote it; run that version: nothing was changed")
	// is returned when a file's mode is too wide
	ErrMode = errors.New("a key file can be read by others; set its mode to 0600 and consider it disclosed")
)

// Errors of custody.
var (
	// is returned when a key is needed before Unlock
	ErrLocked = errors.New("the vault is locked; unlock it with custodians' shares")
	// is returned, with the reason, for a share that is damaged or not of this vault
	ErrWrongShare = errors.New("wrong share")
	// is returned when two shares have one number
	ErrSameShare = errors.New("the same share was given twice")
)

// Errors of opening a part.
var (
	// is returned when no private half exists any more, or by the clock should not
	ErrKeyDead = errors.New("the part's key is dead or was never this vault's")
	// is returned when the key lives and the seal does not open
	ErrCannotOpen = errors.New("the part does not open: altered, moved or sealed wrongly")
)

// ErrForgotten is returned when a stored account is opened whose key is destroyed: it is gone from
// every copy of the ledger.
var ErrForgotten = errors.New("the stored account is forgotten: its key is destroyed")

// ErrUnknownOnDisk is returned, with the file, from the first failed write to a file of keys on:
// the process must end and start again.
var ErrUnknownOnDisk = errors.New("what is on disk is unknown: check the disk, then stop the vault and start it again")

// ErrFull is returned when an account is to be stored and stored.keys can hold no more. Everything
// else goes on.
var ErrFull = errors.New("no more accounts can be stored: forget some and restart the vault, or take another vault into service")

// ErrFewShares is returned when the shares are good and fewer than the threshold.
type ErrFewShares struct {
	Have, Need int // distinct shares given, threshold
}

// Error says how many are missing.
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

// damaged names file, what is wrong and what to do about it.
func damaged(file, what, remedy string) error {
	return fmt.Errorf("%s is %w (%s): %s", file, ErrDamaged, what, remedy)
}
