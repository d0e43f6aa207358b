package keyring

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Host is what [Remains] inspects; tests replace it.
type Host struct {
	Proc, Sys string // /proc and /sys
	// statfs(2)'s f_type, stat(2)'s st_dev
	Stat func(dir string) (filesystem int64, dev uint64, err error)
}

// ThisHost returns the machine that the process runs on.
func ThisHost() Host { return Host{Proc: "/proc", Sys: "/sys", Stat: statDir} }

func statDir(dir string) (filesystem int64, dev uint64, err error) {
	var fs unix.Statfs_t
	var st unix.Stat_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return 0, 0, err
	}
	if err := unix.Stat(dir, &st); err != nil {
		return 0, 0, err
	}
	return fs.Type, st.Dev, nil
}

// retaining returns the file systems that may keep what was overwritten, by statfs(2)'s f_type.
func retaining() map[int64]string {
	const elsewhere = "keeps data on another machine: what becomes of overwritten bytes there is not known here"
	const writesAnew = "writes each change to a new place and leaves the old bytes where they were"
	return map[int64]string{
		unix.BTRFS_SUPER_MAGIC:     "btrfs " + writesAnew,
		0x2fc12fc1:                 "zfs " + writesAnew,
		0xca451a4e:                 "bcachefs " + writesAnew,
		unix.F2FS_SUPER_MAGIC:      "f2fs " + writesAnew,
		unix.NILFS_SUPER_MAGIC:     "nilfs " + writesAnew,
		unix.OVERLAYFS_SUPER_MAGIC: "overlayfs (a container's layers) may keep the file as it was in a lower layer",
		unix.NFS_SUPER_MAGIC:       "nfs " + elsewhere,
		unix.SMB_SUPER_MAGIC:       "smb " + elsewhere,
		unix.SMB2_SUPER_MAGIC:      "smb " + elsewhere,
		unix.CIFS_SUPER_MAGIC:      "cifs " + elsewhere,
		unix.CEPH_SUPER_MAGIC:      "ceph " + elsewhere,
		unix.V9FS_MAGIC:            "9p " + elsewhere,
		unix.FUSE_SUPER_MAGIC:      "what is below fuse is not known here",
		unix.XFS_SUPER_MAGIC:       "xfs may share blocks between files (reflink, which cannot be seen from here): make it with -m reflink=0, or never copy the vault's files with cp --reflink",
	}
}

// Remains lists, for people, what on this host may keep a key in dir that was destroyed by
// overwriting, each with what to do. It only warns, and skips what cannot be read: what a person
// did about it, such as encrypting the whole disk, cannot always be seen.
func Remains(dir string, host Host) (notes []string) {
	filesystem, dev, err := host.Stat(dir)
	if err == nil {
		if text, there := retaining()[filesystem]; there {
			advice := "; put the vault's directory on ext4, on an encrypted disk of its own"
			if filesystem == unix.XFS_SUPER_MAGIC {
				advice = ""
			}
			notes = append(notes, "file system: "+text+advice)
		}
		notes = append(notes, host.journalled(dev)...)
		notes = append(notes, host.device(dev)...)
	}
	notes = append(notes, host.swap()...)
	notes = append(notes, host.hibernation()...)
	return append(notes, host.virtual()...)
}

// journalled warns of an ext file system whose journal holds data too.
func (h Host) journalled(dev uint64) []string {
	data, _ := os.ReadFile(filepath.Join(h.Proc, "self", "mountinfo"))
	device := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) > 6 && fields[2] == device && slices.Contains(strings.Split(fields[len(fields)-1], ","), "data=journal") {
			return []string{"file system: it is mounted with data=journal, so what was written stays in its journal for a while; mount it with data=ordered"}
		}
	}
	return nil
}

// blocks are what the block devices below a file system are, as far as /sys shows.
type blocks struct{ flash, encrypted, shared, image bool }

