package keyring

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// machine is a made-up /proc and /sys.
type machine struct {
	t          *testing.T
	host       Host
	filesystem int64
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, filesystem: unix.EXT4_SUPER_MAGIC}
	m.host = Host{Proc: t.TempDir(), Sys: t.TempDir(), Stat: func(string) (int64, uint64, error) { return m.filesystem, unix.Mkdev(8, 1), nil }}
	m.put(m.host.Proc, "swaps", "Filename\tType\tSize\tUsed\tPriority\n")
	m.put(m.host.Sys, "power/state", "freeze mem disk\n")
	m.put(m.host.Sys, "power/resume", "0:0\n")
	m.put(m.host.Sys, "devices/sda/queue/rotational", "1\n")
	m.dir(m.host.Sys, "devices/sda/sda1")
	m.link("devices/sda/sda1", "dev/block/8:1")
	return m
}

func (m *machine) must(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) dir(root, path string) { m.must(os.MkdirAll(filepath.Join(root, path), 0o700)) }

func (m *machine) put(root, path, text string) {
	m.dir(root, filepath.Dir(path))
	m.must(os.WriteFile(filepath.Join(root, path), []byte(text), 0o600))
}

func (m *machine) link(to, path string) {
	m.dir(m.host.Sys, filepath.Dir(path))
	_ = os.Remove(filepath.Join(m.host.Sys, path)) // a test may give it another target
	m.must(os.Symlink(filepath.Join(m.host.Sys, to), filepath.Join(m.host.Sys, path)))
}

// mapped makes the file system stand on a mapped device with this uuid, which stands on sda1.
func (m *machine) mapped(uuid string) {
	m.put(m.host.Sys, "devices/dm-0/dm/uuid", uuid+"\n")
	m.put(m.host.Sys, "devices/dm-0/queue/rotational", "0\n")
	m.link("devices/sda/sda1", "devices/dm-0/slaves/sda1")
	m.link("devices/dm-0", "dev/block/8:1")
}

func TestRemainsOfDestroyedKeys(t *testing.T) {
	tests := []struct {
		name string
		set  func(m *machine)
		want []string // a part of each note, in order
	}{
		{"ext4 on a disk that turns", func(*machine) {}, nil},
		{"btrfs", func(m *machine) { m.filesystem = unix.BTRFS_SUPER_MAGIC }, []string{"file system: btrfs"}},
		{"zfs", func(m *machine) { m.filesystem = 0x2fc12fc1 }, []string{"file system: zfs"}},
		{"a container", func(m *machine) { m.filesystem = unix.OVERLAYFS_SUPER_MAGIC }, []string{"overlayfs"}},
		{"nfs", func(m *machine) { m.filesystem = unix.NFS_SUPER_MAGIC }, []string{"another machine"}},
		{"xfs", func(m *machine) { m.filesystem = unix.XFS_SUPER_MAGIC }, []string{"reflink"}},
		{"a journal of data", func(m *machine) {
			m.put(m.host.Proc, "self/mountinfo", "36 25 8:1 / / rw,noatime shared:1 - ext4 /dev/sda1 rw,data=journal\n")
		}, []string{"data=journal"}},
		{"another mount's journal of data", func(m *machine) {
			m.put(m.host.Proc, "self/mountinfo", "36 25 8:2 / /x rw - ext4 /dev/sda2 rw,data=journal\n36 25 8:1 / / rw - ext4 /dev/sda1 rw\n")
		}, nil},
		{"flash", func(m *machine) { m.put(m.host.Sys, "devices/sda/queue/rotational", "0\n") }, []string{"wear levelling"}},
		{"flash, encrypted", func(m *machine) { m.mapped("CRYPT-LUKS2-0123") }, nil},
		{"flash in a plain volume", func(m *machine) { m.mapped("LVM-0123") }, []string{"wear levelling"}},
		{"a volume with snapshots", func(m *machine) {
			m.mapped("LVM-0123")
			m.put(m.host.Sys, "devices/dm-1/dm/uuid", "LVM-0123-real\n")
			m.link("devices/dm-1", "devices/dm-0/slaves/dm-1")
		}, []string{"snapshots", "wear levelling"}},
		{"an image", func(m *machine) { m.put(m.host.Sys, "devices/sda/sda1/loop/backing_file", "/images/vault.img\n") }, []string{"image file"}},
		{"swap", func(m *machine) {
			m.put(m.host.Proc, "swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 100 0 100\n/swapfile file 100 0 -2\n")
		}, []string{"swap: /swapfile"}},
		{"swap that is encrypted or memory", func(m *machine) {
			m.put(m.host.Proc, "swaps", "Filename\tType\tSize\tUsed\tPriority\n/dev/zram0 partition 100 0 100\n/dev/dm-7 partition 100 0 -2\n")
			m.put(m.host.Sys, "block/dm-7/dm/uuid", "CRYPT-PLAIN-swap\n")
		}, nil},
		{"hibernation", func(m *machine) { m.put(m.host.Sys, "power/resume", "8:2\n") }, []string{"hibernation"}},
		{"a machine that cannot hibernate", func(m *machine) {
			m.put(m.host.Sys, "power/resume", "8:2\n")
			m.put(m.host.Sys, "power/state", "freeze mem\n")
		}, nil},
		{"a virtual machine", func(m *machine) { m.put(m.host.Proc, "cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor lahf_lm\n") }, []string{"virtual machine"}},
		{"nothing that can be seen", func(m *machine) {
			m.must(os.RemoveAll(m.host.Proc))
			m.must(os.RemoveAll(m.host.Sys))
			m.host.Stat = func(string) (int64, uint64, error) { return 0, 0, os.ErrNotExist }
		}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := newMachine(t)
			test.set(m)
			notes := Remains("/var/lib/nightdrop", m.host)
			if len(notes) != len(test.want) {
				t.Fatalf("%d notes, want %d: %q", len(notes), len(test.want), notes)
			}
			for i, want := range test.want {
				if !strings.Contains(notes[i], want) {
					t.Errorf("note %q, want %q in it", notes[i], want)
				}
			}
		})
	}
}

// TestThisHostIsLookedAt reads the real /proc and /sys.
func TestThisHostIsLookedAt(t *testing.T) {
	for _, note := range Remains(t.TempDir(), ThisHost()) {
		if !strings.Contains(note, ": ") {
			t.Errorf("note %q names no place", note)
		}
	}
}

func TestCheckAgreesWithOpen(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "v")
	if _, _, err := Create(dir, CreateOptions{Name: "vault.example", Shares: 1, Threshold: 1}); err != nil {
		t.Fatal(err)
	}
	if err := Check(dir, Options{}); err != nil {
		t.Fatalf("a new vault: %v", err)
	}
	for _, name := range []string{custodyFile, sealingFile, storedFileName} {
		path := filepath.Join(dir, name)
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
		checked := Check(dir, Options{})
		_, opened := Open(dir, Options{})
		if checked == nil || opened == nil || checked.Error() != opened.Error() {
			t.Errorf("%s: check says %v, open %v", name, checked, opened)
		}
		if err := os.Chmod(path, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
