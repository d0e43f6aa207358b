package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"nightdrop/shared/command"
	"nightdrop/shared/durable"
	"nightdrop/shared/volume"
	"nightdrop/vault/internal/keyring"
	"nightdrop/vault/internal/settings"
)

// shareFiles checks where the shares go and names their files. It makes nothing unless shares may
// lie on the vault's own disk: then it makes the directories that are not there. What is dangerous
// and allowed it says on errOut.
func (o initOptions) shareFiles(errOut io.Writer) ([]string, error) {
	if o.name == "" || o.shares < 1 || o.threshold < 1 || o.threshold > o.shares {
		return nil, fmt.Errorf("%w: --name, --shares N and --threshold K from 1 to N are needed", command.ErrUsage)
	}
	if len(o.sharesTo) != o.shares {
		return nil, fmt.Errorf("%w: --shares-to names %d directories for %d shares; give each custodian a directory", command.ErrUsage,
			len(o.sharesTo), o.shares)
	}
	own, err := filepath.Abs(o.dir)
	if err != nil {
		return nil, err
	}
	own = settings.Resolved(own)
	seen := map[string]bool{}
	var dirs, paths []string
	for i, dir := range o.sharesTo {
		dir, err := filepath.Abs(strings.TrimSpace(dir))
		if err != nil {
			return nil, err
		}
		real := settings.Resolved(dir)
		if settings.Inside(real, own) {
			return nil, fmt.Errorf("%w: %s is inside the vault's directory: shares there would unlock their own copy", command.ErrUsage,
				dir)
		}
		if seen[real] {
			return nil, fmt.Errorf("%w: %s is named twice: each share has a directory of its own", command.ErrUsage, dir)
		}
		seen[real] = true
		path := filepath.Join(dir, fmt.Sprintf("%s-share-%d", o.name, i+1))
		if _, err := os.Lstat(path); err == nil {
			return nil, fmt.Errorf("%s: %w: a share is never overwritten", path, os.ErrExist)
		}
		dirs, paths = append(dirs, dir), append(paths, path)
	}
	return paths, o.checkDirectories(own, dirs, errOut)
}

// checkDirectories sees to it that the directories are there, and looks on which disks they are.
func (o initOptions) checkDirectories(own string, dirs []string, errOut io.Writer) error {
	for _, dir := range dirs {
		if err := o.directory(dir); err != nil {
			return err
		}
	}
	vaults, err := volume.DevicesOf(own)
	if err != nil {
		return err
	}
	of := make([]volume.Devices, len(dirs))
	for i, dir := range dirs {
		if of[i], err = volume.DevicesOf(dir); err != nil {
			return err
		}
		if of[i].Meet(vaults) && !o.onOwnDisk {
			return fmt.Errorf("%w: %s is on the disk of the vault itself: whoever takes the disk would have both. Mount the "+
				"custodian's stick there, or give --shares-on-own-disk, for training only", command.ErrUsage, dir)
		}
	}
	if o.onOwnDisk {
		fmt.Fprintln(errOut, "warning: shares may lie on the vault's own disk: whoever takes it has the vault; "+
			"for training only")
		return nil
	}
	for i := range of {
		for j := range i {
			if of[i].Meet(of[j]) {
				fmt.Fprintf(errOut, "warning: shares %d and %d are on one disk: whoever takes that has both\n", j+1, i+1)
			}
		}
	}
	return nil
}

// directory fails where a share's directory is not there, or makes it where that is asked for.
func (o initOptions) directory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return fmt.Errorf("%w: %s is no directory: a share goes into one of a custodian's stick", command.ErrUsage, dir)
	case err == nil:
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("share directory: %w", err)
	case !o.onOwnDisk:
		return fmt.Errorf("share directory: %w: is the custodian's stick mounted? A share is not written where nobody has "+
			"laid one (--shares-on-own-disk makes the directory, for training only)", err)
	}
	if err := durable.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("share directory: %w", err)
	}
	return nil
}

// writeShares writes each share into its file, and says where others may read it.
func writeShares(paths []string, shares []keyring.Share, errOut io.Writer) error {
	for i, path := range paths {
		line := append(shares[i].Encode(), '\n')
		err := durable.Create(path, line)
		clear(line)
		if err != nil {
			return err
		}
		if info, err := os.Stat(path); err == nil && info.Mode().Perm()&0o077 != 0 {
			fmt.Fprintf(errOut, "warning: %s has mode %04o: its file system has no modes of files; mount it with umask=077 "+
				"where the share is read\n", path, info.Mode().Perm())
		}
	}
	return nil
}
