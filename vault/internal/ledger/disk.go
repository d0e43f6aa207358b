package ledger

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// onDisk adds to an error of the system its file, where it lacks that, and what to do about the
// disk. Other errors stay as they are, but for those of damage (naming).
func onDisk(path string, err error) error {
	errno, ok := errors.AsType[unix.Errno](err)
	if !ok {
		return naming(path, err)
	}
	if !strings.Contains(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if advice := diskAdvice(errno); advice != "" {
		err = fmt.Errorf("%w. %s", err, advice)
	}
	return err
}

// diskAdvice is what to do about an error of the disk; nothing where the error says it by itself.
func diskAdvice(errno unix.Errno) string {
	switch errno {
	case unix.EIO, unix.EUCLEAN, unix.ENXIO:
		return "The disk fails: look at the system's log (dmesg), copy the vault's directory to a sound disk, and start the vault there"
	case unix.ENOSPC, unix.EDQUOT:
		return "Make room on that volume, and unlock again: what was acknowledged is there"
	case unix.EROFS:
		return "The volume cannot be written: look at the system's log (dmesg) for the reason before it is mounted anew"
	}
	return ""
}
