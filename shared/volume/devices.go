package volume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sysfs is where the kernel says which block devices lie on which.
const sysfs = "/sys"

// Devices are the devices that a directory lies on, as major:minor: the file system's own number
// and every block device below it.
type Devices map[string]bool

// Meet reports whether the two have a device in common.
func (d Devices) Meet(other Devices) bool {
	for device := range d {
		if other[device] {
			return true
		}
	}
	return false
}

// DevicesOf returns what a directory lies on, or the nearest one above it that is there. Partitions
// count as their disk, and volumes (LVM, dm-crypt, RAID) as all that they are made of; what the
// kernel does not say is the file system alone, as with btrfs or NFS.
func DevicesOf(path string) (Devices, error) {
	info, err := os.Stat(path)
	for ; errors.Is(err, fs.ErrNotExist) && path != filepath.Dir(path); info, err = os.Stat(path) {
		path = filepath.Dir(path)
	}
	if err != nil {
		return nil, err
	}
	var stat unix.Stat_t
	if err := unix.Stat(path, &stat); err != nil {
		return nil, fmt.Errorf("on which disk %s is: %w", info.Name(), err)
	}
	found := Devices{}
	found.add(sysfs, fmt.Sprintf("%d:%d", unix.Major(stat.Dev), unix.Minor(stat.Dev)))
	return found, nil
}

func (d Devices) add(sys, device string) {
	if d[device] {
		return
	}
	d[device] = true
	block, err := filepath.EvalSymlinks(filepath.Join(sys, "dev/block", device))
	if err != nil {
		return // no block device
	}
	if _, err := os.Stat(filepath.Join(block, "partition")); err == nil {
		d.addAt(sys, filepath.Dir(block))
	}
	below, err := filepath.Glob(filepath.Join(block, "slaves/*"))
	if err != nil {
		return // no pattern fails that has no brackets, and a device's name has none
	}
	for _, one := range below {
		d.addAt(sys, one)
	}
}

// addAt adds the device of a directory of sysfs.
func (d Devices) addAt(sys, block string) {
	number, err := os.ReadFile(filepath.Join(block, "dev"))
	if err != nil {
		return
	}
	d.add(sys, strings.TrimSpace(string(number)))
}