// device warns of what is below the file system.
func (h Host) device(dev uint64) (notes []string) {
	path, err := filepath.EvalSymlinks(filepath.Join(h.Sys, "dev", "block", fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))))
	if err != nil {
		return nil // no block device of its own
	}
	var below blocks
	h.inspect(path, &below, 0)
	if below.shared {
		notes = append(notes, "disk: its volume has snapshots or is thin (LVM), which keep what is overwritten; give the vault a plain volume without any")
	}
	if below.image {
		notes = append(notes, "disk: it is an image file (loop device): copies of the image keep what is overwritten; use a disk of the vault's own")
	}
	if below.flash && !below.encrypted {
		notes = append(notes, "disk: it is flash (SSD), whose wear levelling keeps overwritten blocks in spare cells: encrypt the whole disk (LUKS), and destroy its key with the disk")
	}
	return notes
}

const maxBelow = 8

// inspect notes what a block device and those below it are.
func (h Host) inspect(path string, below *blocks, depth int) {
	if depth > maxBelow {
		return
	}
	queue := filepath.Join(path, "queue")
	if _, err := os.Stat(queue); err != nil {
		queue = filepath.Join(filepath.Dir(path), "queue") // of a partition: its disk's
	}
	below.flash = below.flash || read(queue, "rotational") == "0"
	id := read(path, "dm", "uuid")
	below.encrypted = below.encrypted || strings.HasPrefix(id, "CRYPT-")
	for _, suffix := range []string{"-real", "-cow", "-tpool"} {
		below.shared = below.shared || strings.HasPrefix(id, "LVM-") && strings.HasSuffix(id, suffix)
	}
	below.image = below.image || read(path, "loop", "backing_file") != ""
	slaves, _ := os.ReadDir(filepath.Join(path, "slaves"))
	for _, slave := range slaves {
		if next, err := filepath.EvalSymlinks(filepath.Join(path, "slaves", slave.Name())); err == nil {
			h.inspect(next, below, depth+1)
		}
	}
}

// read returns a small file's trimmed text, "" where there is none.
func read(path ...string) string {
	data, _ := os.ReadFile(filepath.Join(path...))
	return string(bytes.TrimSpace(data))
}

// swap warns of swap in clear: keys are in the daemon's memory while it is unlocked.
func (h Host) swap() (notes []string) {
	var clear []string
	lines := strings.Split(read(h.Proc, "swaps"), "\n")
	for _, line := range lines[1:] { // after its heading
		fields := strings.Fields(line)
		if len(fields) == 0 || strings.HasPrefix(filepath.Base(fields[0]), "zram") || h.encrypted(fields[0]) {
			continue
		}
		clear = append(clear, fields[0])
	}
	if len(clear) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("swap: %s takes pages of memory with keys in them, which outlive the keys: swapoff -a and take it out of /etc/fstab, "+
		"or encrypt it with a random key at each start", strings.Join(clear, ", "))}
}

// encrypted reports whether a device is dm-crypt's.
func (h Host) encrypted(device string) bool {
	if real, err := filepath.EvalSymlinks(device); err == nil {
		device = real
	}
	return strings.HasPrefix(read(h.Sys, "block", filepath.Base(device), "dm", "uuid"), "CRYPT-")
}

// hibernation warns where the whole memory may be written to a disk.
func (h Host) hibernation() []string {
	if !slices.Contains(strings.Fields(read(h.Sys, "power", "state")), "disk") {
		return nil
	}
	if resume := read(h.Sys, "power", "resume"); resume == "" || resume == "0:0" {
		return nil
	}
	return []string{"hibernation: it writes the whole memory, keys included, to a disk: systemctl mask hibernate.target hybrid-sleep.target"}
}

// virtual warns of a machine whose disk and memory its host can copy.
func (h Host) virtual() []string {
	for line := range strings.Lines(read(h.Proc, "cpuinfo")) {
		if name, flags, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "flags" {
			if slices.Contains(strings.Fields(flags), "hypervisor") {
				return []string{"virtual machine: snapshots and backups of its disk or memory, made outside, keep keys that were destroyed since: forbid them for this machine"}
			}
			return nil
		}
	}
	return nil
}
