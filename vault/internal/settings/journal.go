package settings

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"nightdrop/vault/internal/journal"
)

// Journal names where the log must be durable before anything is sent to an acquirer.
type Journal struct {
	Place     string `toml:"place"`
	Directory string `toml:"directory"`
	MaxBytes  int64  `toml:"max_bytes"`
}

// The places of a journal.
const (
	OnChannel   = "channel"
	InDirectory = "directory"
	InBoth      = "both"
	Off         = "off"
)

// Places are the names of the places in which the log is kept a second time.
func (j Journal) Places() []string {
	switch j.Place {
	case OnChannel, InDirectory:
		return []string{j.Place}
	case InBoth:
		return []string{InDirectory, OnChannel}
	}
	return nil
}

// check calls wrong for each key that a daemon cannot run with.
func (j Journal) check(wrong func(key, what string)) {
	switch j.Place {
	case OnChannel, Off:
		if j.Directory != "" {
			wrong("journal.directory", "it counts with place = \"directory\" or \"both\" only: leave it empty, or change the place")
		}
	case InDirectory, InBoth:
		if err := j.checkDirectory(); err != nil {
			wrong("journal.directory", err.Error())
		}
	default:
		wrong("journal.place", "\"channel\", \"directory\", \"both\" or \"off\"")
	}
	if j.MaxBytes < journal.MinLimit {
		wrong("journal.max_bytes", fmt.Sprintf("at least %d", journal.MinLimit))
	}
}

func (j Journal) checkDirectory() error {
	info, err := os.Stat(j.Directory)
	switch {
	case j.Directory == "":
		return errors.New("a directory on another disk than the vault's")
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no directory %s: mount its disk, make it with mode 0700", j.Directory)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is not a directory", j.Directory)
	}
	return nil
}

// Warning is what a person should know of the journal's configuration, "" for nothing.
func (j Journal) Warning(dir string) string {
	switch {
	case j.Place == Off:
		return "OFF: a vault that is restored from a backup cannot know what was sent since, and may charge it twice; set journal.place"
	case j.Place == OnChannel:
		return "on the relay's disk only: whoever owns that can shorten it, and with an older copy of this host have payments charged twice; " +
			"set journal.place = \"both\" and a directory on another disk"
	case j.Place != Off && sameDisk(j.Directory, dir):
		return "on the same disk as the ledger: losing it loses both; move journal.directory to another disk"
	}
	return ""
}

func sameDisk(a, b string) bool {
	var first, second unix.Stat_t
	return unix.Stat(filepath.Clean(a), &first) == nil && unix.Stat(filepath.Clean(b), &second) == nil && first.Dev == second.Dev
}
